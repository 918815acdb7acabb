"""The original residual networks (v1): `tf_slim.nets.resnet_v1` on today's TensorFlow.

Batch norm follows every convolution (arXiv:1512.03385). Variable names, end points, signatures and
defaults are those of tf-slim, so an old checkpoint restores with a plain `Saver`::

    from slim_resnet import resnet_v1
    from slim_resnet.compat import slim, tf

    images = tf.placeholder(tf.float32, [None, 224, 224, 3])
    with slim.arg_scope(resnet_v1.resnet_arg_scope()):
        net, end_points = resnet_v1.resnet_v1_101(images, 1000, is_training=False)
"""

from __future__ import annotations

import functools

from slim_resnet import forms, resnet_utils
from slim_resnet.arch import REGISTRY
from slim_resnet.arch.parts import RESIDUAL_BOUND, Stage, UnitOptions
from slim_resnet.compat import slim, tf
from slim_resnet.generator import generate, network_fn
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
    use_bounded_activations=False,
    unit_rate=1,
    options=_SLIM,
):
    """Bottleneck residual unit with batch norm after the convolutions.

    Args:
        inputs: a tensor [batch, height, width, channels].
        depth: channels of the unit's output.
        depth_bottleneck: channels of the bottleneck.
        stride: the unit's stride, on the 3x3 convolution and on the shortcut.
        rate: the rate of atrous convolution.
        outputs_collections: collection to which the output is added.
        scope: optional variable scope.
        use_bounded_activations: the residual clipped to -6 ... 6, and ReLU6 after the projection
            and the sum, for quantised inference.
        unit_rate: multiplies `rate`, for this unit alone (DeepLab's multi-grid).
        options: an `arch.parts.UnitOptions`.

    Returns:
        A tensor [batch, ceil(height / stride), ceil(width / stride), depth].
    """
    return bottleneck_unit(
        inputs, depth, depth_bottleneck, stride, rate * unit_rate, outputs_collections, scope,
        use_bounded_activations=use_bounded_activations,
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
    use_bounded_activations=False,
    options=_SLIM,
):
    """The unit behind `bottleneck` here (cardinality 1) and in `resnext_v1`."""
    bounded = tf.nn.relu6 if use_bounded_activations else None
    with tf.variable_scope(scope, "bottleneck_v1", [inputs]) as sc:
        shortcut = resnet_utils.shortcut(
            inputs,
            depth,
            stride,
            project=options.project,
            average=options.average,
            activation_fn=bounded,
        )
        residual = forms.residual(
            inputs,
            depth,
            depth_bottleneck,
            stride,
            rate,
            cardinality,
            form,
            last={"activation_fn": None},
            stride_conv=options.stride_conv or "conv2",
            padding=options.padding,
        )
        if use_bounded_activations:
            residual = tf.clip_by_value(residual, -RESIDUAL_BOUND, RESIDUAL_BOUND)
        if options.se_depth:
            residual = resnet_utils.squeeze_and_excite(residual, options.se_depth)
        activate = bounded or activation_fn(options.activation) or tf.identity
        output = activate(shortcut + residual)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, output)


@slim.add_arg_scope
def basic(
    inputs,
    depth,
    depth_bottleneck,
    stride,
    rate=1,
    outputs_collections=None,
    scope=None,
    *,
    shortcut="projection",
    unit_rate=1,
    options=_SLIM,
):
    """Basic residual unit: two 3x3 convolutions, the first one strided.

    Args:
        inputs: a tensor [batch, height, width, channels].
        depth: channels of the unit's output.
        depth_bottleneck: channels of the first convolution.
        stride: the unit's stride, on the first convolution and on the shortcut.
        rate: the rate of atrous convolution.
        outputs_collections: collection to which the output is added.
        scope: optional variable scope.
        shortcut: see `resnet_utils.shortcut`.
        unit_rate: multiplies `rate`, for this unit alone (DeepLab's multi-grid).
        options: an `arch.parts.UnitOptions`.

    Returns:
        A tensor [batch, ceil(height / stride), ceil(width / stride), depth].
    """
    with tf.variable_scope(scope, "basic_v1", [inputs]) as sc:
        identity = resnet_utils.shortcut(
            inputs,
            depth,
            stride,
            shortcut,
            project=options.project,
            average=options.average,
            activation_fn=None,
        )
        strides = {"conv1": 1, "conv2": 1, options.stride_conv or "conv1": stride}
        conv3x3 = functools.partial(
            resnet_utils.conv2d_same,
            kernel_size=3,
            rate=rate * unit_rate,
            padding=options.padding,
        )
        residual = conv3x3(inputs, depth_bottleneck, stride=strides["conv1"], scope="conv1")
        with slim.arg_scope([slim.conv2d], activation_fn=None):
            residual = conv3x3(residual, depth, stride=strides["conv2"], scope="conv2")
        if options.se_depth:
            residual = resnet_utils.squeeze_and_excite(residual, options.se_depth)
        activate = activation_fn(options.activation) or tf.identity
        output = activate(identity + residual)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, output)


