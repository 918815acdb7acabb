"""Layers that rearrange: their axes are TensorFlow's, the tensors' lie as torch holds them."""

from __future__ import annotations

from collections.abc import Sequence

from converters.graphs.network import Layer
from converters.models.network_torch.layouts import (
    dim,
    held,
    held_order,
    is_image,
    permutation,
)
from converters.models.network_torch.lowering.builder import Builder
from converters.models.network_torch.lowering.size_arithmetic import Size, sizes
from converters.models.network_torch.plan import Ref, Tensor


def concat(b: Builder, layer: Layer) -> Tensor:
    values = [b.tensor(value) for value in layer.inputs]
    rank = values[0].rank
    refs = b.add("tuple", *(value.ref for value in values))
    return Tensor(b.add("torch.cat", refs, dim(layer.options["axis"], rank)), rank)


def split(b: Builder, layer: Layer) -> list[Tensor]:
    before = b.tensor(layer.inputs[0])
    parts = tuple(layer.options["sizes"])
    whole = b.add("torch.split", before.ref, parts, dim(layer.options["axis"], before.rank))
    return [Tensor(b.add("[]", whole, index), before.rank) for index in range(len(parts))]


def _insertion(rank: int, axis: int) -> tuple[int, list[int]]:
    """Where a new axis of TensorFlow's goes among the dimensions of a tensor without it.

    Args:
        rank: with the new axis.
        axis: the new one.

    Returns:
        Its dimension, and the result's axes as they then lie; at best as they are held.
    """
    order = [a + (a >= axis) for a in held_order(rank - 1)]
    choices = [(at, [*order[:at], axis, *order[at:]]) for at in range(rank)]
    best = next((each for each in choices if tuple(each[1]) == held_order(rank)), None)
    return best or choices[axis]


def stack(b: Builder, layer: Layer) -> Tensor:
    rank = b.tensor(layer.inputs[0]).rank + 1
    dimension, axes = _insertion(rank, layer.options["axis"] % rank)
    refs = b.add("tuple", *(b.tensor(value).ref for value in layer.inputs))
    return b.placed(b.add("torch.stack", refs, dimension), axes)


def unstack(b: Builder, layer: Layer) -> list[Tensor]:
    before = b.tensor(layer.inputs[0])
    axis = layer.options["axis"] % before.rank
    parts = b.add("torch.unbind", before.ref, dim(axis, before.rank))
    left = _left(before.rank, {axis})
    return [b.placed(b.add("[]", parts, index), left) for index in range(layer.options["num"])]


def _left(rank: int, gone: set[int]) -> list[int]:
    """The axes that a tensor's dimensions are when some axes are gone."""
    left = [axis for axis in held_order(rank) if axis not in gone]
    return [sum(other < axis for other in left) for axis in left]


