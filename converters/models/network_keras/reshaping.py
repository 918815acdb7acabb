"""Values in other shapes, whose sizes may not be known before the model runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.graphs.network import Layer
from converters.models.network_keras.builder import (
    Builder,
    Function,
    added,
    is_tensor,
    is_unknown,
    layers,
    ops,
)
from converters.models.network_keras.gathering import broadcast
from converters.models.network_keras.sizes import Dim, unknown


def _reshape(b: Builder, layer: Layer):
    name = layer.inputs[0]
    target = b.option(layer, "shape", list(layer.inputs[1:]))
    value, target = b.tensor(name), _solved(b.dims(name), list(target))
    b.given[layer.name] = tuple(None if size == -1 else size for size in target)
    free = [at for at, size in enumerate(target) if is_unknown(size) or size == -1]
    rest = [-1 if at in free else size for at, size in enumerate(target)]
    if target[0] == b.dims(name)[0] and len([at for at in free if at]) <= 1 and len(target) > 1:
        return b.layer(layers.Reshape, layer, value, tuple(rest[1:]))
    if len(free) <= 1:
        return ops.reshape(value, tuple(rest))
    return _gathered(b, value, target)


def _solved(dims: Sequence[Dim], target: list) -> list:
    """A target with the size that is left instead of -1, where it is a number or a known size."""
    if -1 not in target:
        return target
    left = list(dims)
    for size in target:
        if size in left:
            left.remove(size)
        elif size != -1:
            return target
    place = target.index(-1)
    total = math.prod(left)
    return [*target[:place], total, *target[place + 1 :]]


def _gathered(b: Builder, value, target: list):
    """Rows of the last known sizes, gathered to the first ones, which are not."""
    last = max(at for at, size in enumerate(target) if is_unknown(size) or size == -1)
    if -1 in target:
        raise ValueError("a shape with several sizes that are not known")
    lead, row = target[: last + 1], target[last + 1 :]
    rows = ops.reshape(value, (-1, *row))
    index, stride = None, 1
    for axis in reversed(range(len(lead))):
        ruler = b.sizes.ruler(lead[axis])
        along = (
            broadcast(ops.multiply(ruler, stride), axis, len(lead))
            if is_tensor(ruler) or (is_tensor(stride))
            else (ruler * stride).reshape([-1 if at == axis else 1 for at in range(len(lead))])
        )
        index = along if index is None else added(along, index)
        number = b.sizes.number(lead[axis])
        stride = ops.multiply(number, stride) if is_tensor(number) else number * stride
    return ops.take(rows, index, axis=0)


def _flatten(b: Builder, layer: Layer):
    return b.layer(layers.Flatten, layer, b.tensor(layer.inputs[0]))


def _tile(b: Builder, layer: Layer):
    name = layer.inputs[0]
    multiples = b.option(layer, "multiples", list(layer.inputs[1:]))
    if not unknown(multiples):
        return ops.tile(b.tensor(name), tuple(multiples))
    value, given = b.tensor(name), []
    for axis, (size, times) in enumerate(zip(b.dims(name), multiples, strict=True)):
        given.append(size * times)
        if times != 1:
            places = ops.mod(b.sizes.ruler(size * times), b.sizes.number(size))
            value = ops.take(value, places, axis=axis)
    b.given[layer.name] = tuple(given)
    return value


def _broadcast_to(b: Builder, layer: Layer):
    name = layer.inputs[0]
    target = b.option(layer, "shape", list(layer.inputs[1:]))
    if not unknown(target):
        return ops.broadcast_to(b.tensor(name), tuple(target))
    b.given[layer.name] = tuple(target)
    zeros = _zeros(b, target, str(b.tensor(name).dtype))
    return added(b.tensor(name), zeros)


def _zeros(b: Builder, shape: Sequence[Dim], dtype: str):
    """Zeros of a shape that is not known."""
    total = None
    for axis, size in enumerate(shape):
        ruler = b.sizes.ruler(size)
        zeros = ops.zeros_like(ruler, dtype=dtype) if is_tensor(ruler) else np.zeros(size, dtype)
        along = (
            zeros.reshape([-1 if at == axis else 1 for at in range(len(shape))])
            if not (is_tensor(zeros))
            else broadcast(zeros, axis, len(shape))
        )
        total = along if total is None else added(total, along)
    return total


def _fill(b: Builder, layer: Layer):
    shape = b.option(layer, "shape", list(layer.inputs))
    value = np.asarray(layer.options["value"])
    value = value.astype(b.dtype) if value.dtype.kind == "f" else value
    if not unknown(shape):
        return np.full(shape, value)
    b.given[layer.name] = tuple(shape)
    if value.dtype.kind == "b":
        raise ValueError("truth values of a shape that is not known")
    return added(_zeros(b, shape, str(value.dtype)), value)


def _range(b: Builder, layer: Layer):
    further = list(layer.inputs)
    start, limit, delta = (b.option(layer, name, further) for name in ("start", "limit", "delta"))
    if not unknown((start, limit, delta)):
        return np.arange(start, limit, delta)
    if delta != 1:
        raise ValueError("a range of a size that is not known, in steps other than 1")
    b.given[layer.name] = (limit - start,)
    return ops.add(b.sizes.ruler(limit - start), b.sizes.number(start))


def _shape(b: Builder, layer: Layer):
    dims = b.dims(layer.inputs[0])
    found = np.empty(len(dims), object if unknown(dims) else np.int64)
    found[:] = list(dims)
    return found


LAYERS: dict[str, Function] = {
    "reshape": _reshape,
    "flatten": _flatten,
    "tile": _tile,
    "broadcast_to": _broadcast_to,
    "fill": _fill,
    "range": _range,
    "shape": _shape,
}
