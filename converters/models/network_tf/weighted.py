"""Layers with weights."""

from __future__ import annotations

from converters.models.network_tf.step import Function, Step, tf

raw = tf.raw_ops


def _biased(step: Step, compute):
    """`compute(name)`, and the bias if there is one; the last of the two has the layer's name."""
    bias = step.weights.get("bias")
    if bias is None:
        return compute(step.name)
    return _add_bias(compute(None), bias, step.name)


def _add_bias(x, bias, name: str):
    return tf.nn.bias_add(x, bias, name=name) if x.shape.rank > 1 else tf.add(x, bias, name=name)


def _padded(step: Step):
    """The input and the padding; zeros that the network tells are there already.

    The kernels of 1.15 for CPUs take no explicit padding.
    """
    (x, *_), padding = step.inputs, step.options["padding"]
    if padding in ("SAME", "VALID"):
        return x, padding
    return tf.pad(x, [(0, 0), *padding, (0, 0)]), "VALID"


def _conv(step: Step):
    x, padding = _padded(step)
    kernel, groups = step.weights["kernel"], step.options["groups"]
    window = {"padding": padding, "dilations": step.options["dilations"]}
    strides = step.options["strides"]

    def one(name: str | None, x=x, kernel=kernel):
        return tf.nn.conv2d(x, kernel, strides, name=name, **window)

    def grouped(name: str | None):
        """TensorFlow 1 has no kernel for groups on a CPU."""
        parts = zip(tf.split(x, groups, 3), tf.split(kernel, groups, 3), strict=True)
        return tf.concat([one(None, *part) for part in parts], 3, name=name)

    return _biased(step, grouped if groups > 1 else one)


def _depthwise_conv(step: Step):
    x, padding = _padded(step)
    strides, rates = step.options["strides"], step.options["dilations"]

    def compute(name: str | None):
        if rates != (1, 1):  # by space-to-batch: no CPU has a kernel for it
            made = tf.nn.depthwise_conv2d(
                x, step.weights["kernel"], (1, *strides, 1), padding, rates
            )
            return tf.identity(made, name=name)
        return tf.nn.depthwise_conv2d_native(
            x, step.weights["kernel"], (1, *strides, 1), padding, name=name
        )

    return _biased(step, compute)


def _conv_transpose(step: Step):
    x, kernel, padding = step.inputs[0], step.weights["kernel"], step.options["padding"]
    sizes = tf.stack([tf.shape(x)[0], *_transposed_size(step), kernel.shape[2]])

    def compute(name: str | None):
        return tf.nn.conv2d_transpose(
            x, kernel, sizes, (1, *step.options["strides"], 1), padding, name=name
        )

    return _biased(step, compute)


def _transposed_size(step: Step):
    """Height and width of the output."""
    if step.options["size"] is not None:
        return step.options["size"]
    if len(step.inputs) > 1:
        given = tf.cast(step.inputs[1], tf.int32)
        return tf.unstack(given[-3:-1] if given.shape[0] == 4 else given, 2)
    x, kernel = step.inputs[0], step.weights["kernel"]
    valid = step.options["padding"] == "VALID"
    return [
        _length(x, axis) * stride + (max(kernel.shape[axis - 1] - stride, 0) if valid else 0)
        for axis, stride in zip((1, 2), step.options["strides"], strict=True)
    ]


def _length(x, axis: int):
    """The size of an axis: a number if it is known."""
    return tf.shape(x)[axis] if x.shape[axis] is None else x.shape[axis]


def _dense(step: Step):
    (x,), kernel = step.inputs, step.weights["kernel"]
    if x.shape.rank == 2:
        return _biased(step, lambda name: tf.matmul(x, kernel, name=name))
    return _biased(step, lambda name: tf.tensordot(x, kernel, 1, name=name))


def _batch_norm(step: Step):
    (x,), weights = step.inputs, step.weights
    mean, variance = weights["mean"], weights["variance"]
    gamma = weights.get("gamma", tf.ones_like(mean))
    beta = weights.get("beta", tf.zeros_like(mean))
    epsilon = step.options["epsilon"]
    if step.options["fused"] and x.shape.rank == 4 and x.dtype == tf.float32:
        return raw.FusedBatchNormV3(
            x=x, scale=gamma, offset=beta, mean=mean, variance=variance, epsilon=epsilon,
            is_training=False, name=step.name,
        )[0]  # fmt: skip
    scale = tf.rsqrt(variance + epsilon) * gamma
    return tf.add(x * scale, beta - mean * scale, name=step.name)


LAYERS: dict[str, Function] = {
    "conv": _conv,
    "depthwise_conv": _depthwise_conv,
    "conv_transpose": _conv_transpose,
    "dense": _dense,
    "batch_norm": _batch_norm,
    "bias": lambda step: _add_bias(step.inputs[0], step.weights["bias"], step.name),
    "parameter": lambda step: tf.identity(step.weights["value"], name=step.name),
}