def squeeze(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    axes = layer.options["axes"]
    if not axes:
        shape = b.static(layer.inputs[0]) or ()
        axes = [axis for axis, size in enumerate(shape) if size == 1]
    gone = {axis % before.rank for axis in axes}
    if not gone:
        return before
    dimensions = tuple(sorted(dim(axis, before.rank) for axis in gone))
    return b.placed(b.add(".squeeze", before.ref, dimensions), _left(before.rank, gone))


def expand_dims(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    rank = before.rank + 1
    dimension, axes = _insertion(rank, layer.options["axis"] % rank)
    return b.placed(b.add(".unsqueeze", before.ref, dimension), axes)


def reshape(b: Builder, layer: Layer) -> Tensor:
    shape = b.option(layer, "shape", list(layer.inputs[1:]))
    return _reshaped(b, layer, [*sizes(shape).tolist()])


def flatten(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    if before.rank == 2:
        return before
    return _reshaped(b, layer, None)


def _reshaped(b: Builder, layer: Layer, shape: list | None) -> Tensor:
    """Values in TensorFlow's order, in another shape; None: [batch, what is left]."""
    before = b.tensor(layer.inputs[0])
    rank = 2 if shape is None else len(shape)
    one_by_one = _is_one_by_one(b.static(layer.inputs[0]))
    map_ = b.names.maps.get(layer.name)
    if map_:
        return Tensor(b.add("torch.flatten", before.ref, 1), 2, map_)
    ref = before.ref if one_by_one else b.in_tf(before)
    if shape is None or (rank == 2 and one_by_one and _is_batch(b, shape[0], before)):
        return Tensor(b.add("torch.flatten", ref, 1), 2)
    if is_image(rank) and _is_one_by_one(shape):  # its order does not matter
        return Tensor(b.reshape(ref, held(shape)), rank)
    return b.from_tf(b.reshape(ref, shape), rank)


def _is_one_by_one(shape: Sequence | None) -> bool:
    """Whether it is the shape of images of one pixel."""
    return (
        bool(shape)
        and is_image(len(shape))
        and all(not isinstance(n, Size) and n == 1 for n in shape[1:-1])
    )


def _is_batch(b: Builder, size: object, value: Tensor) -> bool:
    """Whether a size is that of the first axis, or what is left."""
    return size == -1 or b.literal(size) == b.add("size", value.ref, 0)


def transpose(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    rank, order = before.rank, layer.options["permutation"]
    found, wanted = held_order(rank), [order[axis] for axis in held_order(rank)]
    return Tensor(b.permute(before.ref, permutation(found, wanted)), rank)


def strided_slice(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    rank, shrink = before.rank, {axis % before.rank for axis in layer.options["shrink"]}
    slices = [tuple(each) for each in layer.options["slices"]]
    ref = before.ref
    backwards = [axis for axis, each in enumerate(slices) if (each[2] or 1) < 0]
    if backwards:
        ref = b.add(".flip", ref, tuple(dim(axis, rank) for axis in backwards))
        for axis in backwards:
            length = Size(b.add("size", ref, dim(axis, rank)), b.add)
            slices[axis] = _backwards(slices[axis], length)
    index = [
        each[0] if axis in shrink else slice(*_plain(each)) for axis, each in enumerate(slices)
    ]
    index = held(index)
    if any(each != slice(None) for each in index):
        ref = b.add("[]", ref, b.literal(_without_rest(index)))
    found = b.placed(ref, _left(rank, shrink))
    for axis in sorted(layer.options["new"]):
        dimension, axes = _insertion(found.rank + 1, axis)
        found = b.placed(b.add(".unsqueeze", found.ref, dimension), axes)
    return found


def _plain(each: tuple) -> tuple:
    """(begin, end, stride) as one writes it: without 0 and 1."""
    begin, end, stride = each
    return (begin or None, end, None if stride == 1 else stride)


def _without_rest(index: tuple) -> tuple:
    """Without the axes at the end of which all is taken."""
    last = max(at for at, each in enumerate(index) if each != slice(None))
    return index[: last + 1]


def _backwards(each: tuple, length: Size) -> tuple:
    """The slice with negative stride, of an axis that was turned round."""
    begin, end, stride = each
    return (*(_turned(at, length) for at in (begin, end)), -stride)


def _turned(at: int | None, length: Size) -> int | Size | None:
    if at is None:
        return None
    return -1 - at if at < 0 else length - 1 - at


def slice_(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    further = list(layer.inputs[1:])
    begin = sizes(b.option(layer, "begin", further)).tolist()
    size = sizes(b.option(layer, "size", further)).tolist()
    index = []
    for first, length in zip(begin, size, strict=True):
        to_end = not isinstance(length, Size) and length == -1
        index.append(slice(*_plain((first, None if to_end else first + length, None))))
    index = held([slice(None) if each == slice(None) else each for each in index])
    if all(each == slice(None) for each in index):
        return before
    return Tensor(b.add("[]", before.ref, b.literal(_without_rest(index))), before.rank)


def tile(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    multiples = held(sizes(b.option(layer, "multiples", list(layer.inputs[1:]))).tolist())
    return Tensor(b.add(".repeat", before.ref, b.literal(multiples)), before.rank)


def reverse(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    axes = sorted(dim(axis, before.rank) for axis in layer.options["axes"])
    return Tensor(b.add(".flip", before.ref, tuple(axes)), before.rank)


def gather(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    axis = layer.options["axis"] or 0
    if layer.options["indices"] is not None:
        index = b.add("ops.as_tensor", tuple(layer.options["indices"]), b.device())
        rank = 1
    else:
        indices = b.tensor(layer.inputs[1])
        index, rank = b.in_tf(indices), indices.rank
    if rank == 1:
        ref = b.add("torch.index_select", before.ref, dim(axis, before.rank), index)
        return Tensor(ref, before.rank)
    ref = b.add("ops.gather", b.in_tf(before), index, axis % before.rank)
    return b.from_tf(ref, before.rank - 1 + rank)


def broadcast_to(b: Builder, layer: Layer) -> Tensor:
    shape = sizes(b.option(layer, "shape", list(layer.inputs[1:]))).tolist()
    ref = b.aligned(b.tensor(layer.inputs[0]), len(shape))
    return Tensor(b.add("torch.broadcast_to", ref, b.literal(held(shape))), len(shape))


def fill(b: Builder, layer: Layer) -> Tensor:
    further = list(layer.inputs)
    shape = sizes(b.option(layer, "shape", further)).tolist()
    value = layer.options["value"]
    if value is None and not b.is_host(further[0]):
        filled = b.tensor(further[0]).ref
        return Tensor(b.add("torch.broadcast_to", filled, b.literal(held(shape))), len(shape))
    value = sizes(value if value is not None else b.host(further[0])).item()
    ref = b.add("ops.full", b.literal(held(shape)), b.literal(value), b.device())
    if isinstance(value, float) or (isinstance(value, Size) and value.is_float):
        ref = b.to_float(ref)
    return Tensor(ref, len(shape))


def range_(b: Builder, layer: Layer) -> Tensor:
    further = list(layer.inputs)
    ends = [sizes(b.option(layer, name, further)).item() for name in ("start", "limit", "delta")]
    return Tensor(b.add("ops.arange", *map(b.literal, ends), b.device()), 1)


def shape(b: Builder, layer: Layer):
    """The sizes of a tensor, in TensorFlow's order."""
    if b.is_host(layer.inputs[0]):
        return sizes(list(b.host(layer.inputs[0]).shape))
    value = b.tensor(layer.inputs[0])
    step = b.plan.steps[value.ref.index]
    known = _parameter_shape(b, layer.inputs[0]) if step.target == "attribute" else None
    if known is not None:
        return sizes(list(known))
    static = b.static(layer.inputs[0]) or (None,) * value.rank
    found: list[int | Size] = [Size(_size(b, value, axis), b.add) for axis in range(value.rank)]
    if is_image(value.rank) and static[-1] is not None:
        found[-1] = static[-1]  # channels are the weights', whatever is fed
    return sizes(found)


def _size(b: Builder, value: Tensor, axis: int) -> Ref:
    return b.add("size", value.ref, dim(axis, value.rank))


def _parameter_shape(b: Builder, value: str) -> tuple[int, ...] | None:
    layer = b.network.layer(value)
    return b.network.parameters[layer.weights["value"]].shape if layer else None


LOWER = {
    "concat": concat,
    "split": split,
    "stack": stack,
    "unstack": unstack,
    "squeeze": squeeze,
    "expand_dims": expand_dims,
    "reshape": reshape,
    "flatten": flatten,
    "transpose": transpose,
    "strided_slice": strided_slice,
    "slice": slice_,
    "tile": tile,
    "reverse": reverse,
    "gather": gather,
    "broadcast_to": broadcast_to,
    "fill": fill,
    "range": range_,
    "shape": shape,
}
