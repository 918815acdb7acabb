"""What every family of networks shares: root, blocks, pooling, logits, end points.

`generate` is the body of slim's `resnet_v1()` and `resnet_v2()`; `generator_fn` makes the generator
of a family of it, `network_fn` the function of a registry entry.
"""

from __future__ import annotations

from slim_resnet import resnet_utils
from slim_resnet.arch.parts import check_convention
from slim_resnet.compat import slim, tf


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


def generator_fn(name, module, unit_fns, doc, default_image_size=224, **fixed):
    """The generator of a family, e.g. `resnext_v1.resnext_v1`.

    Args:
        name: its name, which is also the default scope.
        module: the `__name__` of the module that it belongs to.
        unit_fns: the residual units that collect end points.
        doc: what it generates; its docstring begins with it.
        default_image_size: height and width that the family was designed for, in pixels.
        **fixed: keywords of `generate` that make the family what it is.

    Returns:
        A function of the signature of `resnet_v1`.
    """

    def generator(
        inputs,
        blocks,
        num_classes=None,
        is_training=True,
        global_pool=True,
        output_stride=None,
        include_root_block=True,
        reuse=None,
        scope=None,
        **kwargs,
    ):
        return generate(
            inputs,
            blocks,
            num_classes,
            is_training,
            global_pool,
            output_stride,
            include_root_block,
            reuse,
            scope,
            default_scope=name,
            unit_fns=unit_fns,
            **{**fixed, **kwargs},
        )

    generator.__name__ = generator.__qualname__ = name
    generator.__module__ = module
    generator.__doc__ = f"""{doc}

    Arguments, results and errors are those of `resnet_v1.resnet_v1`.
    """
    generator.default_image_size = default_image_size
    return generator


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
