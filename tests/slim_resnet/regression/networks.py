"""Networks as users write them: `--builder networks:NAME`, some with a fault planted."""

from __future__ import annotations

from slim_resnet import generator, resnet_utils, resnet_v1
from slim_resnet.compat import slim, tf

RENAMED = {"resnet_v1_50/logits/biases": "resnet_v1_50/logits/bias"}


def slim_v1(images, is_training=False, **kwargs):
    """The network behind tests/data/slim_v1: sixteen times narrower, with a softmax of its own."""
    args = {"num_classes": 10, "depth_multiplier": 1 / 16, "min_base_depth": 4, **kwargs}
    net, end_points = resnet_v1.resnet_v1_50(images, is_training=is_training, **args)
    tf.nn.softmax(tf.squeeze(net, [1, 2], name="squeezed"), name="prob")
    return net, end_points


def with_blocks(*blocks):
    """A resnet_v1_50 with blocks of (units, stride) in place of slim's."""

    def network(images, num_classes, is_training):
        made = [
            resnet_v1.resnet_v1_block(f"block{i + 1}", 64 * 2**i, units, stride)
            for i, (units, stride) in enumerate(blocks)
        ]
        return resnet_v1.resnet_v1(images, made, num_classes, is_training, scope="resnet_v1_50")

    return network


def relu_before_sum(images, num_classes, is_training):
    """A resnet_v1_50 whose units add what has been activated, not activate the sum."""

    @slim.add_arg_scope
    def unit(inputs, depth, depth_bottleneck, stride, rate=1, outputs_collections=None):
        with tf.variable_scope(None, "bottleneck_v1", [inputs]) as scope:
            shortcut = resnet_utils.subsample(inputs, stride, "shortcut")
            if depth != inputs.shape[-1]:
                shortcut = slim.conv2d(
                    inputs, depth, 1, stride=stride, activation_fn=None, scope="shortcut"
                )
            net = slim.conv2d(inputs, depth_bottleneck, 1, scope="conv1")
            net = resnet_utils.conv2d_same(net, depth_bottleneck, 3, stride, rate, scope="conv2")
            net = slim.conv2d(net, depth, 1, activation_fn=None, scope="conv3")
            net = shortcut + tf.nn.relu(net)
            return slim.utils.collect_named_outputs(outputs_collections, scope.name, net)

    args = [(3, 2), (4, 2), (6, 2), (3, 1)]
    blocks = [
        resnet_utils.Block(
            f"block{i + 1}",
            unit,
            [(256 * 2**i, 64 * 2**i, 1)] * (units - 1) + [(256 * 2**i, 64 * 2**i, stride)],
        )
        for i, (units, stride) in enumerate(args)
    ]
    return generator.generate(
        images, blocks, num_classes, is_training, True, None, True, None, "resnet_v1_50",
        default_scope="resnet_v1", unit_fns=[unit],
    )  # fmt: skip


def renamed_variable(images, **kwargs):
    def getter(getter, name, *args, **kwargs):
        return getter(RENAMED.get(name, name), *args, **kwargs)

    with tf.variable_scope("", custom_getter=getter):
        return resnet_v1.resnet_v1_50(images, **kwargs)


def without_a_regularizer(images, **kwargs):
    result = resnet_v1.resnet_v1_50(images, **kwargs)
    del tf.get_collection_ref(tf.GraphKeys.REGULARIZATION_LOSSES)[7]
    return result
