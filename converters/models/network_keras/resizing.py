"""Resizing exactly as TensorFlow 1 places pixels, which is Keras's way only where its centers are.

Source: TensorFlow's `core/kernels/image/image_resizer_state.h`, `resize_bilinear_op.cc`,
`resize_nearest_neighbor_op.cc`, `resize_bicubic_op.cc`.
"""

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
from converters.models.network_keras.gathering import broadcast
from converters.models.network_keras.sizes import Dim

_MAX_FACTOR = 64
_STEPS = 1024  # of the table of bicubic weights


def _resize(b: Builder, layer: Layer):
    sizes = tuple(b.option(layer, "size", list(layer.inputs[1:])))
    dims, options = b.dims(layer.inputs[0]), layer.options
    b.given[layer.name] = (dims[0], *sizes, dims[3])
    factors = [_factor(dims[axis + 1], sizes[axis]) for axis in (0, 1)]
    if None not in factors and _is_repetition(options):
        return _upsampling(b, layer, factors, "nearest")
    if options["method"] == "bilinear" and options["half_pixel_centers"] and b.dtype == "float32":
        if None not in factors:
            return _upsampling(b, layer, factors, "bilinear")
        if not any(map(is_unknown, sizes)):
            return b.layer(layers.Resizing, layer, b.tensor(layer.inputs[0]), *sizes)
    value = b.tensor(layer.inputs[0])
    for axis in (1, 2):
        value = _METHODS[options["method"]](b, layer, value, axis, dims[axis], sizes[axis - 1])
    return value


def _is_repetition(options) -> bool:
    return options["method"] == "nearest" and not options["align_corners"]


def _upsampling(b: Builder, layer: Layer, factors: list[int], method: str):
    value = b.tensor(layer.inputs[0])
    return b.layer(layers.UpSampling2D, layer, value, tuple(factors), interpolation=method)


def _factor(size: Dim, wanted: Dim) -> int | None:
    """How many times a size is the wanted one."""
    return next((n for n in range(1, _MAX_FACTOR) if size * n == wanted), None)


def _places(b: Builder, layer: Layer, size: Dim, wanted: Dim, dtype: str):
    """Where each pixel of the result lies among those of the image."""
    corners, centers = (layer.options[n] for n in ("align_corners", "half_pixel_centers"))
    ruler = b.sizes.ruler(wanted)
    if not is_unknown(size) and not is_unknown(wanted):
        whole = (size - 1, wanted - 1) if corners and wanted > 1 else (size, wanted)
        scale = np.dtype(dtype).type(whole[0]) / np.dtype(dtype).type(whole[1])
        shift = np.dtype(dtype).type(0.5 if centers else 0)
        return (ruler.astype(dtype) + shift) * scale - _back(layer, shift)
    length, total = (ops.cast(b.sizes.number(each), dtype) for each in (size, wanted))
    scale = ops.divide(length, total)
    if corners:
        inner = ops.divide(ops.subtract(length, 1.0), ops.maximum(ops.subtract(total, 1.0), 1.0))
        scale = ops.where(ops.greater(total, 1.0), inner, scale)
    shift = 0.5 if centers else 0.0
    places = ops.multiply(ops.add(ops.cast(ruler, dtype), shift), scale)
    return ops.subtract(places, _back(layer, shift))


def _back(layer: Layer, shift):
    """The nearest neighbour of a pixel's center is found without going back to its corner."""
    return shift * 0 if layer.options["method"] == "nearest" else shift


def _of(place):
    """NumPy for arrays, Keras for tensors: their functions have the same names."""
    return ops if is_tensor(place) else np


def _nearest(b: Builder, layer: Layer, value, axis: int, size: Dim, wanted: Dim):
    places = _places(b, layer, size, wanted, "float32")
    xp = _of(places)
    corners = layer.options["align_corners"]
    index = xp.floor(xp.add(places, 0.5)) if corners else xp.floor(places)
    return ops.take(value, _clipped(b, index, size), axis=axis)


def _clipped(b: Builder, index, size: Dim):
    """Places as integers inside an image."""
    last = b.sizes.number(size - 1)
    if not is_tensor(index) and not is_tensor(last):
        return np.clip(index, 0, last).astype(np.int32)
    return ops.minimum(ops.maximum(ops.cast(index, "int32"), 0), last)


def _bilinear(b: Builder, layer: Layer, value, axis: int, size: Dim, wanted: Dim):
    places = _places(b, layer, size, wanted, b.dtype)
    xp = _of(places)
    low = xp.floor(places)
    share = broadcast_any(xp.subtract(places, low), axis)
    value = value if str(value.dtype) == b.dtype else ops.cast(value, b.dtype)
    first, second = (
        ops.take(value, _clipped(b, index, size), axis=axis) for index in (low, xp.ceil(places))
    )
    return ops.add(first, ops.multiply(ops.subtract(second, first), share))


def broadcast_any(vector, axis: int):
    """A vector along an axis of images."""
    if is_tensor(vector):
        return broadcast(vector, axis, 4)
    return vector.reshape([-1 if at == axis else 1 for at in range(4)])


def _bicubic(b: Builder, layer: Layer, value, axis: int, size: Dim, wanted: Dim):
    places = _places(b, layer, size, wanted, "float32")
    if is_tensor(places):
        raise ValueError("bicubic resizing to a size that is not known")
    value = value if str(value.dtype) == b.dtype else ops.cast(value, b.dtype)
    first = np.floor(places)
    centers = layer.options["half_pixel_centers"]
    weights = _cubic(places - first, -0.5 if centers else -0.75)
    indices = [_clipped(b, first + tap, size) for tap in (-1, 0, 1, 2)]
    if centers:  # what lies outside does not count
        weights = weights * np.stack(
            [i == first + t for t, i in zip((-1, 0, 1, 2), indices, strict=True)]
        )
        weights = weights / weights.sum(0)
    total = None
    for index, weight in zip(indices, weights.astype(b.dtype), strict=True):
        part = ops.multiply(ops.take(value, index, axis=axis), broadcast_any(weight, axis))
        total = part if total is None else ops.add(total, part)
    return total


def _cubic(offset: np.ndarray, a: float) -> np.ndarray:
    """The weights [4, n] of the pixels around n places, by TensorFlow's table."""
    near = np.round(offset * _STEPS) / _STEPS
    inner = [((a + 2) * x - (a + 3)) * x * x + 1 for x in (near, 1 - near)]
    outer = [((a * x - 5 * a) * x + 8 * a) * x - 4 * a for x in (near + 1, 2 - near)]
    return np.stack([outer[0], *inner, outer[1]])


_METHODS = {"nearest": _nearest, "bilinear": _bilinear, "bicubic": _bicubic}
LAYERS: dict[str, Function] = {"resize": _resize}
