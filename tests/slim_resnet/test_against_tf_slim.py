"""Each fact of an Arch builds what tf-slim's own functions build under the same settings."""

from __future__ import annotations

import numpy as np
import pytest
from tf_slim.nets import resnet_utils as peer_utils
from tf_slim.nets import resnet_v1 as peer_v1
from tf_slim.nets import resnet_v2 as peer_v2

from slim_resnet import arch as arch_lib
from slim_resnet import graph
from slim_resnet.arch.parts import Stage
from slim_resnet.compat import slim, tf
from slim_resnet.regression.record import seeded_value

# (units, depth of the bottleneck, stride)
STAGES = ((2, 4, 2), (1, 6, 1))
PEERS = {"resnet_v1_50": (peer_v1, peer_v1.resnet_v1), "resnet_v2_50": (peer_v2, peer_v2.resnet_v2)}


def leaky(x):
    return tf.nn.leaky_relu(x, alpha=0.1)


# (network, facts of the Arch, arguments of tf-slim's generator, what the arg scope sets)
CASES = [
    ("resnet_v1_50", {}, {}, {}),
    ("resnet_v1_50", {"activation": "relu6"}, {}, {"conv2d": {"activation_fn": tf.nn.relu6}}),
    (
        "resnet_v1_50",
        {"activation": "leaky_relu", "activation_slope": 0.1, "input_channels": 1},
        {},
        {"conv2d": {"activation_fn": leaky}},
    ),
    ("resnet_v2_50", {"activation": "elu"}, {}, {"conv2d": {"activation_fn": tf.nn.elu}}),
    ("resnet_v1_50", {"activation": "none"}, {}, {"conv2d": {"activation_fn": None}}),
    (
        "resnet_v1_50",
        {"batch_norm_scale": False, "batch_norm_center": False},
        {},
        {"batch_norm": {"scale": False, "center": False}, "conv2d": {"normalizer_params": {}}},
    ),
    ("resnet_v1_50", {"use_batch_norm": False}, {}, {"conv2d": {"normalizer_fn": None}}),
    ("resnet_v2_50", {"use_batch_norm": False}, {}, {"conv2d": {"normalizer_fn": None}}),
    (
        "resnet_v1_50",
        {"output_stride": 4, "global_pool": False},
        {"output_stride": 4, "global_pool": False},
        {},
    ),
    (
        "resnet_v2_50",
        {"root_block": False, "input_channels": 5},
        {"include_root_block": False},
        {},
    ),
]


def peer(images, name, arguments, settings):
    module, generator = PEERS[name]
    blocks = [
        peer_utils.Block(
            f"block{i}",
            module.bottleneck,
            [
                {"depth": 4 * width, "depth_bottleneck": width, "stride": 1},
            ]
            * (units - 1)
            + [{"depth": 4 * width, "depth_bottleneck": width, "stride": stride}],
        )
        for i, (units, width, stride) in enumerate(STAGES, start=1)
    ]
    with (
        slim.arg_scope(peer_utils.resnet_arg_scope()),
        slim.arg_scope([slim.batch_norm], fused=False, **settings.get("batch_norm", {})),
        slim.arg_scope([slim.conv2d], **settings.get("conv2d", {})),
    ):
        return generator(images, blocks, 3, is_training=False, scope="net", **arguments)[0]


def ours(images, name, facts):
    stages = tuple(Stage(units, 4 * width, width, stride) for units, width, stride in STAGES)
    arch = arch_lib.get(name, stages=stages, num_classes=3, **facts)
    net, _ = graph.build(arch, images, scope="net")
    assert [v.op.name for v in tf.global_variables()] == [f"net/{v.name}" for v in arch.variables]
    return net


def outputs(build, channels):
    """The variables' names and shapes, and the outputs at an even and an odd size, in float64."""
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((2, *size, channels)) for size in ((32, 40), (33, 27))]
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float64, [None, None, None, channels])
        net = build(images)
        variables = {v: tuple(v.shape.as_list()) for v in tf.global_variables()}
        graph.assign(session, {v: seeded_value(v.op.name, s) for v, s in variables.items()})
        values = [session.run(net, {images: batch}) for batch in batches]
    return {v.op.name: shape for v, shape in variables.items()}, values


@pytest.mark.parametrize(("name", "facts", "arguments", "settings"), CASES)
def test_names_and_numbers(name, facts, arguments, settings):
    channels = facts.get("input_channels", 3)
    variables, found = outputs(lambda images: ours(images, name, facts), channels)
    expected = outputs(lambda images: peer(images, name, arguments, settings), channels)
    assert list(variables.items()) == list(expected[0].items())
    for one, other in zip(found, expected[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * np.abs(other).max())
