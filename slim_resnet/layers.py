"""What slim lacks: a grouped `conv2d` that obeys `slim.arg_scope`, and its gradient everywhere.

And activations by their names in `slim_resnet.arch.parts.ACTIVATIONS`.
"""

from __future__ import annotations

import functools

from slim_resnet.arch.parts import check_cardinality
from slim_resnet.compat import slim, tf

_GRADIENT = "SlimGroupedConv2D"

_ACTIVATIONS = {
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "leaky_relu": tf.nn.leaky_relu,
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "swish": tf.nn.swish,
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
}


def activation_fn(activation):
    """TensorFlow's function for an `arch.Activation`; None for None."""
    if activation is None:
        return None
    function = _ACTIVATIONS[activation.name]
    if activation.name == "leaky_relu":
        return functools.partial(function, alpha=activation.slope)
    return function


def grouped_conv2d(inputs, num_outputs, kernel_size, groups, **kwargs):
    """A `slim.conv2d` whose filters see `1 / groups` of the input channels each.

    It is a `slim.conv2d` in all else: takes the same keywords, obeys what `slim.arg_scope` sets for
    `slim.conv2d`, creates `weights` (and `biases` or a batch norm) under the same names and adds
    them to the same collections. Grouped convolution as in arXiv:1611.05431, Fig. 3(c).

    The graph holds one native `Conv2D` op. Its gradient is the native one too, where TensorFlow has
    it; elsewhere (float64, or oneDNN off, on a CPU) it is that of one convolution per group. A
    MetaGraph of such a graph needs `import slim_resnet.layers` before gradients are taken anew.

    A `Snapshot`, which hands its input on, follows the `Conv2D`: it keeps grappler from fusing a
    batch norm or bias into it, as TensorFlow's fused kernel has no groups where oneDNN is off or
    not built in. So one graph runs everywhere.

    Args:
        inputs: a tensor [batch, height, width, channels] ([batch, channels, height, width] with
            data_format="NCHW").
        num_outputs: the number of output channels, all groups together.
        kernel_size: an int or a pair of ints.
        groups: the number of groups (cardinality); 1 is a plain convolution.
        **kwargs: those of `slim.conv2d`.

    Returns:
        A tensor [batch, height_out, width_out, num_outputs].

    Raises:
        ValueError: `groups` does not divide both channel numbers; the message names them. Or both
            `stride` and `rate` are above 1.
    """
    scoped = slim.current_arg_scope().get(slim.arg_scope_func_key(slim.conv2d), {})
    return _grouped_conv2d(inputs, num_outputs, kernel_size, groups, **{**scoped, **kwargs})


def _grouped_conv2d(
    inputs,
    num_outputs,
    kernel_size,
    groups,
    stride=1,
    padding="SAME",
    data_format=None,
    rate=1,
    activation_fn=tf.nn.relu,
    normalizer_fn=None,
    normalizer_params=None,
    weights_initializer=slim.xavier_initializer(),  # noqa: B008 - slim's own default
    weights_regularizer=None,
    biases_initializer=tf.zeros_initializer(),  # noqa: B008
    biases_regularizer=None,
    reuse=None,
    variables_collections=None,
    outputs_collections=None,
    trainable=True,
    scope=None,
):
    with tf.variable_scope(scope, "Conv", [inputs], reuse=reuse) as sc:
        inputs = tf.convert_to_tensor(inputs)
        data_format = data_format or "NHWC"
        depth_in = _channels(inputs, data_format)
        check_cardinality(depth_in, groups)
        check_cardinality(num_outputs, groups)
        stride, rate = _pair(stride), _pair(rate)
        if stride != (1, 1) and rate != (1, 1):
            raise ValueError(f"stride {stride} and rate {rate} cannot both be above 1")

        def variable(name, shape, initializer, regularizer):
            return slim.model_variable(
                name,
                shape=shape,
                dtype=inputs.dtype.base_dtype,
                initializer=initializer,
                regularizer=regularizer,
                trainable=trainable,
                collections=slim.utils.get_variable_collections(variables_collections, name),
            )

        shape = [*_pair(kernel_size), depth_in // groups, num_outputs]
        weights = variable("weights", shape, weights_initializer, weights_regularizer)
        with tf.get_default_graph().gradient_override_map({"Conv2D": _GRADIENT}):
            outputs = tf.nn.conv2d(
                inputs,
                tf.convert_to_tensor(weights),
                strides=stride,
                padding=padding,
                data_format=data_format,
                dilations=rate,
                name="Conv2D",
            )
        outputs = _unfusable(outputs)
        if normalizer_fn is not None:
            outputs = normalizer_fn(outputs, **(normalizer_params or {}))
        elif biases_initializer is not None:
            biases = variable("biases", [num_outputs], biases_initializer, biases_regularizer)
            outputs = tf.nn.bias_add(outputs, biases, data_format=data_format)
        if activation_fn is not None:
            outputs = activation_fn(outputs)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, outputs)


