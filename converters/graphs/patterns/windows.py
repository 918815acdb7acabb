"""Paddings and dilations that the graph does apart from the window they belong to."""

from __future__ import annotations

from converters.files.errors import Malformed
from converters.graphs.drafts import Draft, Value
from converters.graphs.patterns.matching import Context
from converters.graphs.shapes import output_shapes
from converters.graphs.sizes import Size

_CONVS = ("conv", "depthwise_conv")
_NO_PADS = ((0, 0), (0, 0))
# Kinds whose values are not negative, and those that are so where what they read is.
_NOT_NEGATIVE = frozenset(("relu", "relu6", "sigmoid", "softplus", "square", "abs", "softmax"))
_KEEP_SIGN = frozenset(("max_pool", "avg_pool", "concat", "dropout", "identity", "pad", "resize"))
_LOWEST = -3.4e38
_MAX_DEPTH = 8

Pads = tuple[tuple[int, int], tuple[int, int]]


def dilation(draft: Draft, context: Context) -> bool:
    """BatchToSpace(conv(SpaceToBatch(x))), as TensorFlow 1.x spells a dilated convolution."""
    if draft.kind != "batch_to_space":
        return False
    conv = context.inner(draft.inputs[0], *_CONVS)
    if conv is None or conv.options["padding"] != "VALID":
        return False
    if conv.options["strides"] != (1, 1) or conv.options["dilations"] != (1, 1):
        return False
    before = context.inner(conv.inputs[0], "space_to_batch")
    block = draft.options["block"]
    if before is None or before.options["block"] != block or len(block) != 2:
        return False
    pads = _difference(_pairs(before, "paddings"), _pairs(draft, "crops"))
    if pads is None:
        return False
    options = {**conv.options, "dilations": block, "padding": pads}
    return _replace(draft, conv, before.inputs[0], options)


def padding(draft: Draft, context: Context) -> bool:
    """A convolution or pooling of a Pad."""
    if draft.kind not in (*_CONVS, "max_pool"):
        return False
    pad = context.inner(draft.inputs[0], "pad")
    if pad is None or pad.options["mode"] != "CONSTANT" or pad.options["paddings"] is None:
        return False
    batch, *spatial, channels = pad.options["paddings"]
    own = _own_pads(draft)
    if own is None or batch != (0, 0) or channels != (0, 0) or len(spatial) != 2:
        return False
    if draft.kind == "max_pool" and not _is_neutral(pad, draft.options["kernel"], spatial):
        return False
    if draft.kind != "max_pool" and pad.options["value"] != 0:
        return False
    pads = tuple((a + c, b + d) for (a, b), (c, d) in zip(spatial, own, strict=True))
    return _replace(draft, draft, pad.inputs[0], {**draft.options, "padding": pads})


def _replace(draft: Draft, window: Draft, value: Value, options: dict) -> bool:
    """Makes `draft` the layer `window` with other options, on another value."""
    kernel = window.weights.get("kernel")
    size = kernel.shape[:2] if kernel is not None else options["kernel"]
    options = {**options, "padding": _named(options, size)}
    weights = dict(window.weights)
    try:
        shapes = output_shapes(
            window.kind, [value.shape], options, {r: v.shape for r, v in weights.items()}
        )
    except Malformed:
        return False
    if shapes[0] != draft.value.shape:
        return False
    draft.become(window.kind, [value], options, **weights)
    return True


def _named(options: dict, kernel: tuple) -> str | Pads:
    """A padding by its name where it has one whatever the size of the image."""
    pads = options["padding"]
    if pads == _NO_PADS:
        return "VALID"
    if options["strides"] == (1, 1) and pads == _same(kernel, options.get("dilations", (1, 1))):
        return "SAME"
    return pads


def _same(kernel: tuple, dilations: tuple) -> Pads:
    """What SAME pads where the stride is 1."""
    totals = [(size - 1) * rate for size, rate in zip(kernel, dilations, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def _own_pads(draft: Draft) -> Pads | None:
    """What a window pads itself; None if that depends on the image's size."""
    found = draft.options["padding"]
    if found == "VALID":
        return _NO_PADS
    if found != "SAME":
        return found
    if draft.options["strides"] != (1, 1) or draft.kind == "max_pool":
        return None
    return _same(draft.weights["kernel"].shape[:2], draft.options["dilations"])


def _is_neutral(pad: Draft, kernel: tuple, spatial: list) -> bool:
    """Whether a maximum does not notice what is padded."""
    if any(side >= size for size, pair in zip(kernel, spatial, strict=True) for side in pair):
        return False  # a window of nothing but padding
    value = pad.options["value"]
    return value <= _LOWEST or (value == 0 and _is_not_negative(pad.inputs[0], _MAX_DEPTH))


def _is_not_negative(value: Value, depth: int) -> bool:
    draft = value.draft
    if draft.kind in _NOT_NEGATIVE:
        return True
    if draft.kind == "clip":
        return draft.options["low"] >= 0
    if draft.kind == "pad" and draft.options["value"] < 0:
        return False
    if draft.kind == "resize" and draft.options["method"] == "bicubic":
        return False
    if draft.kind not in (*_KEEP_SIGN, "add", "add_n") or not depth:
        return False
    images = draft.inputs[:1] if draft.kind in ("pad", "resize") else draft.inputs
    return all(_is_not_negative(each, depth - 1) for each in images)


def _pairs(draft: Draft, name: str) -> list | None:
    """The paddings or crops of a draft, as far as they are known."""
    pairs = draft.options[name]
    if pairs is None:
        elements = draft.inputs[1].elements
        pairs = None if elements is None else elements.tolist()
    return pairs


def _difference(paddings: list | None, crops: list | None) -> Pads | None:
    """The padding of a convolution that pads and then crops; None if it is not known."""
    if paddings is None or crops is None:
        return None
    found = []
    for pair, cropped in zip(paddings, crops, strict=True):
        sides = tuple(side - crop for side, crop in zip(pair, cropped, strict=True))
        if any(isinstance(side, Size) or side < 0 for side in sides):
            return None
        found.append(sides)
    return tuple(found)
