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

from slim_resnet import forms, resnet_utils
from slim_resnet.arch import REGISTRY
from slim_resnet.compat import slim, tf
from slim_resnet.spec import Stage, check_convention

resnet_arg_scope = resnet_utils.resnet_arg_scope


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
        use_bounded_activations: ReLU6 and clipped residuals, for quantised inference.

    Returns:
        A tensor [batch, ceil(height / stride), ceil(width / stride), depth].
    """
    return bottleneck_unit(
        inputs, depth, depth_bottleneck, stride, rate, outputs_collections, scope,
        use_bounded_activations=use_bounded_activations,
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
):
    """The unit behind `bottleneck` here (cardinality 1) and in `resnext_v1`."""
    relu = tf.nn.relu6 if use_bounded_activations else tf.nn.relu
    bounded = {"activation_fn": relu} if use_bounded_activations else {}
    with tf.variable_scope(scope, "bottleneck_v1", [inputs]) as sc:
        shortcut = resnet_utils.shortcut(
            inputs, depth, stride, **{"activation_fn": None, **bounded}
        )
        residual = forms.residual(
            inputs,
            depth,
            depth_bottleneck,
            stride,
            rate,
            cardinality,
            form,
            first=bounded,
            last={"activation_fn": None},
        )
        if use_bounded_activations:
            residual = tf.clip_by_value(residual, -6.0, 6.0)
        output = relu(shortcut + residual)
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

    Returns:
        A tensor [batch, ceil(height / stride), ceil(width / stride), depth].
    """
    with tf.variable_scope(scope, "basic_v1", [inputs]) as sc:
        identity = resnet_utils.shortcut(inputs, depth, stride, shortcut, activation_fn=None)
        residual = resnet_utils.conv2d_same(
            inputs, depth_bottleneck, 3, stride, rate=rate, scope="conv1"
        )
        with slim.arg_scope([slim.conv2d], activation_fn=None):
            residual = resnet_utils.conv2d_same(residual, depth, 3, 1, rate=rate, scope="conv2")
        output = tf.nn.relu(identity + residual)
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
):
    """Generator of v1 ResNets from a list of blocks.

    Args:
        inputs: a tensor [batch, height, width, channels].
        blocks: a list of `resnet_utils.Block`.
        num_classes: the number of classes; None: return the features before the logits.
        is_training: whether batch norms use (and update with) the batch's statistics.
        global_pool: average over all positions before the logits; False for dense prediction.
        output_stride: the ratio of input to output resolution, a multiple of 4 with a root block;
            None: the nominal stride.
        include_root_block: whether to begin with the 7x7 convolution and the max pool.
        reuse: whether to reuse the variables of `scope`.
        scope: optional variable scope.
        spatial_squeeze: return logits [batch, classes] instead of [batch, 1, 1, classes].
        store_non_strided_activations: see `resnet_utils.stack_blocks_dense`.
        root_depth: channels of the root convolution.
        convention: "slim", or "torchvision" for its symmetric root pool (the strides are in
            `blocks`, see `resnet_v1_block`).

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
    )  # fmt: skip


resnet_v1.default_image_size = 224


def generate(
    inputs,
    blocks,
    num_classes,
    is_training,
    global_pool,
    output_stride,
    include_root_block,
    reuse,
    scope,
    *,
    default_scope,
    unit_fns,
    preactivation=False,
    spatial_squeeze=False,
    store_non_strided_activations=False,
    root_depth=64,
    convention="slim",
    stem="imagenet",
):
    """The generator behind every family: `unit_fns` collect end points, `preactivation` is v2."""
    with tf.variable_scope(scope, default_scope, [inputs], reuse=reuse) as sc:
        end_points_collection = sc.original_name_scope + "_end_points"
        collectors = [slim.conv2d, resnet_utils.stack_blocks_dense, *unit_fns]
        with (
            slim.arg_scope(collectors, outputs_collections=end_points_collection),
            slim.arg_scope([slim.batch_norm], is_training=is_training),
        ):
            net = inputs
            if include_root_block and stem == "imagenet":
                if output_stride is not None:
                    if output_stride % 4 != 0:
                        raise ValueError("The output_stride needs to be a multiple of 4.")
                    output_stride //= 4
                # In v2 the first unit normalises and activates, and a norm closes the last one.
                plain = {"activation_fn": None, "normalizer_fn": None} if preactivation else {}
                with slim.arg_scope([slim.conv2d], **plain):
                    net = resnet_utils.conv2d_same(net, root_depth, 7, stride=2, scope="conv1")
                net = root_pool(net, convention)
            elif include_root_block:
                net = resnet_utils.conv2d_same(net, root_depth, 3, stride=1, scope="conv1")
            net = resnet_utils.stack_blocks_dense(
                net,
                blocks,
                output_stride,
                store_non_strided_activations=store_non_strided_activations,
            )
            if preactivation:
                net = slim.batch_norm(net, activation_fn=tf.nn.relu, scope="postnorm")
            if global_pool:
                net = tf.reduce_mean(net, [1, 2], name="pool5", keepdims=True)
            if num_classes is not None:
                net = slim.conv2d(
                    net, num_classes, [1, 1], activation_fn=None, normalizer_fn=None, scope="logits"
                )
            end_points = slim.utils.convert_collection_to_dict(end_points_collection)
            if num_classes is not None:
                if spatial_squeeze:
                    net = tf.squeeze(net, [1, 2], name="SpatialSqueeze")
                    end_points[sc.name + "/spatial_squeeze"] = net
                end_points["predictions"] = slim.softmax(net, scope="predictions")
            return net, end_points


def root_pool(net, convention="slim"):
    """The 3x3 max pool of stride 2 after the root convolution.

    Args:
        net: a tensor [batch, height, width, channels], not negative in the torchvision convention.
        convention: "slim" pads as TensorFlow's SAME does (an even size at the bottom and right
            only), "torchvision" one pixel on every side.

    Returns:
        A tensor [batch, ceil(height / 2), ceil(width / 2), channels].

    Raises:
        ValueError: there is no such convention.
    """
    check_convention(convention)
    if convention == "slim":
        return slim.max_pool2d(net, [3, 3], stride=2, scope="pool1")
    net = tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=net.dtype.min)
    return slim.max_pool2d(net, [3, 3], stride=2, padding="VALID", scope="pool1")


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


def network_fn(arch, generator, unit_fn, **unit_args):
    """The network function of a registry entry, e.g. `resnet_v1_50`.

    Args:
        arch: an `Arch`.
        generator: `resnet_v1` or another generator of the same signature.
        unit_fn: the residual unit.
        **unit_args: more keywords of `unit_fn`, the same for every unit.

    Returns:
        A function of the signature of `tf_slim.nets.resnet_v1.resnet_v1_50`.
    """

    def network(
        inputs,
        num_classes=None,
        is_training=True,
        global_pool=True,
        output_stride=None,
        reuse=None,
        scope=arch.name,
        *,
        min_base_depth=8,
        depth_multiplier=1,
        convention=arch.convention,
        **kwargs,
    ):
        scaled = arch.replace(convention=convention).scale(depth_multiplier, min_base_depth)
        return generator(
            inputs,
            resnet_utils.arch_blocks(scaled, unit_fn, **unit_args),
            num_classes,
            is_training,
            global_pool,
            output_stride,
            include_root_block=True,
            reuse=reuse,
            scope=scope,
            convention=convention,
            **kwargs,
        )

    network.__name__ = network.__qualname__ = arch.name
    network.__module__ = generator.__module__
    network.__doc__ = f"""The network {arch.name} ({arch.describe()}).

    Arguments and results are those of `{generator.__name__}`; besides, `depth_multiplier` scales
    the width of every block, down to `min_base_depth`.
    """
    network.default_image_size = arch.default_image_size
    return network


resnet_v1_18 = network_fn(REGISTRY["resnet_v1_18"], resnet_v1, basic)
resnet_v1_34 = network_fn(REGISTRY["resnet_v1_34"], resnet_v1, basic)
resnet_v1_50 = network_fn(REGISTRY["resnet_v1_50"], resnet_v1, bottleneck)
resnet_v1_101 = network_fn(REGISTRY["resnet_v1_101"], resnet_v1, bottleneck)
resnet_v1_152 = network_fn(REGISTRY["resnet_v1_152"], resnet_v1, bottleneck)
resnet_v1_200 = network_fn(REGISTRY["resnet_v1_200"], resnet_v1, bottleneck)
