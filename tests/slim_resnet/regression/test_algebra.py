"""Arithmetic that is the same function in another form, and what only looks like it."""

from __future__ import annotations

import numpy as np
import pytest

from slim_resnet.compat import tf
from tests.slim_resnet.regression.graphs import build, differences


def mul(x, y):
    return tf.raw_ops.Mul(x=x, y=y)


def factor(keep):
    """Drops out as TensorFlow 1.15 did, by a factor."""
    return lambda x: mul(mul(x, 2.0), tf.cast(keep(x), tf.float32))


def select(keep, otherwise=0.0):
    """Drops out as today's TensorFlow does."""
    return lambda x: tf.where_v2(keep(x), mul(x, 2.0), otherwise)


def drawn(least=0.0, most=1.0):
    """Random numbers as TensorFlow 1.15 drew them."""

    def network(x):
        numbers = tf.raw_ops.RandomUniform(shape=tf.shape(x), dtype=tf.float32)
        span = tf.raw_ops.Sub(x=most, y=least)
        return x + tf.raw_ops.Add(x=mul(numbers, span), y=least)

    return network


def drawn_today(x):
    return x + tf.raw_ops.RandomUniform(shape=tf.shape(x), dtype=tf.float32)


def positive(x):
    return x > 0.25


def negative(x):
    return x < 0.25


def third(x):
    return tf.split(x, 3, 3)[2]


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (lambda x: tf.nn.relu(x), lambda x: tf.nn.relu(mul(x, 1.0))),
        (lambda x: tf.nn.relu(x), lambda x: tf.nn.relu(mul(1.0, x) + 0.0)),
        (lambda x: tf.nn.relu(third(x)), lambda x: tf.nn.relu(third(x) + 0.0)),
        (lambda x: x + 0.75, lambda x: x + tf.raw_ops.Sub(x=1.0, y=0.25)),
        (lambda x: x + 0.1, lambda x: x + mul(0.1, 1.0)),
        (lambda x: x + float(np.float32(1) - np.float32(0.1)),
         lambda x: x + tf.raw_ops.Sub(x=1.0, y=0.1)),
        (drawn_today, drawn()),
        (select(positive), factor(positive)),
        (select(positive), lambda x: mul(tf.cast(positive(x), tf.float32), mul(x, 2.0))),
    ],
)  # fmt: skip
def test_the_same(now, then):
    assert differences(now, then) == []
    assert differences(then, now) == []


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (lambda x: tf.nn.relu(x), lambda x: tf.nn.relu(mul(x, 1.0000001))),
        (lambda x: tf.nn.relu(x), lambda x: tf.nn.relu(x + 1e-30)),
        (lambda x: tf.nn.relu(x), lambda x: tf.nn.relu(mul(x, 0.0))),
        (lambda x: tf.nn.relu(x), lambda x: tf.nn.relu(x + 1.0)),
        # Gives what has fewer dimensions, or another size there, a shape of its own.
        (lambda x: tf.nn.relu(x), lambda x: tf.nn.relu(mul(x, [1.0, 1.0, 1.0]))),
        (lambda x: tf.nn.relu(x), lambda x: tf.nn.relu(x + [0.0])),
        (lambda x: tf.nn.relu(x), lambda x: tf.nn.relu(tf.raw_ops.Sub(x=0.0, y=x))),
        (lambda x: x + 0.75, lambda x: x + tf.raw_ops.Sub(x=0.25, y=1.0)),
        (lambda x: x + 0.75, lambda x: x + tf.raw_ops.RealDiv(x=4.0, y=3.0)),
        # In float32 the quotient is one rounding away from 1 / 0.85, which is what today's holds.
        (lambda x: x + 1 / (1 - 0.15),
         lambda x: x + tf.raw_ops.RealDiv(x=1.0, y=tf.raw_ops.Sub(x=1.0, y=0.15))),
        (lambda x: tf.nn.relu(third(x)), lambda x: tf.nn.relu(tf.split(x, 3, 3)[0] + 0.0)),
        (drawn_today, drawn(most=2.0)),
        (drawn_today, drawn(least=0.5)),
        (select(positive), factor(negative)),
        (select(positive), factor(lambda x: tf.logical_not(positive(x)))),
        (select(positive, 1.0), factor(positive)),
        (lambda x: tf.where_v2(positive(x), 0.0, mul(x, 2.0)), factor(positive)),
        (select(positive), lambda x: mul(mul(x, 3.0), tf.cast(positive(x), tf.float32))),
        # A factor that is not zero or one.
        (select(positive),
         lambda x: mul(mul(x, 2.0), tf.cast(tf.cast(x, tf.int32), tf.float32))),
    ],
)  # fmt: skip
def test_not_the_same(now, then):
    assert differences(now, then) != []
    assert differences(then, now) != []


def test_the_forms_compute_the_same_bit_for_bit():
    """Of finite numbers; -0 counts as 0, which it equals."""
    pixels = np.random.RandomState(1).standard_normal((2, 9, 9, 3)).astype(np.float32)
    pixels[0, 0, 0] = [np.finfo(np.float32).max / 4, np.finfo(np.float32).tiny, -0.0]
    forms = [select(positive), factor(positive)]
    computed = []
    for form in forms:
        graph, op = build(form)
        with tf.Session(graph=graph) as session:
            computed.append(session.run(op.outputs[0], {"images:0": pixels}))
    np.testing.assert_array_equal(*computed)


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_dropout_of_tensorflow_1_15_is_that_of_today(rate):
    """`tf.nn.dropout`'s graph in 1.15.5, written out, against today's own."""

    def then(x):
        numbers = tf.raw_ops.RandomUniform(shape=tf.shape(x), dtype=tf.float32)
        uniform = tf.raw_ops.Add(x=mul(numbers, tf.raw_ops.Sub(x=1.0, y=0.0)), y=0.0)
        kept = tf.cast(uniform >= rate, tf.float32)
        scale = tf.raw_ops.RealDiv(x=1.0, y=tf.raw_ops.Sub(x=1.0, y=rate))
        return mul(mul(x, scale), kept)

    assert differences(lambda x: tf.nn.dropout(x, rate=rate), then) == []
    assert differences(lambda x: tf.nn.dropout(x, rate=rate + 0.01), then) != []
