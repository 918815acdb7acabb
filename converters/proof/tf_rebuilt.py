"""Operations that a CPU lacks, in float64 or with channels first, made of others.

Each function takes a NodeDef and its inputs, and gives the outputs. What is computed is the
definition of the operation, in the type of its inputs; sources are TensorFlow's kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from converters.files.graphdef import FUSED_EPSILON
from converters.proof.tf_kernels import written
from slim_resnet.frameworks import require

tf = require("tensorflow.compat.v1")

Rebuild = Callable[..., list]


def _number(node, name: str, default: float) -> float:
    return written(node.attr[name].f) if name in node.attr else default


def fused_batch_norm(node, inputs: Sequence) -> list:
    """FusedBatchNorm, V2 and V3, [batch, height, width, channels]."""
    x, gamma, beta, mean, variance = inputs
    new_mean, new_variance = mean, variance
    if node.attr["is_training"].b if "is_training" in node.attr else True:
        factor = _number(node, "exponential_avg_factor", 1.0)
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        count = tf.cast(tf.reduce_prod(tf.shape(x)[:3]), x.dtype)
        unbiased = variance * count / tf.maximum(count - 1, 1)
        if factor == 1:
            new_mean, new_variance = mean, unbiased
        else:
            new_mean = (1 - factor) * new_mean + factor * mean
            new_variance = (1 - factor) * new_variance + factor * unbiased
    epsilon = _number(node, "epsilon", FUSED_EPSILON)
    y = (x - mean) * tf.rsqrt(variance + epsilon) * gamma + beta
    return [y, new_mean, new_variance, mean, variance, tf.zeros([], x.dtype)]


def lrn(node, inputs: Sequence) -> list:
    """Local response normalization over neighbouring channels, of [..., channels]."""
    (x,) = inputs
    radius = node.attr["depth_radius"].i if "depth_radius" in node.attr else 5
    channels = tf.range(tf.shape(x)[3])
    near = tf.abs(channels[:, tf.newaxis] - channels) <= radius
    total = tf.tensordot(tf.square(x), tf.cast(near, x.dtype), 1)
    scale = _number(node, "bias", 1.0) + _number(node, "alpha", 1.0) * total
    return [x * tf.pow(scale, -_number(node, "beta", 0.5))]


def resize_bilinear(node, inputs: Sequence) -> list:
    """ResizeBilinear in all three ways of placing pixels; it is separable."""
    x, size = inputs
    for axis in (1, 2):
        x = _interpolated(node, x, size[axis - 1], axis)
    return [x]


def _interpolated(node, x, size, axis: int):
    """`x` [batch, height, width, channels] with `size` pixels along an axis."""
    old = tf.shape(x)[axis]
    place = _source_places(node, old, size, x.dtype)
    floor = tf.floor(place)
    last = tf.cast(old - 1, x.dtype)
    low, high = tf.maximum(floor, 0), tf.minimum(floor + 1, last)
    share = tf.reshape(place - floor, [-1, 1, 1] if axis == 1 else [-1, 1])
    below, above = (
        tf.gather(x, tf.cast(tf.minimum(each, last), tf.int32), axis=axis) for each in (low, high)
    )
    return below + (above - below) * share


def _source_places(node, old, size, dtype):
    """Where each new pixel lies among the `old` ones."""
    flags = {name: node.attr[name].b for name in ("align_corners", "half_pixel_centers")}
    new = tf.cast(tf.range(size), dtype)
    scale = tf.cast(old, dtype) / tf.cast(size, dtype)
    if flags["align_corners"]:
        corners = tf.cast(old - 1, dtype) / tf.cast(tf.maximum(size - 1, 1), dtype)
        scale = tf.where_v2(size > 1, corners, scale)
    return (new + 0.5) * scale - 0.5 if flags["half_pixel_centers"] else new * scale


# Kind of operation without a kernel in float64 -> its definition in others.
REBUILT: dict[str, Rebuild] = {
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), fused_batch_norm),
    "LRN": lrn,
    "ResizeBilinear": resize_bilinear,
}

# Kinds of operation that a CPU does with channels last only -> which inputs are images; output 0 is
# one, too.
CHANNELS_LAST = {
    **dict.fromkeys(("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool"), (0,)),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), (0,)),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), (0,)),
    "Conv2DBackpropInput": (2,),
}
_PER_AXIS = ("strides", "ksize", "dilations")
_TO_LAST, _TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)


def is_channels_first(node) -> bool:
    """Whether `channels_last` must take it."""
    return node.op in CHANNELS_LAST and node.attr["data_format"].s == b"NCHW"


def channels_last(node, inputs: Sequence, build: Callable) -> list:
    """An operation on [batch, channels, height, width], done with channels last.

    Args:
        node: its NodeDef.
        inputs: its inputs.
        build: from a NodeDef and inputs to outputs.
    """
    turned = type(node)()
    turned.CopyFrom(node)
    turned.attr["data_format"].s = b"NHWC"
    for name in _PER_AXIS:
        if name in node.attr:
            values = node.attr[name].list.i
            turned.attr[name].list.i[:] = [values[axis] for axis in _TO_LAST]
    pads = node.attr["explicit_paddings"].list.i
    if pads:
        turned.attr["explicit_paddings"].list.i[:] = [
            pads[2 * axis + side] for axis in _TO_LAST for side in (0, 1)
        ]
    images = CHANNELS_LAST[node.op]
    inputs = [tf.transpose(x, _TO_LAST) if i in images else x for i, x in enumerate(inputs)]
    if node.op == "Conv2DBackpropInput":  # its first input is the shape of its output
        inputs[0] = tf.gather(inputs[0], _TO_LAST)
    first, *others = build(turned, inputs)
    return [tf.transpose(first, _TO_FIRST), *others]
