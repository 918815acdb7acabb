"""Layers with parameters: a call of their module, or torch's function where parameters are shared.

A parameter lies in the module of the first layer that reads it. Another layer that reads it with
other options calls the function on that module's parameters.
"""

from __future__ import annotations

from converters.graphs.network import Layer
from converters.models.network_torch.layouts import is_image, to_held
from converters.models.network_torch.lowering.builder import Builder
from converters.models.network_torch.lowering.padding import Pair, pad_before, window_padding
from converters.models.network_torch.naming import role_layout
from converters.models.network_torch.plan import Ref, Tensor
from converters.recognise.transforms import Transform


def _weight(b: Builder, layer: Layer, role: str) -> Ref | None:
    """A parameter of a layer in the layout of torch's functions."""
    name = layer.weights.get(role)
    if name is None:
        return None
    shape = b.network.parameters[name].shape
    return b.parameter(name, role_layout(layer, role, shape, b.names.maps.get(layer.name)))


def conv(b: Builder, layer: Layer) -> Tensor:
    """conv and depthwise_conv; padding that depends on the size of the input comes before."""
    before = b.tensor(layer.inputs[0])
    ref = before.ref
    kernel = b.network.parameters[layer.weights["kernel"]].shape[:2]
    strides, dilations = layer.options["strides"], layer.options["dilations"]
    padding = window_padding(layer.options["padding"], kernel, strides, dilations)
    if padding is None:
        ref = pad_before(b, ref, layer.options["padding"], kernel, strides, dilations)
    path = b.names.calls.get(layer.name)
    if path:
        return Tensor(b.add("module", path, ref), 4)
    groups = conv_groups(layer, b.network.parameters[layer.weights["kernel"]].shape)
    weights = _weight(b, layer, "kernel"), _weight(b, layer, "bias")
    return Tensor(
        b.add("F.conv2d", ref, *weights, strides, padding or (0, 0), dilations, groups), 4
    )


def conv_groups(layer: Layer, kernel: tuple[int, ...]) -> int:
    """In how many groups a convolution sees its channels."""
    return kernel[2] if layer.kind == "depthwise_conv" else layer.options["groups"]


def conv_transpose(b: Builder, layer: Layer) -> Tensor:
    """torch's, and behind it what is to be cut off of the whole for TensorFlow's padding."""
    before = b.tensor(layer.inputs[0])
    kernel = b.network.parameters[layer.weights["kernel"]].shape[:2]
    strides = layer.options["strides"]
    own, cut = transposed_padding(layer, kernel)
    path = b.names.calls.get(layer.name)
    if path:
        ref = b.add("module", path, before.ref)
    else:
        weights = _weight(b, layer, "kernel"), _weight(b, layer, "bias")
        ref = b.add("F.conv_transpose2d", before.ref, *weights, strides, own)
    if cut == "size":
        return Tensor(_cut_to_size(b, layer, ref, kernel), 4)
    if cut:
        ref = b.add("[]", ref, (..., *(slice(None, -n if n else None) for n in cut)))
    return Tensor(ref, 4)


def _cut_to_size(b: Builder, layer: Layer, ref: Ref, kernel: Pair) -> Ref:
    size = layer.options["size"]
    if len(layer.inputs) > 1:
        size = b.literal(tuple(b.host(layer.inputs[1])[-3:-1]))
    strides, same = layer.options["strides"], layer.options["padding"] == "SAME"
    may_grow = not same or any(n < s for n, s in zip(kernel, strides, strict=True))
    bias = _weight(b, layer, "bias") if may_grow else None
    return b.add("ops.cut_transposed", ref, size, kernel, strides, same, bias)


def transposed_padding(layer: Layer, kernel: Pair) -> tuple[Pair, Pair | str | None]:
    """The padding of torch's transposed convolution, and what is left to cut off at the end.

    Returns:
        torch's padding, (height, width); then (height, width), None for nothing, or "size" where
        it depends on the size that the result shall have.
    """
    totals = [n - s for n, s in zip(kernel, layer.options["strides"], strict=True)]
    if layer.options["size"] is not None or len(layer.inputs) > 1 or min(totals) < 0:
        return (0, 0), "size"
    if layer.options["padding"] == "VALID":
        return (0, 0), None
    odd = tuple(total % 2 for total in totals)
    return tuple(total // 2 for total in totals), (odd if any(odd) else None)


def dense(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    ref = b.in_tf(before)
    path = b.names.calls.get(layer.name)
    if path:
        ref = b.add("module", path, ref)
    else:
        ref = b.add("F.linear", ref, _weight(b, layer, "kernel"), _weight(b, layer, "bias"))
    return b.from_tf(ref, before.rank)


def batch_norm(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    path = b.names.calls.get(layer.name)
    if path is None:
        raise ValueError(
            f"{layer.name}: this batch norm shares some of its variables, and not all, with another"
            "; torch has no such module; leave one of them out (--outputs)"
        )
    if before.rank == 3 or before.rank > 5:
        last_first = (0, before.rank - 1, *range(1, before.rank - 1))
        back = (0, *range(2, before.rank), 1)
        ref = b.add("module", path, b.permute(before.ref, last_first))
        return Tensor(b.permute(ref, back), before.rank)
    return Tensor(b.add("module", path, before.ref), before.rank)


def bias(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    added = b.aligned(Tensor(_weight(b, layer, "bias"), 1), before.rank)
    return Tensor(b.add("+", before.ref, added), before.rank)


def prelu(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    path = b.names.calls.get(layer.name)
    if path and (before.rank == 2 or is_image(before.rank)):
        return Tensor(b.add("module", path, before.ref), before.rank)
    alpha = b.aligned(Tensor(_weight(b, layer, "alpha"), 1), before.rank)
    ref = b.add("ops.prelu", before.ref, alpha)
    return Tensor(ref, before.rank)


def parameter(b: Builder, layer: Layer) -> Tensor:
    name = layer.weights["value"]
    rank = len(b.network.parameters[name].shape)
    return Tensor(b.parameter(name, Transform(permutation=to_held(rank))), rank)


LOWER = {
    "conv": conv,
    "depthwise_conv": conv,
    "conv_transpose": conv_transpose,
    "dense": dense,
    "batch_norm": batch_norm,
    "bias": bias,
    "prelu": prelu,
    "parameter": parameter,
}
