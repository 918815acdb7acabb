"""Activations that graphs spell out."""

from __future__ import annotations

import numpy as np
import pytest
from built import kinds, only

tf2 = pytest.importorskip("tensorflow")


def alpha(tf):
    return tf.get_variable("alpha", [3])


SPELLINGS = {
    "maximum": (lambda tf, x: tf.maximum(x, 0.2 * x), "leaky_relu", {"alpha": 0.2}),
    "half": (lambda tf, x: 0.6 * x + 0.4 * tf.abs(x), "leaky_relu", {"alpha": 0.2}),
    "two relus": (
        lambda tf, x: tf.nn.relu(x) - 0.2 * tf.nn.relu(-x), "leaky_relu", {"alpha": 0.2},
    ),
    "where": (lambda tf, x: tf.where(x > 0, x, 0.2 * x), "leaky_relu", {"alpha": 0.2}),
    "operation": (
        lambda tf, x: tf.nn.leaky_relu(x, 0.3), "leaky_relu", {"alpha": float(np.float32(0.3))},
    ),
    "prelu": (
        lambda tf, x: tf.nn.relu(x) + alpha(tf) * (x - tf.abs(x)) * 0.5, "prelu", {},
    ),
    "prelu of two relus": (
        lambda tf, x: tf.nn.relu(x) - alpha(tf) * tf.nn.relu(-x), "prelu", {},
    ),
    "Keras' prelu": (
        lambda tf, x: tf.nn.relu(x) + -alpha(tf) * tf.nn.relu(-x), "prelu", {},
    ),
    "prelu of a minimum": (
        lambda tf, x: tf.maximum(0.0, x) + alpha(tf) * tf.minimum(0.0, x), "prelu", {},
    ),
    "relu": (lambda tf, x: tf.maximum(x, 0.0), "relu", {}),
    "relu6": (lambda tf, x: tf.minimum(tf.nn.relu(x), 6.0), "relu6", {}),
    "clip": (lambda tf, x: tf.clip_by_value(x, -0.5, 0.25), "clip", {"low": -0.5, "high": 0.25}),
    "hard sigmoid": (lambda tf, x: tf.nn.relu6(x + 3) / 6, "hard_sigmoid", {}),
    "hard swish": (lambda tf, x: x * tf.nn.relu6(x + 3) / 6, "hard_swish", {}),
    "hard swish, product": (
        lambda tf, x: x * (tf.nn.relu6(x + 3) * (1 / 6)), "hard_swish", {},
    ),
    "swish": (lambda tf, x: x * tf.sigmoid(x), "swish", {}),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings(build, spelling):
    make, kind, options = SPELLINGS[spelling]

    def net(tf):
        x = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        tf.identity(make(tf, 4 * x), "out")

    built = build(net, "out")
    network = built.read()
    assert kinds(network) == ["parameter", "mul", kind, "identity"]
    assert only(network, kind).options == options
    assert built.error(network) < 1e-6


OTHERS = {
    "a slope above 1": lambda tf, x: tf.maximum(x, 2 * x),
    "of another value": lambda tf, x: tf.maximum(x, 0.2 * tf.square(x)),
    "halves that are not one": lambda tf, x: 0.6 * x + 0.5 * tf.abs(x),
    "a variable slope": lambda tf, x: tf.maximum(x, alpha(tf) * x),
    "a rounded sixth": lambda tf, x: x * tf.nn.relu6(x + 3) * 0.16667,
    "limits the wrong way round": lambda tf, x: tf.minimum(tf.maximum(x, 0.5), 0.25),
    "mish": lambda tf, x: x * tf.tanh(tf.nn.softplus(x)),
}


@pytest.mark.parametrize("form", OTHERS)
def test_what_only_looks_so_stays_arithmetic(build, form):
    def net(tf):
        x = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        tf.identity(OTHERS[form](tf, 4 * x), "out")

    built = build(net, "out")
    network = built.read()
    found = {"leaky_relu", "prelu", "hard_swish", "hard_sigmoid", "clip"} & set(kinds(network))
    assert not found
    assert built.error(network) < 1e-6
