"""Block, stack_blocks_dense, conv2d_same: what tf-slim promises, and what is new here."""

from __future__ import annotations

import numpy as np
import pytest

from slim_resnet import resnet_utils, resnet_v1, resnext_v1
from slim_resnet.compat import slim, tf


@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
@pytest.mark.parametrize("groups", [1, 4])
def test_conv2d_same_is_stride_one_subsampled(size, groups):
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(np.random.RandomState(0).randn(1, *size, 8))
        strided = resnet_utils.conv2d_same(x, 8, 3, 2, groups=groups, scope="c")
        tf.get_variable_scope().reuse_variables()
        dense = resnet_utils.conv2d_same(x, 8, 3, 1, groups=groups, scope="c")
        session.run(tf.global_variables_initializer())
        a, b = session.run([strided, resnet_utils.subsample(dense, 2)])
    np.testing.assert_allclose(a, b, atol=1e-13)


def values(units, unit_fn=resnet_v1.bottleneck, **kwargs):
    """Output of one block on a fixed input, with weights seeded by the graph."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        x = tf.constant(np.random.RandomState(0).randn(1, 9, 9, 8), tf.float32)
        block = resnet_utils.Block("block1", unit_fn, units)
        net = resnet_utils.stack_blocks_dense(x, [block], **kwargs)
        session.run(tf.global_variables_initializer())
        return session.run(net)


def test_tuples_of_the_first_slim_are_dicts_of_todays():
    tuples = [(16, 4, 1)] * 2 + [(16, 4, 2)]
    dicts = [dict(depth=d, depth_bottleneck=b, stride=s) for d, b, s in tuples]
    np.testing.assert_array_equal(values(tuples), values(dicts))
    # a unit_fn with a default for what a tuple does not say
    assert values([(16, 8, 2)], lambda *a, **k: resnext_v1.bottleneck(*a, cardinality=2, **k)).shape


@pytest.mark.parametrize(
    ("units", "message"),
    [
        (
            [(16, 4, 1), {"depth": 16, "depth_bottleneck": 4, "stride": 1}],
            r"block1/unit_2: .*a mix",
        ),
        ([(16, 4, 1), (16, 4)], r"block1/unit_2: \(16, 4\) has 2 elements"),
        ([(16, 4, 1, 32)], r"block1/unit_1: .* has 4 elements, a unit is \(depth, depth_bottl"),
        ([{"depth": 16, "depth_bottleneck": 4, "strides": 1}], r"block1/unit_1: .*'strides?'"),
        ([{"depth": 16, "stride": 1}], r"block1/unit_1: .*'depth_bottleneck'"),
        (
            [{"depth": 16, "depth_bottleneck": 4, "stride": 1, "rate": 2}],
            r"block1/unit_1: .*'rate'",
        ),
    ],
)
def test_bad_units_are_named(units, message):
    with pytest.raises(ValueError, match=message):
        values(units)


def test_output_stride_errors_are_those_of_slim():
    for output_stride in (3, 4):
        with pytest.raises(ValueError, match="The target output_stride cannot be reached."):
            values([(16, 4, 2), (16, 4, 1)], output_stride=output_stride)


def test_store_non_strided_activations_keeps_the_resolution_of_end_points():
    def block1(**kwargs):
        with tf.Graph().as_default(), slim.arg_scope(resnet_utils.resnet_arg_scope()):
            x = tf.placeholder(tf.float32, [1, 64, 64, 3])
            blocks = [resnet_v1.resnet_v1_block(f"block{i}", 4, 2, 2) for i in (1, 2)]
            net, end_points = resnet_v1.resnet_v1(x, blocks, global_pool=False, scope="n", **kwargs)
            return end_points["n/block1"].shape.as_list()[1:3], net.shape.as_list()[1:3]

    assert block1() == ([8, 8], [4, 4])
    assert block1(store_non_strided_activations=True) == ([16, 16], [4, 4])


def test_outputs_collections():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [1, 9, 9, 8])
        block = resnet_utils.Block("b", resnet_v1.bottleneck, [(16, 4, 1)])
        net = resnet_utils.stack_blocks_dense(x, [block], outputs_collections="mine")
        assert slim.utils.convert_collection_to_dict("mine") == {"b": net}


def test_arg_scope_regularizes_every_weight_and_nothing_else():
    with tf.Graph().as_default(), slim.arg_scope(resnet_utils.resnet_arg_scope(weight_decay=0.5)):
        resnext_v1.resnext_v1_50(tf.placeholder(tf.float32, [1, 32, 32, 3]), 10)
        losses = tf.losses.get_regularization_losses()
        weights = [v for v in tf.trainable_variables() if v.op.name.endswith("weights")]
        assert len(losses) == len(weights) == 54
        assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2 * 53
