"""Groups and biases of convolutions that the graph spells out."""

from __future__ import annotations

from collections.abc import Sequence

from converters.graphs.drafts import Draft, Value
from converters.graphs.patterns.matching import Context, channels, joined, orders, vector

_BIASED = ("conv", "depthwise_conv", "conv_transpose", "dense")
_CHANNELS = 3


def bias(draft: Draft, context: Context) -> bool:
    """Biases that are added to a layer that can have them."""
    if draft.kind == "bias":
        pairs = [(draft.inputs[0], draft.weights["bias"])]
    elif draft.kind == "add":
        pairs = orders(draft)
    else:
        return False
    for value, added in pairs:
        layer = context.inner(value, *_BIASED)
        if layer is None or "bias" in layer.weights:
            continue
        weight = vector(context, added, channels(value))
        if weight is not None and value.shape == draft.value.shape:
            draft.become(layer.kind, layer.inputs, layer.options, **layer.weights, bias=weight)
            return True
    return False


def groups(draft: Draft, context: Context) -> bool:
    """A concat of convolutions of the parts of one value."""
    if draft.kind != "concat" or draft.options["axis"] != _CHANNELS or draft.value.rank != 4:
        return False
    convs = [context.inner(value, "conv") for value in draft.inputs]
    if len(convs) < 2 or any(conv is None for conv in convs):
        return False
    first = convs[0]
    kernels = [conv.weights["kernel"] for conv in convs]
    if any(
        conv.options != first.options or conv.weights.keys() != first.weights.keys()
        for conv in convs
    ):
        return False
    if any(kernel.shape != kernels[0].shape for kernel in kernels) or first.options["groups"] != 1:
        return False
    source = _whole([conv.inputs[0] for conv in convs], context)
    if source is None or channels(source) != len(convs) * kernels[0].shape[2]:
        return False
    weights = {
        role: joined(context, [conv.weights[role] for conv in convs], rank - 1,
                     f"{draft.name}/{role}")
        for role, rank in (("kernel", 4), ("bias", 1)) if role in first.weights
    }  # fmt: skip
    options = {**first.options, "groups": len(convs)}
    draft.become("conv", [source], options, **weights)
    return True


def _whole(parts: Sequence[Value], context: Context) -> Value | None:
    """The value whose channels the parts are, in order and without gaps."""
    split = parts[0].draft
    if split.kind == "split":
        in_order = all(part.draft is split and part.index == i for i, part in enumerate(parts))
        sizes = split.options["sizes"]
        if not in_order or len(sizes) != len(parts) or len(set(sizes)) != 1:
            return None
        if split.options["axis"] != _CHANNELS:
            return None
        once = all(context.readers.get((id(split), i)) == 1 for i in range(len(parts)))
        return split.inputs[0] if once else None
    return _sliced([part.draft for part in parts], context)


def _sliced(drafts: Sequence[Draft], context: Context) -> Value | None:
    start = 0
    for draft in drafts:
        if draft.kind != "strided_slice" or context.inner(draft.value, "strided_slice") is None:
            return None
        *others, (begin, end, stride) = draft.options["slices"]
        total = channels(draft.inputs[0])
        if draft.options["shrink"] or draft.options["new"] or stride != 1 or total is None:
            return None
        if any(each != (None, None, 1) for each in others) or (begin or 0) != start:
            return None
        if not draft.inputs[0].is_same(drafts[0].inputs[0]):
            return None
        start = total if end is None else end
    whole = drafts[0].inputs[0]
    return whole if start == channels(whole) else None
