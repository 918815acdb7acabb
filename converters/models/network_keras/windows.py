"""Windows, paddings, and blocks that move between space, channels and batch."""

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
from converters.models.network_keras.gathering import gathered, interleaved

_LOWEST = float(np.finfo(np.float32).min)
_NOT_NEGATIVE = frozenset(("relu", "relu6", "sigmoid", "softplus", "square", "abs", "softmax"))


def _window(layer: Layer, padding: str) -> dict:
    kernel, strides = layer.options["kernel"], layer.options["strides"]
    return {"pool_size": kernel, "strides": strides, "padding": padding.lower()}


def _max_pool(b: Builder, layer: Layer):
    value, padding = b.tensor(layer.inputs[0]), layer.options["padding"]
    if padding not in ("SAME", "VALID"):
        before = b.network.layer(layer.inputs[0])
        if before is not None and before.kind in _NOT_NEGATIVE:  # zeros do for minus infinity
            value = b.layer(layers.ZeroPadding2D, layer, value, padding, suffix="pad")
        else:
            pads = ((0, 0), *padding, (0, 0))
            value = ops.pad(value, pads, mode="constant", constant_values=_LOWEST)
        padding = "VALID"
    return b.layer(layers.MaxPooling2D, layer, value, **_window(layer, padding))


def _avg_pool(b: Builder, layer: Layer):
    value, padding = b.tensor(layer.inputs[0]), layer.options["padding"]
    if padding not in ("SAME", "VALID"):
        value = b.layer(layers.ZeroPadding2D, layer, value, padding, suffix="pad")
        padding = "VALID"
    return b.layer(layers.AveragePooling2D, layer, value, **_window(layer, padding))


def _pad(b: Builder, layer: Layer):
    value, mode = b.tensor(layer.inputs[0]), layer.options["mode"]
    paddings = b.option(layer, "paddings", list(layer.inputs[1:]))
    number = layer.options["value"]
    if any(is_unknown(side) for pair in paddings for side in pair):
        return _pad_unknown(b, layer, value, paddings)
    paddings = tuple(map(tuple, paddings))
    if mode != "CONSTANT":
        return ops.pad(value, paddings, mode=mode.lower())
    of_images = len(paddings) == 4 and paddings[0] == paddings[3] == (0, 0)
    if of_images and number == 0 and np.dtype(str(value.dtype)).kind == "f":
        return b.layer(layers.ZeroPadding2D, layer, value, paddings[1:3])
    return ops.pad(value, paddings, mode="constant", constant_values=number)


def _pad_unknown(b: Builder, layer: Layer, value, paddings):
    """Gathers from the value with one entry of padding at each end."""
    if layer.options["mode"] != "CONSTANT":
        raise ValueError("a mirror of a size that is not known")
    dims = list(b.dims(layer.inputs[0]))
    for axis, (before, after) in enumerate(paddings):
        if before == after == 0:
            continue
        ends = [(int(at == axis),) * 2 for at in range(len(dims))]
        value = ops.pad(value, ends, mode="constant", constant_values=layer.options["value"])
        places = b.sizes.ruler(dims[axis] + before + after)
        places = ops.subtract(places, ops.subtract(b.sizes.number(before), 1))
        last = ops.add(b.sizes.number(dims[axis]), 1)
        value = ops.take(value, ops.minimum(ops.maximum(places, 0), last), axis=axis)
        dims[axis] = dims[axis] + before + after
    b.given[layer.name] = tuple(dims)
    return value


def _depth_to_space(b: Builder, layer: Layer):
    block, name = layer.options["block"], layer.inputs[0]
    _, height, width, _ = b.dims(name)
    rows = []
    for row in ops.split(b.tensor(name), block, axis=3):
        rows.append(interleaved(b.sizes, ops.split(row, block, axis=3), 2, width))
    return interleaved(b.sizes, rows, 1, height)


def _space_to_depth(b: Builder, layer: Layer):
    value, block = b.tensor(layer.inputs[0]), layer.options["block"]
    parts = [value[:, i::block, j::block] for i in range(block) for j in range(block)]
    return ops.concatenate(parts, axis=3)


def _space_to_batch(b: Builder, layer: Layer):
    pairs = b.option(layer, "paddings", list(layer.inputs[1:]))
    _check_known(pairs)
    (one, other), value = layer.options["block"], b.tensor(layer.inputs[0])
    value = ops.pad(value, ((0, 0), *map(tuple, pairs), (0, 0)))
    parts = [value[:, i::one, j::other] for i in range(one) for j in range(other)]
    return ops.concatenate(parts, axis=0)


def _batch_to_space(b: Builder, layer: Layer):
    pairs = b.option(layer, "crops", list(layer.inputs[1:]))
    _check_known(pairs)
    (one, other), name = layer.options["block"], layer.inputs[0]
    batch, height, width, _ = b.dims(name)
    count = batch // (one * other)
    number = b.sizes.number(count)
    parts = [
        gathered(b.sizes, b.tensor(name), 0, count, ops.multiply(number, place))
        if is_tensor(number)
        else gathered(b.sizes, b.tensor(name), 0, count, number * place)
        for place in range(one * other)
    ]
    rows = [
        interleaved(b.sizes, parts[row * other : (row + 1) * other], 2, width) for row in range(one)
    ]
    value = interleaved(b.sizes, rows, 1, height)
    (top, bottom), (left, right) = pairs
    return value[:, top : -bottom or None, left : -right or None]


def _check_known(pairs) -> None:
    if any(is_unknown(side) for pair in pairs for side in pair):
        raise ValueError("blocks with paddings that depend on the image's size")


def _lrn(b: Builder, layer: Layer):
    value, options = b.tensor(layer.inputs[0]), layer.options
    radius, depth = options["depth_radius"], value.shape[-1]
    squares = ops.pad(ops.square(value), ((0, 0), (0, 0), (0, 0), (radius, radius)))
    total = squares[..., :depth]
    for first in range(1, 2 * radius + 1):
        total = ops.add(total, squares[..., first : first + depth])
    base = ops.add(ops.multiply(total, options["alpha"]), options["bias"])
    return ops.divide(value, ops.power(base, options["beta"]))


LAYERS: dict[str, Function] = {
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "pad": _pad,
    "depth_to_space": _depth_to_space,
    "space_to_depth": _space_to_depth,
    "space_to_batch": _space_to_batch,
    "batch_to_space": _batch_to_space,
    "lrn": _lrn,
}
