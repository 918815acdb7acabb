"""Grouped convolution: names, arg scopes, gradients with and without the native ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from slim_resnet import layers, resnet_utils, resnext_v1
from slim_resnet.compat import slim, tf

# Gradients of a ResNeXt unit and of the same unit written as split + concat, in one graph.
GRADIENTS = """
import json, sys
import numpy as np
from slim_resnet import layers, resnet_utils, resnext_v1
from slim_resnet.compat import slim, tf

def split_concat(x, num_outputs, kernel_size, groups, stride, rate, padding, scope):
    with tf.variable_scope(scope):
        w = tf.get_variable("weights", dtype=x.dtype)
        parts = zip(tf.split(x, groups, 3), tf.split(w, groups, 3))
        y = tf.concat([tf.nn.convolution(a, b, padding, [stride] * 2, [rate] * 2)
                       for a, b in parts], 3)
        return tf.nn.relu(slim.batch_norm(y, fused=False, is_training=True, scale=True))

found = {}
for dtype in ("float32", "float64"):
    for stride, rate in ((1, 1), (2, 1), (1, 2)):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(3)
            x = tf.constant(np.random.RandomState(0).randn(2, 9, 10, 16), dtype)
            args = dict(depth=32, depth_bottleneck=16, stride=stride, rate=rate, scope="u")
            with slim.arg_scope(resnet_utils.resnet_arg_scope()), \\
                 slim.arg_scope([slim.batch_norm], fused=False, is_training=True):
                native = resnext_v1.bottleneck(x, cardinality=4, **args)
                tf.get_variable_scope().reuse_variables()
                resnet_utils.grouped_conv2d = split_concat
                split = resnext_v1.bottleneck(x, cardinality=4, **args)
                resnet_utils.grouped_conv2d = layers.grouped_conv2d
            sources = [x] + tf.trainable_variables()
            session.run(tf.global_variables_initializer())
            a, b = session.run([tf.gradients(tf.reduce_sum(y ** 2), sources)
                                for y in (native, split)])
            assert len(a) == 13 and all(np.abs(v).max() > 0 for v in a)
            found["%s %d %d" % (dtype, stride, rate)] = max(
                float(np.abs(u - v).max() / np.abs(v).max()) for u, v in zip(a, b))