def _unfusable(outputs):
    """`outputs` behind an operation that grappler's remapper neither removes nor looks through."""
    with tf.get_default_graph().gradient_override_map({"Snapshot": "Identity"}):  # it has none
        return tf.raw_ops.Snapshot(input=outputs, name="Snapshot")


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _channels(inputs, data_format: str) -> int:
    """The static number of channels of a rank-4 tensor."""
    if inputs.shape.rank != 4 or inputs.shape[data_format.index("C")] is None:
        raise ValueError(
            f"{inputs.name} has shape {inputs.shape}: a grouped convolution needs rank 4 and a "
            f"known number of channels ({data_format})"
        )
    return inputs.shape[data_format.index("C")]


@tf.RegisterGradient(_GRADIENT)
def _grouped_conv2d_gradient(op, grad):
    """Native where TensorFlow has one, else that of one convolution per group."""
    if _has_native_gradient(op):
        return _native_gradient(op, grad)
    inputs, weights = op.inputs
    return tf.gradients(_split_conv2d(op), [inputs, weights], grad)


def _native_gradient(op, grad):
    inputs, weights = op.inputs
    attrs = {
        name: op.get_attr(name) for name in ("strides", "padding", "explicit_paddings", "dilations")
    }
    attrs = {k: v.decode() if isinstance(v, bytes) else v for k, v in attrs.items()}
    attrs["data_format"] = op.get_attr("data_format").decode()
    input_shape, filter_shape = tf.shape_n([inputs, weights])
    return (
        tf.raw_ops.Conv2DBackpropInput(
            input_sizes=input_shape, filter=weights, out_backprop=grad, **attrs
        ),
        tf.raw_ops.Conv2DBackpropFilter(
            input=inputs, filter_sizes=filter_shape, out_backprop=grad, **attrs
        ),
    )


def _split_conv2d(op):
    """`op` again as split + one convolution per group + concat; only its gradient is ever run."""
    inputs, weights = op.inputs
    data_format = op.get_attr("data_format").decode()
    axis = data_format.index("C")
    spatial = [data_format.index(d) for d in "HW"]
    strides, rates = ([op.get_attr(a)[i] for i in spatial] for a in ("strides", "dilations"))
    groups = inputs.shape[axis] // weights.shape[2]
    parts = zip(tf.split(inputs, groups, axis), tf.split(weights, groups, 3), strict=True)
    # tf.nn.convolution, because a dilated Conv2D has no float64 gradient on a CPU either: it
    # reaches for space-to-batch.
    convolve = functools.partial(
        tf.nn.convolution,
        padding=op.get_attr("padding").decode(),
        strides=strides,
        dilations=rates,
        data_format=data_format,
    )
    return tf.concat([convolve(x, w) for x, w in parts], axis)


def _has_native_gradient(op) -> bool:
    device = tf.DeviceSpec.from_string(op.device).device_type
    if device is None and tf.config.list_physical_devices("GPU"):
        device = "GPU"
    if device not in (None, "CPU"):
        return True
    return _cpu_has_native_gradient(op.inputs[0].dtype.base_dtype)


@functools.cache
def _cpu_has_native_gradient(dtype) -> bool:
    """Asks TensorFlow itself, on two 1x1 filters: it depends on the dtype, the build and oneDNN."""
    with tf.Graph().as_default(), tf.device("/CPU:0"):
        gradient = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=[1, 1, 1, 2],
            filter=tf.ones([1, 1, 1, 2], dtype),
            out_backprop=tf.ones([1, 1, 1, 2], dtype),
            strides=[1, 1, 1, 1],
            padding="VALID",
        )
        # No GPU: a probe must not take its memory.
        config = tf.ConfigProto(device_count={"GPU": 0})
        with tf.Session(config=config) as session:
            try:
                session.run(gradient)
            except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
                return False
    return True
