"""The pre-activation residual networks (v2): `tf_slim.nets.resnet_v2` on today's TensorFlow.

Batch norm and ReLU come before every convolution (arXiv:1603.05027). Variable names, end points,
signatures and defaults are those of tf-slim::

    from slim_resnet import resnet_v2
    from slim_resnet.compat import slim, tf

    images = tf.placeholder(tf.float32, [None, 299, 299, 3])
    with slim.arg_scope(resnet_v2.resnet_arg_scope()):
        net, end_points = resnet_v2.resnet_v2_101(images, 1001, is_training=False)
"""

from __future__ import annotations

from slim_resnet import forms, resnet_utils
from slim_resnet.arch import REGISTRY
from slim_resnet.arch.parts import Stage, UnitOptions
from slim_resnet.compat import slim, tf
from slim_resnet.generator import generator_fn, network_fn
from slim_resnet.layers import activation_fn

resnet_arg_scope = resnet_utils.resnet_arg_scope

_SLIM = UnitOptions()


@slim.add_arg_scope
def bottleneck(
    inputs,
    depth,
    depth_bottleneck,
    stride,
    rate=1,
    outputs_collections=None,
    scope=None,
    *,
    unit_rate=1,
    options=_SLIM,
):
    """Bottleneck residual unit with batch norm and ReLU before the convolutions.

    Args:
        inputs: a tensor [batch, height, width, channels], not yet normalised.
        depth: channels of the unit's output.
        depth_bottleneck: channels of the bottleneck.
        stride: the unit's stride, on the 3x3 convolution and on the shortcut.
        rate: the rate of atrous convolution.
        outputs_collections: collection to which the output is added.
        scope: optional variable scope.
        unit_rate: multiplies `rate`, for this unit alone (DeepLab's multi-grid).
        options: an `arch.parts.UnitOptions`.

    Returns:
        A tensor [batch, ceil(height / stride), ceil(width / stride), depth].
    """
    return bottleneck_unit(
        inputs, depth, depth_bottleneck, stride, rate * unit_rate, outputs_collections, scope,
        options=options,
    )  # fmt: skip


def bottleneck_unit(
    inputs,
    depth,
    depth_bottleneck,
    stride,
    rate,
    outputs_collections,
    scope,
    *,
    cardinality=1,
    form="grouped",
    options=_SLIM,
):
    """The unit behind `bottleneck` here (cardinality 1) and in `resnext_v2`."""
    plain = {"normalizer_fn": None, "activation_fn": None}
    if not options.bias:
        plain["biases_initializer"] = None
    with tf.variable_scope(scope, "bottleneck_v2", [inputs]) as sc:
        activate = activation_fn(options.activation)
        preact = slim.batch_norm(inputs, activation_fn=activate, scope="preact")
        shortcut = resnet_utils.shortcut(
            inputs,
            depth,
            stride,
            source=preact,
            project=options.project,
            average=options.average,
            **plain,
        )
        residual = forms.residual(
            preact,
            depth,
            depth_bottleneck,
            stride,
            rate,
            cardinality,
            form,
            last=plain,
            stride_conv=options.stride_conv or "conv2",
            padding=options.padding,
        )
        if options.se_depth:
            residual = resnet_utils.squeeze_and_excite(residual, options.se_depth)
        output = shortcut + residual
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, output)


resnet_v2 = generator_fn(
    "resnet_v2",
    __name__,
    [bottleneck],
    """Generator of v2 (pre-activation) ResNets from a list of blocks.

    Without a root block, `inputs` should be the output of a convolution without activation.""",
    preactivation=True,
)


def resnet_v2_block(scope, base_depth, num_units, stride, *, convention="slim"):
    """A `Block` of pre-activation units; arguments as in `resnet_v1.resnet_v1_block`."""
    stage = Stage(num_units, 4 * base_depth, base_depth, stride)
    return resnet_utils.stage_block(scope, bottleneck, stage, convention)


resnet_v2_50 = network_fn(REGISTRY["resnet_v2_50"], resnet_v2, bottleneck)
resnet_v2_101 = network_fn(REGISTRY["resnet_v2_101"], resnet_v2, bottleneck)
resnet_v2_152 = network_fn(REGISTRY["resnet_v2_152"], resnet_v2, bottleneck)
resnet_v2_200 = network_fn(REGISTRY["resnet_v2_200"], resnet_v2, bottleneck)
