"""Layers with weights."""

from __future__ import annotations

import numpy as np

from converters.graphs.network import Layer
from converters.models.network_keras.builder import Builder, Function, is_unknown, layers, ops
from converters.models.network_keras.gathering import gathered
from converters.models.network_keras.naming import alpha_shape

_MOMENTUM = 0.99  # Keras's own, where the graph does not train


def _kernel_shape(b: Builder, layer: Layer) -> tuple[int, ...]:
    return b.network.parameters[layer.weights["kernel"]].shape


def _common(b: Builder, layer: Layer) -> dict:
    """What Keras's layers with a kernel have in common."""
    return {
        "use_bias": "bias" in layer.weights,
        "trainable": b.is_trainable(layer, ("kernel", "bias")),
    }


def _padded(b: Builder, layer: Layer):
    """The input and Keras's word for the padding; explicit zeros are there already."""
    value, padding = b.tensor(layer.inputs[0]), layer.options["padding"]
    if padding in ("SAME", "VALID"):
        return value, padding.lower()
    return b.layer(layers.ZeroPadding2D, layer, value, padding, suffix="pad"), "valid"


def _conv(b: Builder, layer: Layer):
    height, width, _, depth = _kernel_shape(b, layer)
    value, padding = _padded(b, layer)
    return b.layer(
        layers.Conv2D, layer, value, depth, (height, width), padding=padding,
        strides=layer.options["strides"], dilation_rate=layer.options["dilations"],
        groups=layer.options["groups"], **_common(b, layer),
    )  # fmt: skip


def _depthwise_conv(b: Builder, layer: Layer):
    height, width, _, multiplier = _kernel_shape(b, layer)
    value, padding = _padded(b, layer)
    return b.layer(
        layers.DepthwiseConv2D, layer, value, (height, width), padding=padding,
        depth_multiplier=multiplier, strides=layer.options["strides"],
        dilation_rate=layer.options["dilations"], **_common(b, layer),
    )  # fmt: skip


def _conv_transpose(b: Builder, layer: Layer):
    height, width, depth, _ = _kernel_shape(b, layer)
    value, options = b.tensor(layer.inputs[0]), layer.options
    more = {"strides": options["strides"], **_common(b, layer)}
    kernel = (height, width)
    if options["size"] is None and len(layer.inputs) == 1:
        padding = options["padding"].lower()
        return b.layer(layers.Conv2DTranspose, layer, value, depth, kernel, padding=padding, **more)
    # Whatever the wanted size is, its pixels are those of a VALID one, of which some are cropped;
    # one row and column more so that there are enough.
    longer = b.layer(layers.ZeroPadding2D, layer, value, ((0, 1), (0, 1)), suffix="pad")
    whole = b.layer(layers.Conv2DTranspose, layer, longer, depth, kernel, padding="valid", **more)
    size = _wanted_size(b, layer)
    first = [_cropped(b, layer, axis, size[axis], kernel[axis]) for axis in (0, 1)]
    b.given[layer.name] = (b.dims(layer.inputs[0])[0], *size, depth)
    for axis in (0, 1):
        whole = gathered(b.sizes, whole, axis + 1, size[axis], first[axis])
    return whole


def _wanted_size(b: Builder, layer: Layer) -> tuple:
    if layer.options["size"] is not None:
        return layer.options["size"]
    sizes = b.known(layer.inputs[1]).tolist()
    return tuple(sizes[1:3] if len(sizes) == 4 else sizes)


def _cropped(b: Builder, layer: Layer, axis: int, size, kernel: int):
    """How many pixels TensorFlow leaves out before the first: half of those that are too many."""
    if layer.options["padding"] == "VALID":
        return 0
    length, stride = b.dims(layer.inputs[0])[axis + 1], layer.options["strides"][axis]
    surplus = (length - 1) * stride + kernel - size
    if not is_unknown(surplus):
        return max(surplus, 0) // 2
    return ops.floor_divide(ops.maximum(b.sizes.number(surplus), 0), 2)


def _dense(b: Builder, layer: Layer):
    _, depth = _kernel_shape(b, layer)
    return b.layer(layers.Dense, layer, b.tensor(layer.inputs[0]), depth, **_common(b, layer))


def _batch_norm(b: Builder, layer: Layer):
    decay = layer.options["decay"]
    return b.layer(
        layers.BatchNormalization, layer, b.tensor(layer.inputs[0]), axis=-1,
        momentum=_MOMENTUM if decay is None else decay, epsilon=layer.options["epsilon"],
        scale="gamma" in layer.weights, center="beta" in layer.weights,
        trainable=b.is_trainable(layer, ("gamma", "beta")),
    )  # fmt: skip


def _prelu(b: Builder, layer: Layer):
    value = b.tensor(layer.inputs[0])
    shape = alpha_shape(layer, b.network.parameters[layer.weights["alpha"]])
    shared = [axis + 1 for axis, size in enumerate(shape) if size == 1]
    trainable = b.is_trainable(layer, ("alpha",))
    return b.layer(layers.PReLU, layer, value, shared_axes=shared, trainable=trainable)


def _bias(b: Builder, layer: Layer):
    return ops.add(b.tensor(layer.inputs[0]), b.parameter(layer, "bias"))


def _parameter(b: Builder, layer: Layer):
    value = b.parameter(layer, "value")
    is_integer = isinstance(value, np.ndarray) and value.dtype.kind in "iu"
    return value.astype(np.int64 if value.dtype.itemsize > 4 else np.int32) if is_integer else value


LAYERS: dict[str, Function] = {
    "conv": _conv,
    "depthwise_conv": _depthwise_conv,
    "conv_transpose": _conv_transpose,
    "dense": _dense,
    "batch_norm": _batch_norm,
    "prelu": _prelu,
    "bias": _bias,
    "parameter": _parameter,
}
