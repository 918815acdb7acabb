"""Dropout and noise in every form that TensorFlow 1 wrote, and what inference makes of them."""

from __future__ import annotations

import pytest
from built import kinds, only

from converters.files import CheckpointError

pytest.importorskip("tensorflow")

RATE = 0.4
ALWAYS = (
    "The graph's own dropouts are always on, so that what it computes is random: here they do "
    "nothing at inference."
)


def uniform(tf, x):
    return tf.random_uniform(tf.shape(x), seed=1)


def floor_of_sum(tf, x):
    """TensorFlow 1.0 to 1.12: x / keep_prob * floor(keep_prob + uniform)."""
    keep = tf.constant(1 - RATE)
    return tf.div(x, keep) * tf.floor(keep + uniform(tf, x))


def comparison(tf, x):
    """TensorFlow 1.13 to 1.15: x * (1 / (1 - rate)) * cast(uniform >= rate)."""
    rate = tf.constant(RATE)
    return x * (1 / (1 - rate)) * tf.cast(uniform(tf, x) >= rate, tf.float32)


def selection(tf, x):
    return tf.where(uniform(tf, x) >= RATE, x * (1 / (1 - RATE)), tf.zeros_like(x))


def scaled_later(tf, x):
    mask = tf.cast(tf.less(uniform(tf, x), 1 - RATE), tf.float32)
    return tf.div(x * mask, 1 - RATE)


def whole_maps(tf, x):
    return tf.nn.dropout(x, rate=RATE, noise_shape=[tf.shape(x)[0], 1, 1, 3])


def alpha(tf, x):
    """tf.contrib.nn.alpha_dropout."""
    mask = tf.floor(1 - RATE + uniform(tf, x))
    value = -1.7580993408473766
    a = ((1 - RATE) * (1 + RATE * value**2)) ** -0.5
    return a * (x * mask + value * (1 - mask)) + -a * RATE * value


FORMS = [floor_of_sum, comparison, selection, scaled_later, whole_maps, alpha]


def net(form):
    def make(tf):
        x = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        tf.nn.relu(form(tf, tf.nn.relu(x, "before")), "out")

    return make


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_a_dropout_knows_its_rate_and_does_nothing(build, form):
    built = build(net(form), "before")
    network = built.read("out")
    assert kinds(network) == ["relu", "dropout", "relu"]
    assert only(network, "dropout").options["rate"] == pytest.approx(RATE, abs=1e-6)
    assert ALWAYS in network.notes
    assert built.error(network, {"out": built.computed["before"]}) < 1e-6


def keep_fed(tf, x):
    return tf.nn.dropout(x, keep_prob=tf.placeholder(tf.float32, name="keep_prob"))


def rate_fed(tf, x):
    return tf.nn.dropout(x, rate=tf.placeholder(tf.float32, [], name="rate"))


@pytest.mark.parametrize("form", [keep_fed, rate_fed], ids=lambda form: form.__name__)
def test_a_rate_that_is_fed_is_not_known(build, form):
    built = build(net(form))
    network = built.read("out")
    assert only(network, "dropout").options["rate"] is None
    assert ALWAYS not in network.notes
    assert [each.name for each in network.inputs] == ["image"]


def in_cond(tf, x):
    flag = tf.placeholder(tf.bool, [], "is_training")
    return tf.cond(flag, lambda: comparison(tf, x), lambda: tf.identity(x))


def keep_in_cond(tf, x):
    flag = tf.placeholder_with_default(True, [], "is_training")
    keep = tf.cond(flag, lambda: 1 - RATE, lambda: 1.0)
    return tf.nn.dropout(x, keep_prob=keep)


@pytest.mark.parametrize("form", [in_cond, keep_in_cond], ids=lambda form: form.__name__)
def test_a_dropout_in_a_cond_keeps_the_rate_of_training(build, form):
    built = build(net(form), "before", **({"is_training": False} if form is in_cond else {}))
    network = built.read("out")
    assert kinds(network) == ["relu", "dropout", "relu"]
    assert only(network, "dropout").options["rate"] == pytest.approx(RATE, abs=1e-6)
    assert ALWAYS not in network.notes
    assert built.error(network, {"out": built.computed["before"]}) < 1e-6


def gaussian(tf, x):
    return x + tf.random_normal(tf.shape(x), stddev=0.1)


def multiplied(tf, x):
    return x * tf.random_normal(tf.shape(x), mean=1.0, stddev=0.1)


@pytest.mark.parametrize("form", [gaussian, multiplied], ids=lambda form: form.__name__)
def test_noise_is_left_out_and_said(build, form):
    built = build(net(form), "before")
    network = built.read("out")
    assert kinds(network) == ["relu", "relu"]
    assert any("noise" in note for note in network.notes)
    assert built.error(network, {"out": built.computed["before"]}) < 1e-6


def test_a_mask_that_scales_nothing_is_refused(build):
    """Inference would have to scale, which is not in the graph."""
    built = build(net(lambda tf, x: x * tf.floor(0.6 + uniform(tf, x))))
    with pytest.raises(CheckpointError, match="does not scale"):
        built.read("out")


def test_random_numbers_that_are_no_noise_are_refused(build):
    built = build(net(lambda tf, x: x + tf.random_uniform(tf.shape(x))))
    with pytest.raises(CheckpointError, match=r"RandomUniform.*choose outputs before it"):
        built.read("out")


@pytest.mark.parametrize("trains", [False, True])
def test_dropout_that_is_always_on_is_said(build, trains):
    """Some generators drop at inference, too; what a training drops is nothing to speak of."""

    def make(tf):
        x = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        kernel = tf.get_variable("weights", [1, 1, 3, 4])
        x = tf.nn.conv2d(x, kernel, strides=[1, 1, 1, 1], padding="SAME", name="conv")
        x = tf.identity(comparison(tf, x), "out")
        if trains:
            tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(x))

    network = build(make).read("out")
    assert any("dropouts are always on" in note for note in network.notes) != trains
