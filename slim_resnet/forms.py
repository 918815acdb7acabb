"""The transformation of a bottleneck unit in each of its equivalent forms.

Fig. 3 of arXiv:1611.05431: (a) `branches`, split, transform each, sum; (b) `concat`, early
concatenation; (c) `grouped`, grouped convolution. `slim_resnet.arch.variables` says how their
variables relate.
"""

from __future__ import annotations

from slim_resnet import resnet_utils
from slim_resnet.arch.parts import check_cardinality, check_form
from slim_resnet.compat import slim, tf


def residual(
    inputs,
    depth,
    depth_bottleneck,
    stride,
    rate,
    cardinality=1,
    form="grouped",
    *,
    last=None,
    stride_conv="conv2",
    padding="symmetric",
):
    """1x1, 3x3 in `cardinality` groups, 1x1: a bottleneck unit without its shortcut.

    Args:
        inputs: a tensor [batch, height, width, channels].
        depth: channels of the output.
        depth_bottleneck: channels of the 3x3 convolution, all groups together.
        stride: the stride of the convolution called `stride_conv`.
        rate: the rate of atrous convolution of the 3x3.
        cardinality: the number of groups or branches.
        form: "grouped", "concat" or "branches".
        last: keywords of `slim.conv2d` for conv3.
        stride_conv: conv2, or e.g. conv1 as in the CIFAR script and in Caffe's ResNets.
        padding: of conv2, see `resnet_utils.conv2d_same`.

    Returns:
        A tensor [batch, ceil(height / stride), ceil(width / stride), depth].

    Raises:
        ValueError: `cardinality` does not divide `depth_bottleneck`, or there is no such form.
    """
    check_form(form)
    check_cardinality(depth_bottleneck, cardinality)
    last = last or {}
    strides = {"conv1": 1, "conv2": 1, "conv3": 1, stride_conv: stride}

    def transform(width, groups):
        net = slim.conv2d(inputs, width, [1, 1], stride=strides["conv1"], scope="conv1")
        return resnet_utils.conv2d_same(
            net, width, 3, strides["conv2"], rate, "conv2", groups=groups, padding=padding
        )

    def project(net, **kwargs):
        return slim.conv2d(net, depth, [1, 1], stride=strides["conv3"], scope="conv3", **kwargs)

    if form == "grouped" or cardinality == 1:
        return project(transform(depth_bottleneck, cardinality), **last)
    branches = []
    for branch in range(cardinality):
        with tf.variable_scope(f"branch_{branch}"):
            net = transform(depth_bottleneck // cardinality, 1)
            if form == "branches":
                net = project(net, normalizer_fn=None, biases_initializer=None, activation_fn=None)
            branches.append(net)
    if form == "concat":
        return project(_end_point("conv2", tf.concat(branches, 3)), **last)
    with tf.variable_scope("conv3"):
        net = _normalize_or_bias(tf.add_n(branches), **last)
    return _end_point("conv3", net)


def _scoped() -> dict:
    """What the current arg scope sets for `slim.conv2d`."""
    return slim.current_arg_scope().get(slim.arg_scope_func_key(slim.conv2d), {})


def _end_point(name, net):
    """Collects `net` where `slim.conv2d` would collect the output of a layer `name`."""
    scope = tf.get_variable_scope().name
    return slim.utils.collect_named_outputs(
        _scoped().get("outputs_collections"), f"{scope}/{name}", net
    )


def _normalize_or_bias(net, **kwargs):
    """What `slim.conv2d` does after its convolution: a batch norm or else biases."""
    args = {**_scoped(), **kwargs}
    if args.get("normalizer_fn") is not None:
        net = args["normalizer_fn"](net, **(args.get("normalizer_params") or {}))
    else:
        biases = slim.model_variable(
            "biases",
            shape=[net.shape[-1]],
            dtype=net.dtype.base_dtype,
            initializer=args.get("biases_initializer", tf.zeros_initializer()),
        )
        net = tf.nn.bias_add(net, biases)
    return args["activation_fn"](net) if args.get("activation_fn") else net
