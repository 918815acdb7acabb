"""What is made of variables: parameters, their names in checkpoints, and what trains."""

from __future__ import annotations

import numpy as np
import pytest
from built import kinds, only

pytest.importorskip("tensorflow")


def net(kernel):
    def make(tf):
        x = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        tf.nn.conv2d(x, kernel(tf), strides=[1, 1, 1, 1], padding="SAME", name="out")

    return make


def variable(tf, name="weights", shape=(3, 3, 3, 4)):
    return tf.get_variable(name, shape)


def weight_norm(tf):
    return tf.nn.l2_normalize(variable(tf), [0, 1, 2]) * tf.exp(variable(tf, "g", [4]))


def standardised(tf):
    w = variable(tf)
    mean, variance = tf.nn.moments(w, [0, 1, 2], keep_dims=True)
    return (w - mean) / tf.sqrt(variance + 1e-5)


def masked(tf):
    mask = np.tril(np.ones((9, 12), np.float32)).reshape(3, 3, 3, 4)
    return variable(tf) * mask


def transposed(tf):
    return tf.transpose(variable(tf, shape=(4, 3, 3, 3)), [2, 3, 1, 0])


def joined(tf):
    return tf.concat([variable(tf, "a", (3, 3, 3, 1)), variable(tf, "b", (3, 3, 3, 3))], 3)


def part(tf):
    return variable(tf, shape=(3, 3, 3, 7))[:, :, :, 2:6]


def spectral(tf):
    w = variable(tf)
    flat = tf.reshape(w, [-1, 4])
    u = tf.get_variable("u", [1, 4], trainable=False)
    v = tf.nn.l2_normalize(tf.matmul(u, flat, transpose_b=True))
    sigma = tf.matmul(tf.matmul(v, flat), tf.nn.l2_normalize(tf.matmul(v, flat)), transpose_b=True)
    return w / sigma


def sign(tf):
    w = variable(tf)
    return tf.sign(w) * tf.reduce_mean(tf.abs(w), [0, 1, 2], keepdims=True)


KERNELS = [weight_norm, standardised, masked, transposed, joined, part, spectral, sign]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__)
def test_a_kernel_that_is_computed_is_one_parameter(build, kernel):
    built = build(net(kernel), "out")
    network = built.read()
    assert kinds(network) == ["conv"]
    (parameter,) = network.parameters.values()
    assert parameter.shape == (3, 3, 3, 4)
    assert parameter.trainable
    assert set(parameter.variables) == set(built.variables)
    assert parameter.compute(built.variables).shape == (3, 3, 3, 4)
    assert built.error(network) < 1e-5


def test_partitions_are_read_from_the_whole(build):
    """A Saver stores the parts of a partitioned variable as slices of one."""

    def kernel(tf):
        parts = tf.fixed_size_partitioner(2, axis=3)
        return tf.get_variable("weights", [3, 3, 3, 4], partitioner=parts, use_resource=False)

    built = build(net(lambda tf: tf.convert_to_tensor(kernel(tf))), "out")
    network = built.read()
    (parameter,) = network.parameters.values()
    assert parameter.variables == ("weights",)
    parts = [built.variables[f"weights/part_{i}"] for i in range(2)]
    built.variables = {"weights": np.concatenate(parts, 3)}
    assert built.error(network) < 1e-5


def test_a_frozen_graph_trains_its_weights(build):
    weights = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32)
    built = build(net(lambda tf: tf.constant(weights, name="weights")), "out")
    network = built.read()
    (parameter,) = network.parameters.values()
    assert (parameter.name, parameter.variables, parameter.trainable) == ("weights", (), True)
    assert built.error(network) < 1e-5


def test_constants_of_the_graph_do_not_train(build):
    """Where there are variables, constants are none: preprocessing, say."""

    def make(tf):
        x = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        x = (x - tf.constant([1.0, 2.0, 3.0], name="means")) * 0.5
        tf.nn.conv2d(x, variable(tf), strides=[1, 1, 1, 1], padding="SAME", name="out")

    built = build(make, "out")
    network = built.read()
    trainable = {name for name, each in network.parameters.items() if each.trainable}
    assert trainable == {"weights"}
    assert network.variables == ("weights",)
    assert built.error(network) < 1e-5


def test_not_trainable_stays_so(build):
    def kernel(tf):
        return tf.get_variable("weights", [3, 3, 3, 4], trainable=False)

    def make(tf):
        net(kernel)(tf)
        tf.get_variable("other", [1])

    network = build(make, "out").read()
    assert not network.parameters["weights"].trainable


def test_a_shared_variable_is_one_parameter(build):
    def make(tf):
        x = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        w = variable(tf, shape=(3, 3, 3, 3))
        for name in ("one", "two"):
            x = tf.nn.conv2d(x, w, strides=[1, 1, 1, 1], padding="SAME", name=name)

    built = build(make, "two")
    network = built.read()
    assert [layer.weights["kernel"] for layer in network.layers] == ["weights", "weights"]
    assert list(network.parameters) == ["weights"]
    assert built.error(network) < 1e-5


def test_an_output_that_is_a_parameter(build):
    def make(tf):
        x = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        scale = tf.exp(variable(tf, "scale", (3,)), name="factor")
        tf.multiply(x, scale, name="out")

    built = build(make, "out", "factor")
    network = built.read()
    assert only(network, "mul").name == "out"
    assert built.error(network) < 1e-5


def test_a_variable_in_two_roles_of_one_layer(build):
    """Its module has no place for it twice, and says so."""

    def make(tf):
        x = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        both, mean = variable(tf, "both", [3]), variable(tf, "mean", [3])
        moved = tf.get_variable("variance", [3])
        tf.nn.fused_batch_norm(x, both, both, mean, moved, is_training=False, name="norm")

    built = build(make, "norm")
    with pytest.raises(ValueError, match="norm: this batch norm shares some of its variables"):
        built.error(built.read("norm"))


@pytest.mark.parametrize("count", [1, 7])
def test_evenly_spaced_numbers_are_exact_in_float64(build, count):
    """As the coordinates of a spatial softmax: in float32 they are rounded, in float64 not."""

    def make(tf):
        x = tf.placeholder(tf.float32, [None, None, None, count], "image")
        spaced = tf.raw_ops.LinSpace(start=-1.0, stop=2.0, num=count)
        tf.multiply(x * tf.get_variable("scale", [count]), spaced, name="out")

    built = build(make, "out")
    network = built.read()
    spaced = next(p for p in network.parameters.values() if not p.variables)
    found = spaced.compute(built.variables, True)
    np.testing.assert_allclose(found, np.linspace(-1.0, 2.0, count), rtol=0, atol=1e-15)
    assert built.error(network) < 1e-6
