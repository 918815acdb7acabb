"""Batch norms as trainings leave them: inference with the averages that belong to them."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from built import difference, kinds, only, run

pytest.importorskip("tensorflow")

DECAY = 0.9
EPSILON = 1e-3


def variables(tf, name, resource=False):
    with tf.variable_scope(name, use_resource=resource):
        return [
            tf.get_variable("gamma", [4]),
            tf.get_variable("beta", [4]),
            tf.get_variable("moving_mean", [4], trainable=False),
            tf.get_variable("moving_variance", [4], trainable=False),
        ]


def conv(tf, x, name, channels=4):
    kernel = tf.get_variable(f"{name}/weights", [3, 3, x.shape[3], channels])
    return tf.nn.conv2d(x, kernel, strides=[1, 1, 1, 1], padding="SAME", name=f"{name}/Conv2D")


def loss(tf, x):
    """What makes the graph one that trains."""
    tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(x**2, name="loss"))


def inference(tf, x, name, gamma, beta, mean, variance):
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, EPSILON, name=f"{name}/bn")


def fused(tf, x, name, zero_debias=False, resource=False):
    from tensorflow.python.training import moving_averages

    gamma, beta, moving_mean, moving_variance = variables(tf, name, resource)
    y, mean, variance = tf.nn.fused_batch_norm(
        x, gamma, beta, epsilon=EPSILON, is_training=True, name=f"{name}/bn"
    )
    for average, value in ((moving_mean, mean), (moving_variance, variance)):
        moving_averages.assign_moving_average(average, value, DECAY, zero_debias=zero_debias)
    return y


def unfused(tf, x, name):
    from tensorflow.python.training import moving_averages

    gamma, beta, moving_mean, moving_variance = variables(tf, name)
    mean, variance = tf.nn.moments(x, [0, 1, 2], name=f"{name}/moments")
    moving_averages.assign_moving_average(moving_mean, mean, DECAY, zero_debias=False)
    moving_averages.assign_moving_average(moving_variance, variance, DECAY, zero_debias=False)
    return inference(tf, x, name, gamma, beta, mean, variance)


def by_hand(tf, x, name):
    """`tf.assign(mean, mean * decay + batch_mean * (1 - decay))`, (x - mean) / sqrt(...)."""
    gamma, beta, moving_mean, moving_variance = variables(tf, name)
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    for average, value in ((moving_mean, mean), (moving_variance, variance)):
        tf.assign(average, average * DECAY + value * (1 - DECAY))
    return tf.add(gamma * (x - mean) / tf.sqrt(variance + EPSILON), beta, name=f"{name}/bn")


def kept_axes(tf, x, name):
    """Statistics that keep their axes, and are stored without."""
    from tensorflow.python.training import moving_averages

    gamma, beta, moving_mean, moving_variance = variables(tf, name)
    mean, variance = tf.nn.moments(x, [0, 1, 2], keep_dims=True)
    for average, value in ((moving_mean, mean), (moving_variance, variance)):
        moving_averages.assign_moving_average(average, tf.squeeze(value), DECAY, zero_debias=False)
    return inference(tf, x, name, gamma, beta, mean, variance)


def averaged(tf, x, name):
    """The averages of a `tf.train.ExponentialMovingAverage`, which debiases those of tensors."""
    with tf.variable_scope(name):
        gamma, beta = tf.get_variable("gamma", [4]), tf.get_variable("beta", [4])
    mean, variance = tf.nn.moments(x, [0, 1, 2], name=f"{name}/moments")
    average = tf.train.ExponentialMovingAverage(DECAY)
    with tf.variable_scope(name):
        average.apply([mean, variance])
    return inference(tf, x, name, gamma, beta, mean, variance)


FORMS = {
    "fused": fused,
    "fused, zero-debiased": lambda tf, x, name: fused(tf, x, name, zero_debias=True),
    "fused, resources": lambda tf, x, name: fused(tf, x, name, resource=True),
    "unfused": unfused,
    "by hand": by_hand,
    "kept axes": kept_axes,
    "averaged": averaged,
}


def net(tf, norm):
    """Two batch norms on convolutions."""
    x = tf.placeholder(tf.float32, [None, None, None, 3], "image")
    for name in ("one", "two"):
        x = tf.nn.relu(norm(tf, conv(tf, x, name), name), name=f"{name}/Relu")
    return x


def twin(values):
    """The inference of `net`: the same weights, and the averages that belong to each."""

    def averages(name):
        mean = next(v for k, v in values.items() if _is_average(k, name, "mean"))
        return mean, next(v for k, v in values.items() if _is_average(k, name, "variance"))

    def norm(tf, x, name):
        gamma, beta = (tf.constant(values[f"{name}/{each}"]) for each in ("gamma", "beta"))
        mean, variance = map(tf.constant, averages(name))
        return inference(tf, x, name, gamma, beta, mean, variance)

    return norm


def _is_average(variable, name, which):
    leaf = variable.rpartition("/")[2]
    if "biased" in leaf or "local_step" in leaf or not variable.startswith(name):
        return False
    moments = {"mean": "Squeeze/", "variance": "Squeeze_1/"}[which]
    return leaf == f"moving_{which}" or (leaf == "ExponentialMovingAverage" and moments in variable)


def expected(values, image):
    """What TensorFlow computes of the inference graph."""
    import tensorflow

    tf = tensorflow.compat.v1
    with tf.Graph().as_default(), tf.Session() as session:
        output = net(tf, twin(values))
        for variable in tf.global_variables():
            variable.load(values[variable.op.name], session)
        return session.run(output, {"image:0": image})


@pytest.mark.parametrize("form", FORMS)
def test_a_training_becomes_its_inference(build, form):
    built = build(lambda tf: loss(tf, net(tf, FORMS[form])))
    network = built.read("two/Relu")
    norms = [layer for layer in network.layers if layer.kind == "batch_norm"]
    assert kinds(network) == ["conv", "batch_norm", "relu"] * 2
    assert [(norm.options["epsilon"], norm.options["decay"]) for norm in norms] == [
        (EPSILON, DECAY)
    ] * 2
    for norm, name in zip(norms, ("one", "two"), strict=True):
        assert set(norm.weights) == {"gamma", "beta", "mean", "variance"}
        assert all(weight.startswith(name) for weight in norm.weights.values())
        assert not any("biased" in weight for weight in norm.weights.values())
        moving = (network.parameters[norm.weights[role]] for role in ("mean", "variance"))
        assert not any(parameter.trainable for parameter in moving)
    found = run(network, built.variables, built.fed)["two/Relu"]
    assert difference(found, expected(built.variables, built.fed["image"])) < 1e-5


def in_cond(tf, x, name, resource=False):
    """`tf.cond` between the statistics of the batch, with updates, and the averages."""
    from tensorflow.python.training import moving_averages

    gamma, beta, moving_mean, moving_variance = variables(tf, name, resource)

    def of_batch():
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        updates = [
            moving_averages.assign_moving_average(average, value, DECAY, zero_debias=False)
            for average, value in ((moving_mean, mean), (moving_variance, variance))
        ]
        with tf.control_dependencies(updates):
            return tf.identity(mean), tf.identity(variance)

    averages = tf.identity(moving_mean), tf.identity(moving_variance)
    mean, variance = tf.cond(training(tf), of_batch, lambda: averages)
    return inference(tf, x, name, gamma, beta, mean, variance)


def training(tf):
    """The placeholder that tells training from inference."""
    try:
        return tf.get_default_graph().get_tensor_by_name("is_training:0")
    except KeyError:
        return tf.placeholder(tf.bool, [], "is_training")


@pytest.mark.parametrize("functional", [False, True], ids=["Switch", "If"])
def test_a_cond_is_decided_and_its_decay_known(build, functional):
    import tensorflow

    v1 = tensorflow.compat.v1
    was = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if functional else v1.disable_control_flow_v2)()
    try:
        norm = functools.partial(in_cond, resource=functional)
        built = build(lambda tf: net(tf, norm), "two/Relu", is_training=False)
    finally:
        (v1.enable_control_flow_v2 if was else v1.disable_control_flow_v2)()
    network = built.read()
    assert kinds(network) == ["conv", "batch_norm", "relu"] * 2
    assert built.error(network) < 1e-5
    assert any("is_training False" in note for note in network.notes)
    norms = [layer for layer in network.layers if layer.kind == "batch_norm"]
    assert [norm.options["decay"] for norm in norms] == [DECAY] * 2


def test_without_a_training_the_batch_is_normalised_as_the_graph_does(build):
    built = build(lambda tf: net(tf, fused), "two/Relu")
    network = built.read()
    assert built.error(network) < 1e-5
    assert "batch_norm" not in kinds(network)
    assert any("statistics of the batch" in note for note in network.notes)


def test_the_statistics_of_an_image_are_no_batch_norm(build):
    """Instance norm: statistics over height and width."""

    def norm(tf, x, name):
        gamma, beta, *_ = variables(tf, name)
        mean, variance = tf.nn.moments(x, [1, 2], keep_dims=True)
        return inference(tf, x, name, gamma, beta, mean, variance)

    built = build(lambda tf: loss(tf, net(tf, norm)))
    again = build(lambda tf: net(tf, norm), "two/Relu")
    network = built.read("two/Relu")
    assert "batch_norm" not in kinds(network)
    assert difference(run(network, again.variables, again.fed)["two/Relu"],
                      again.computed["two/Relu"]) < 1e-5  # fmt: skip


SPELLINGS = {
    "tf.nn": lambda tf, x, g, b, m, v: tf.nn.batch_normalization(x, m, v, b, g, EPSILON),
    "no gamma": lambda tf, x, g, b, m, v: tf.nn.batch_normalization(x, m, v, b, None, EPSILON),
    "no beta": lambda tf, x, g, b, m, v: tf.nn.batch_normalization(x, m, v, None, g, EPSILON),
    "centred": lambda tf, x, g, b, m, v: (x - m) * tf.rsqrt(v + EPSILON) * g + b,
    "divided": lambda tf, x, g, b, m, v: g * (x - m) / tf.sqrt(v + EPSILON) + b,
    "power": lambda tf, x, g, b, m, v: (x - m) * tf.pow(v + EPSILON, -0.5) * g + b,
    "scaled": lambda tf, x, g, b, m, v: (x - m) * (g / tf.sqrt(v + EPSILON)) + b,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("rank", [2, 4])
def test_spellings(build, spelling, rank):
    def make(tf):
        x = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        x = conv(tf, x, "one") if rank == 4 else tf.reduce_mean(conv(tf, x, "one"), [1, 2])
        tf.identity(SPELLINGS[spelling](tf, x, *variables(tf, "bn")), "out")

    built = build(make, "out")
    network = built.read()
    norm = only(network, "batch_norm")
    lacks = {"no gamma": {"gamma"}, "no beta": {"beta"}}.get(spelling, set())
    assert set(norm.weights) == {"gamma", "beta", "mean", "variance"} - lacks
    assert norm.options == {"epsilon": EPSILON, "decay": None, "fused": False}
    assert len(network.layers) == (3 if rank == 4 else 4)
    assert built.error(network) < 1e-5


def test_nothing_is_fused_whose_inside_is_read(build):
    def make(tf):
        x = tf.placeholder(tf.float32, [None, None, None, 4], "image")
        *_, mean, variance = variables(tf, "bn")
        scaled = tf.multiply(x, tf.rsqrt(variance + EPSILON), "scaled")
        tf.add(scaled, -mean * tf.rsqrt(variance + EPSILON), "normalised")
        tf.nn.relu(scaled, "read")

    built = build(make, "normalised", "read")
    network = built.read()
    assert "batch_norm" not in kinds(network)
    assert built.error(network) < 1e-5


def test_a_nchw_batch_norm_has_vectors(build):
    """Its statistics are reshaped to [1, C, 1, 1], as Keras does."""

    def make(tf):
        x = tf.placeholder(tf.float32, [None, 4, 5, 6], "image")
        parts = [tf.reshape(each, [1, 4, 1, 1]) for each in variables(tf, "bn")]
        gamma, beta, mean, variance = parts
        normalised = inference(tf, x, "out", gamma, beta, mean, variance)
        tf.transpose(normalised, [0, 2, 3, 1], name="nhwc")

    built = build(make, "nhwc")
    network = built.read()
    assert all(
        network.parameters[w].shape == (4,) for w in only(network, "batch_norm").weights.values()
    )
    assert built.error(network) < 1e-5


def test_two_averages_of_one_statistic_are_refused(build):
    from tensorflow.python.training import moving_averages

    def norm(tf, x, name):
        y = unfused(tf, x, name)
        mean = tf.get_default_graph().get_tensor_by_name(f"{name}/moments/Squeeze:0")
        other = tf.get_variable(f"{name}/renorm_mean", [4], trainable=False)
        moving_averages.assign_moving_average(other, mean, DECAY, zero_debias=False)
        return y

    from converters.files import CheckpointError

    built = build(lambda tf: loss(tf, net(tf, norm)))
    with pytest.raises(CheckpointError, match="renorm"):
        built.read("two/Relu")


def test_frozen_batch_norms_have_no_decay(build):
    built = build(
        lambda tf: net(tf, lambda t, x, n: inference(t, x, n, *variables(t, n))), "two/Relu"
    )
    network = built.read()
    assert {layer.options["decay"] for layer in network.layers if layer.kind == "batch_norm"} == {
        None
    }
    assert built.error(network) < 1e-5
    assert np.isfinite(built.computed["two/Relu"]).all()