print(json.dumps(found))
"""


@pytest.mark.parametrize("onednn", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_gradients_equal_those_of_split_and_concat(onednn):
    found = subprocess.run(
        [sys.executable, "-c", GRADIENTS],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    errors = json.loads(found.stdout)
    assert len(errors) == 6
    for case, error in errors.items():
        assert error <= (1e-12 if case.startswith("float64") else 2e-5), (case, error)


def test_the_native_gradient_is_used_where_there_is_one():
    """One backward op for all groups in float32 with oneDNN, one for each group in float64."""

    def backward_ops(dtype):
        with tf.Graph().as_default() as graph:
            x = tf.placeholder(dtype, [1, 8, 8, 8])
            tf.gradients(layers.grouped_conv2d(x, 8, 3, groups=4), [x])
            return sum(op.type == "Conv2DBackpropInput" for op in graph.get_operations())

    native = layers._cpu_has_native_gradient(tf.float32)
    assert backward_ops(tf.float32) == (1 if native else 4)
    assert backward_ops(tf.float64) == 4


def test_the_forward_pass_is_one_native_op():
    with tf.Graph().as_default() as graph:
        layers.grouped_conv2d(tf.placeholder(tf.float32, [1, 8, 8, 8]), 8, 3, 4, scope="conv2")
        assert [op.name for op in graph.get_operations() if op.type == "Conv2D"] == ["conv2/Conv2D"]
        assert [(v.op.name, v.shape.as_list()) for v in tf.global_variables()] == [
            ("conv2/weights", [3, 3, 2, 8]),
            ("conv2/biases", [8]),
        ]


def test_arg_scope_of_slim_conv2d_holds_for_grouped_convolutions():
    with (
        tf.Graph().as_default(),
        tf.Session() as session,
        slim.arg_scope(
            [slim.conv2d],
            weights_initializer=tf.constant_initializer(0.5),
            weights_regularizer=slim.l2_regularizer(2.0),
            variables_collections={"weights": ["mine"]},
            outputs_collections="outputs",
            activation_fn=None,
            normalizer_fn=slim.batch_norm,
            normalizer_params={"scale": True, "epsilon": 0.1},
        ),
    ):
        net = layers.grouped_conv2d(tf.ones([1, 4, 4, 4]), 4, 1, groups=2, scope="c")
        (weights,) = tf.get_collection("mine")
        (loss,) = tf.losses.get_regularization_losses()
        session.run(tf.global_variables_initializer())
        assert weights.op.name == "c/weights"
        assert session.run(loss) == pytest.approx(2.0 * 8 * 0.25 / 2)
        assert slim.utils.convert_collection_to_dict("outputs") == {"c": net}
        assert [v.op.name for v in tf.model_variables()] == [
            "c/weights",
            "c/BatchNorm/gamma",
            "c/BatchNorm/beta",
            "c/BatchNorm/moving_mean",
            "c/BatchNorm/moving_variance",
        ]
        # explicit arguments win over the scope
        layers.grouped_conv2d(tf.ones([1, 4, 4, 4]), 4, 1, 2, normalizer_fn=None, scope="d")
        assert tf.global_variables()[-1].op.name == "d/biases"


def test_variables_are_reused():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [1, 8, 8, 8])
        layers.grouped_conv2d(x, 8, 3, 4, scope="c")
        layers.grouped_conv2d(x, 8, 3, 4, scope="c", reuse=True)
        assert len(tf.global_variables()) == 2


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_data_format(data_format):
    shape = {"NHWC": [1, 6, 6, 8], "NCHW": [1, 8, 6, 6]}[data_format]
    with tf.Graph().as_default():
        net = layers.grouped_conv2d(
            tf.placeholder(tf.float32, shape), 12, 3, 4, data_format=data_format
        )
        assert net.shape[data_format.index("C")] == 12
        assert tf.trainable_variables()[0].shape.as_list() == [3, 3, 2, 12]


@pytest.mark.parametrize(
    ("channels", "outputs", "named"), [(10, 8, 10), (8, 10, 10)], ids=["inputs", "outputs"]
)
def test_cardinality_must_divide_the_channels(channels, outputs, named):
    with (
        tf.Graph().as_default(),
        pytest.raises(ValueError, match=f"cardinality 4 does not divide the {named} channels"),
    ):
        layers.grouped_conv2d(tf.placeholder(tf.float32, [1, 8, 8, channels]), outputs, 3, 4)


def test_unknown_channels_and_both_stride_and_rate_are_refused():
    with tf.Graph().as_default():
        with pytest.raises(ValueError, match="known number of channels"):
            layers.grouped_conv2d(tf.placeholder(tf.float32, [1, 8, 8, None]), 8, 3, 4)
        with pytest.raises(ValueError, match="cannot both be above 1"):
            layers.grouped_conv2d(tf.zeros([1, 8, 8, 8]), 8, 3, 4, stride=2, rate=2)


def test_block_of_the_paper():
    block = resnext_v1.resnext_v1_block("block2", base_depth=128, num_units=4, stride=2)
    unit = {"depth": 512, "depth_bottleneck": 256, "cardinality": 32, "form": "grouped"}
    assert block.args == [{**unit, "stride": 1}] * 3 + [{**unit, "stride": 2}]


def test_output_stride_computes_the_same_features_more_densely():
    """As tf-slim's testAtrousFullyConvolutionalValues, for grouped convolutions."""
    found = {}
    for output_stride in (None, 8):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(0)
            x = tf.constant(np.random.RandomState(0).randn(1, 65, 65, 3))
            blocks = [
                resnext_v1.resnext_v1_block(f"block{i}", 16 * i, 2, s, cardinality=4, base_width=16)
                for i, s in enumerate((2, 2, 1), start=1)
            ]
            with (
                slim.arg_scope(resnet_utils.resnet_arg_scope()),
                slim.arg_scope([slim.batch_norm], fused=False),
            ):
                net, _ = resnext_v1.resnext_v1(
                    x, blocks, is_training=False, global_pool=False, output_stride=output_stride
                )
            session.run(tf.global_variables_initializer())
            found[output_stride] = session.run(net)
    np.testing.assert_allclose(found[8][:, ::2, ::2], found[None], atol=1e-12)
