"""What every family of networks shares: root, blocks, pooling, logits, end points.

`generate` is the body of slim's `resnet_v1()` and `resnet_v2()`; `generator_fn` makes the generator
of a family of it, `network_fn` the function of a registry entry.
"""

from __future__ import annotations

import dataclasses

from slim_resnet import resnet_utils
from slim_resnet.arch.parts import (
    CONVENTIONS,
    ROOT_POOLS,
    STEMS,
    RootBlock,
    check_choice,
    check_convention,
)
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
    root=None,
    preactivation_fn=tf.nn.relu,
    logits_layer="conv",
    logits_bias=True,
):
    """The generator behind every family: `unit_fns` collect end points, `preactivation` is v2.

    `root` is an `arch.parts.RootBlock`, else it is made of `root_depth`, `convention` and `stem`.
    """
    root = root or _root_block(stem, root_depth, convention)
    with tf.variable_scope(scope, default_scope, [inputs], reuse=reuse) as sc:
        end_points_collection = sc.original_name_scope + "_end_points"
        collectors = [slim.conv2d, resnet_utils.stack_blocks_dense, *unit_fns]
        with (
            slim.arg_scope(collectors, outputs_collections=end_points_collection),
            slim.arg_scope([slim.batch_norm], is_training=is_training),
        ):
            net = inputs
            if include_root_block:
                output_stride = _inner_stride(output_stride, root.total_stride)
                net = root_block(net, root, preactivation)
            net = resnet_utils.stack_blocks_dense(
                net,
                blocks,
                output_stride,
                store_non_strided_activations=store_non_strided_activations,
            )
            if preactivation:
                net = slim.batch_norm(net, activation_fn=preactivation_fn, scope="postnorm")
            if global_pool:
                net = tf.reduce_mean(net, [1, 2], name="pool5", keepdims=True)
            if num_classes is not None:
                net = _logits(net, num_classes, logits_layer, logits_bias, end_points_collection)
            end_points = slim.utils.convert_collection_to_dict(end_points_collection)
            if num_classes is not None:
                if spatial_squeeze and net.shape.rank == 4:
                    net = tf.squeeze(net, [1, 2], name="SpatialSqueeze")
                    end_points[sc.name + "/spatial_squeeze"] = net
                end_points["predictions"] = slim.softmax(net, scope="predictions")
            return net, end_points


def _root_block(stem, depth, convention) -> RootBlock:
    check_convention(convention)
    root = dataclasses.replace(STEMS[stem], depth=depth)
    if root.pool == "none":
        return root
    return dataclasses.replace(root, pool=CONVENTIONS[convention]["root_pool"])


def _inner_stride(output_stride, root_stride):
    """The output stride that is left to the blocks."""
    if output_stride is None:
        return None
    if output_stride % root_stride != 0:
        raise ValueError(f"The output_stride needs to be a multiple of {root_stride}.")
    return output_stride // root_stride


def root_block(net, root, preactivation=False):
    """The root convolution and the max pool after it.

    Args:
        net: a tensor [batch, height, width, channels].
        root: an `arch.parts.RootBlock`.
        preactivation: whether the first unit normalises and activates (v2).

    Returns:
        A tensor [batch, height / total stride, width / total stride, root.depth], rounded up.
    """
    if preactivation:
        settings = {"activation_fn": None, "normalizer_fn": None}
        if root.bias is False:
            settings["biases_initializer"] = None
    elif root.bias is None:
        settings = {}
    else:
        norm = resnet_utils.bias_and_batch_norm if root.bias else slim.batch_norm
        settings = {"normalizer_fn": norm}
    with slim.arg_scope([slim.conv2d], **settings):
        for scope, depth, stride in root.convs:
            net = resnet_utils.conv2d_same(
                net, depth, root.kernel, stride, scope=scope, padding=root.padding
            )
    return root_pool(net, root.pool)


def root_pool(net, kind="same"):
    """The 3x3 max pool of stride 2 after the root convolution.

    Args:
        net: a tensor [batch, height, width, channels].
        kind: one of `arch.parts.ROOT_POOLS`.

    Returns:
        A tensor [batch, ceil(height / 2), ceil(width / 2), channels] ("valid": smaller).

    Raises:
        ValueError: there is no such kind.
    """
    check_choice("root pool", kind, ROOT_POOLS)
    if kind == "none":
        return net
    if kind in ("symmetric", "zeros"):
        value = net.dtype.min if kind == "symmetric" else 0
        net = tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=value)
    padding = "SAME" if kind == "same" else "VALID"
    return slim.max_pool2d(net, [3, 3], stride=2, padding=padding, scope="pool1")


def _logits(net, num_classes, layer, has_bias, outputs_collections):
    biases = {} if has_bias else {"biases_initializer": None}
    plain = {"activation_fn": None, "normalizer_fn": None, "scope": "logits", **biases}
    if layer == "conv":
        return slim.conv2d(net, num_classes, [1, 1], **plain)
    net = tf.squeeze(net, [1, 2], name="pool5/squeezed")
    plain["outputs_collections"] = outputs_collections
    return slim.fully_connected(net, num_classes, **plain)


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
