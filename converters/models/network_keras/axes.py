"""Reductions, and what moves whole entries of an axis."""

from __future__ import annotations

import numpy as np

from converters.graphs.network import Layer
from converters.models.network_keras.builder import (
    Builder,
    Function,
    is_tensor,
    is_unknown,
    layers,
    ops,
)
from converters.models.network_keras.gathering import gathered

_SPACE = (1, 2)
_EVERYTHING = (None, None, 1)


def _reduction(function, pooling: type | None = None) -> Function:
    """Over height and width of images: a global pooling layer, where there is one."""

    def reduce(b: Builder, layer: Layer):
        value, axes, keep = b.tensor(layer.inputs[0]), *_reduced(layer)
        is_image = len(value.shape) == 4 and np.dtype(str(value.dtype)).kind == "f"
        if pooling and is_image and axes == _SPACE:
            return b.layer(pooling, layer, value, keepdims=keep)
        return function(value, axis=axes, keepdims=keep)

    return reduce


def _reduced(layer: Layer) -> tuple[tuple[int, ...], bool]:
    return tuple(layer.options["axes"]), layer.options["keepdims"]


def _arg(function) -> Function:
    return lambda b, layer: function(b.tensor(layer.inputs[0]), axis=layer.options["axis"])


def _cumsum(b: Builder, layer: Layer):
    value, axis = b.tensor(layer.inputs[0]), layer.options["axis"]
    if layer.options["reverse"]:
        value = ops.flip(value, axis)
    if layer.options["exclusive"]:
        ends = [(int(at == axis), 0) for at in range(len(value.shape))]
        index = [slice(None)] * len(value.shape)
        index[axis] = slice(None, -1)
        value = ops.pad(value, ends)[tuple(index)]
    total = ops.cumsum(value, axis=axis)
    return ops.flip(total, axis) if layer.options["reverse"] else total


def _top_k(b: Builder, layer: Layer):
    return list(ops.top_k(b.tensor(layer.inputs[0]), layer.options["k"], sorted=True))


def _matmul(b: Builder, layer: Layer):
    one, other = b.tensors(layer)
    one = ops.swapaxes(one, -1, -2) if layer.options["transpose_a"] else one
    return ops.matmul(one, ops.swapaxes(other, -1, -2) if layer.options["transpose_b"] else other)


def _concat(b: Builder, layer: Layer):
    values, axis = b.tensors(layer), layer.options["axis"]
    if all(map(is_tensor, values)) and len(values) > 1 and axis:
        return b.layer(layers.Concatenate, layer, values, axis=axis)
    return ops.concatenate(values, axis=axis)


def _split(b: Builder, layer: Layer):
    ends = np.cumsum(layer.options["sizes"])[:-1].tolist()
    return list(ops.split(b.tensor(layer.inputs[0]), ends, axis=layer.options["axis"]))


def _unstack(b: Builder, layer: Layer):
    return list(ops.unstack(b.tensor(layer.inputs[0]), layer.options["num"], layer.options["axis"]))


def _transpose(b: Builder, layer: Layer):
    value, order = b.tensor(layer.inputs[0]), tuple(layer.options["permutation"])
    if order[0] == 0 and len(order) > 1:
        return b.layer(layers.Permute, layer, value, order[1:])
    return ops.transpose(value, order)


def _strided_slice(b: Builder, layer: Layer):
    value, options = b.tensor(layer.inputs[0]), layer.options
    rows = list(options["slices"])
    cropping = _cropping(rows, options)
    if cropping and np.dtype(str(value.dtype)).kind == "f":
        return b.layer(layers.Cropping2D, layer, value, cropping)
    for axis, row in enumerate(rows):
        if (row[2] or 1) < 0:
            value, rows[axis] = _forward(value, axis, row), _EVERYTHING
    index = [row[0] if axis in options["shrink"] else slice(*row) for axis, row in enumerate(rows)]
    if any(each != slice(*_EVERYTHING) for each in index):
        value = value[tuple(index)]
    for axis in sorted(options["new"]):
        value = ops.expand_dims(value, axis)
    return value


def _forward(value, axis: int, row: tuple):
    """A slice with a negative stride."""
    if row == (None, None, -1):
        return ops.flip(value, axis)
    if value.shape[axis] is None:
        raise ValueError("a slice backwards of a size that is not known")
    return ops.take(value, list(range(*slice(*row).indices(value.shape[axis]))), axis=axis)


def _cropping(rows: list, options) -> tuple | None:
    """What a slice cuts off the sides of images; None where it does something else."""
    if options["shrink"] or options["new"] or len(rows) != 4:
        return None
    if rows[0] != _EVERYTHING or rows[3] != _EVERYTHING:
        return None
    sides = [(begin or 0, -(end or 0)) for begin, end, _ in rows[1:3]]
    is_cut = min(map(min, sides)) >= 0 and all(row[2] == 1 for row in rows[1:3])
    return tuple(sides) if is_cut else None


def _slice(b: Builder, layer: Layer):
    further, dims = list(layer.inputs[1:]), b.dims(layer.inputs[0])
    begins = b.option(layer, "begin", further)
    wanted = b.option(layer, "size", further)
    value, given = b.tensor(layer.inputs[0]), []
    for axis, (dim, begin, size) in enumerate(zip(dims, begins, wanted, strict=True)):
        size = dim - begin if not is_unknown(size) and size == -1 else size
        given.append(size)
        if size != dim:
            value = gathered(b.sizes, value, axis, size, b.sizes.number(begin))
    b.given[layer.name] = tuple(given)
    return value


def _gather(b: Builder, layer: Layer):
    indices = layer.options["indices"]
    indices = b.tensor(layer.inputs[1]) if indices is None else list(indices)
    return ops.take(b.tensor(layer.inputs[0]), indices, axis=layer.options["axis"])


def _squeeze(b: Builder, layer: Layer):
    return ops.squeeze(b.tensor(layer.inputs[0]), tuple(layer.options["axes"]))


LAYERS: dict[str, Function] = {
    "mean": _reduction(ops.mean, layers.GlobalAveragePooling2D),
    "max": _reduction(ops.max, layers.GlobalMaxPooling2D),
    "min": _reduction(ops.min),
    "sum": _reduction(ops.sum),
    "prod": _reduction(ops.prod),
    "any": _reduction(ops.any),
    "all": _reduction(ops.all),
    "argmax": _arg(ops.argmax),
    "argmin": _arg(ops.argmin),
    "cumsum": _cumsum,
    "top_k": _top_k,
    "matmul": _matmul,
    "concat": _concat,
    "split": _split,
    "stack": lambda b, layer: ops.stack(b.tensors(layer), axis=layer.options["axis"]),
    "unstack": _unstack,
    "squeeze": _squeeze,
    "expand_dims": lambda b, layer: ops.expand_dims(
        b.tensor(layer.inputs[0]), layer.options["axis"]
    ),
    "transpose": _transpose,
    "strided_slice": _strided_slice,
    "slice": _slice,
    "reverse": lambda b, layer: ops.flip(b.tensor(layer.inputs[0]), tuple(layer.options["axes"])),
    "gather": _gather,
}