def resnet_v1(
    inputs,
    blocks,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    include_root_block=True,
    reuse=None,
    scope=None,
    *,
    spatial_squeeze=False,
    store_non_strided_activations=False,
    root_depth=64,
    convention="slim",
    root=None,
    logits_layer="conv",
    logits_bias=True,
):
    """Generator of v1 ResNets from a list of blocks.

    Args:
        inputs: a tensor [batch, height, width, channels].
        blocks: a list of `resnet_utils.Block`.
        num_classes: the number of classes; None: return the features before the logits.
        is_training: whether batch norms use (and update with) the batch's statistics.
        global_pool: average over all positions before the logits; False for dense prediction.
        output_stride: the ratio of input to output resolution, a multiple of 4 with a root block
            (of the root block's own stride); None: the nominal stride.
        include_root_block: whether to begin with the 7x7 convolution and the max pool.
        reuse: whether to reuse the variables of `scope`.
        scope: optional variable scope.
        spatial_squeeze: return logits [batch, classes] instead of [batch, 1, 1, classes].
        store_non_strided_activations: see `resnet_utils.stack_blocks_dense`.
        root_depth: channels of the root convolution.
        convention: "slim", or "torchvision" for its symmetric root pool (the strides are in
            `blocks`, see `resnet_v1_block`).
        root: an `arch.parts.RootBlock` instead of the two before.
        logits_layer: "conv", or "dense" for a fully connected layer.
        logits_bias: whether the logits layer has biases.

    Returns:
        net: a rank-4 tensor [batch, height_out, width_out, channels_out] (rank 2 when squeezed).
        end_points: a dict from the names of components to their outputs.

    Raises:
        ValueError: `output_stride` is not valid.
    """
    return generate(
        inputs, blocks, num_classes, is_training, global_pool, output_stride, include_root_block,
        reuse, scope,
        default_scope="resnet_v1",
        unit_fns=[bottleneck, basic],
        spatial_squeeze=spatial_squeeze,
        store_non_strided_activations=store_non_strided_activations,
        root_depth=root_depth,
        convention=convention,
        root=root,
        logits_layer=logits_layer,
        logits_bias=logits_bias,
    )  # fmt: skip


resnet_v1.default_image_size = 224


def resnet_v1_block(scope, base_depth, num_units, stride, *, convention="slim"):
    """A `Block` of bottleneck units.

    Args:
        scope: the scope of the block.
        base_depth: channels of the bottleneck; the unit's output has four times as many.
        num_units: the number of units.
        stride: the stride of the block, in its last unit.
        convention: "torchvision" puts the stride into the first unit instead.

    Returns:
        A `resnet_utils.Block`.
    """
    stage = Stage(num_units, 4 * base_depth, base_depth, stride)
    return resnet_utils.stage_block(scope, bottleneck, stage, convention)


resnet_v1_18 = network_fn(REGISTRY["resnet_v1_18"], resnet_v1, basic)
resnet_v1_34 = network_fn(REGISTRY["resnet_v1_34"], resnet_v1, basic)
resnet_v1_50 = network_fn(REGISTRY["resnet_v1_50"], resnet_v1, bottleneck)
resnet_v1_101 = network_fn(REGISTRY["resnet_v1_101"], resnet_v1, bottleneck)
resnet_v1_152 = network_fn(REGISTRY["resnet_v1_152"], resnet_v1, bottleneck)
resnet_v1_200 = network_fn(REGISTRY["resnet_v1_200"], resnet_v1, bottleneck)
