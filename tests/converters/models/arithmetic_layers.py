"""Layers that compute value by value, of one input or of several."""

from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from layer_table import EVEN, add, raw, values  # noqa: E402

UNARY = {
    **{name: getattr(tf.nn, name) for name in ("relu", "relu6", "elu", "selu", "softplus")},
    **{name: getattr(tf.math, name) for name in ("sigmoid", "tanh", "softsign", "abs", "square")},
    **{
        name: getattr(tf.math, name)
        for name in ("exp", "expm1", "floor", "ceil", "round", "sign", "erf")
    },
    **{name: getattr(tf.math, name) for name in ("sin", "cos", "reciprocal")},
    "neg": tf.negative,
    "zeros_like": tf.zeros_like,
    "ones_like": tf.ones_like,
    "identity": tf.identity,
    "stop_gradient": tf.stop_gradient,
    "swish": tf.nn.silu,
    "hard_sigmoid": lambda x: tf.nn.relu6(x + 3) / 6,
    "hard_swish": lambda x: x * tf.nn.relu6(x + 3) / 6,
}
POSITIVE = {name: getattr(tf.math, name) for name in ("sqrt", "rsqrt", "log", "log1p")}


def _elementwise():
    wide = values(2, 3, 5, 4, low=-50, high=50)
    halves = np.arange(-8, 8).reshape(1, 2, 2, 4) / 2
    for name, compute in UNARY.items():
        for label, x in (("image", EVEN), ("wide", wide), ("halves", halves), ("row", values(7))):
            if (name, label) != ("reciprocal", "halves"):
                add(f"{name}-{label}", name, compute, [x])
    for name, compute in POSITIVE.items():
        add(name, name, compute, [values(2, 3, 5, 4, low=0.1)])
    add("is_finite", "is_finite", tf.math.is_finite, [np.array([1.0, np.inf, np.nan, -np.inf])])
    add("logical_not", "logical_not", tf.logical_not, [EVEN > 0])
    add("leaky_relu", "leaky_relu", lambda x: tf.nn.leaky_relu(x, 0.25), [EVEN], alpha=0.25)
    add("clip", "clip", lambda x: tf.clip_by_value(x, -0.5, 1.5), [EVEN], low=-0.5, high=1.5)
    for shape in ((3, 5), (2, 3, 4, 5), (2, 2, 3, 4, 5)):
        for axis in range(len(shape)):
            for name in ("softmax", "log_softmax"):
                compute = getattr(tf.nn, name)
                add(
                    f"{name}-{len(shape)}-{axis}",
                    name,
                    lambda x, c=compute, a=axis: c(x, a),
                    [values(*shape)],
                    axis=axis,
                )
    add("dropout", "dropout", tf.identity, [EVEN], rate=0.4)
    add("cast-int", "cast", lambda x: tf.cast(x, tf.int32), [EVEN], dtype="int32")
    add("cast-bool", "cast", lambda x: tf.cast(x, tf.float64), [EVEN > 0], dtype="float32")


def _several():
    shapes = {
        "same": ((2, 3, 4, 5), (2, 3, 4, 5)),
        "channels": ((2, 3, 4, 5), (5,)),
        "channels-first": ((5,), (2, 3, 4, 5)),
        "scalar": ((2, 3, 4, 5), ()),
        "row": ((2, 3, 4, 5), (4, 5)),
        "map": ((2, 3, 4, 5), (3, 4, 5)),
        "map-1": ((2, 3, 4, 5), (3, 4, 1)),
        "ones": ((2, 3, 4, 5), (2, 1, 1, 5)),
        "columns": ((3, 1), (4,)),
        "outer": ((2, 1, 4, 1), (3, 1, 5)),
        "five": ((2, 3, 2, 4, 5), (4, 5)),
        "five-four": ((2, 3, 2, 4, 5), (3, 2, 4, 5)),
        "six": ((2, 2, 3, 2, 4, 5), (3, 2, 1, 5)),
    }
    binary = {
        "add": tf.add,
        "sub": tf.subtract,
        "mul": tf.multiply,
        "div": tf.divide,
        "floor_div": tf.math.floordiv,
        "floor_mod": tf.math.floormod,
        "maximum": tf.maximum,
        "minimum": tf.minimum,
        "squared_difference": tf.math.squared_difference,
        "greater": tf.greater,
        "greater_equal": tf.greater_equal,
        "less": tf.less,
        "less_equal": tf.less_equal,
        "equal": tf.equal,
        "not_equal": tf.not_equal,
    }
    for label, (one, other) in shapes.items():
        feeds = [values(*one), values(*other, seed=1)]
        for name in binary if label in ("same", "map") else ("sub", "maximum"):
            add(f"{name}-{label}", name, binary[name], feeds)
        tests = [feeds[0] > 0, *feeds]
        add(f"select-{label}", "select", tf.where, tests)
    add("equal-ints", "equal", tf.equal, [np.arange(6), np.array([0, 2, 2, 3, 0, 5])])
    ints = np.array([-7, -6, 5, 7]), np.array([2, 4, -3, 7])
    add("div-ints", "div", _div, list(ints))
    add("floor_div-ints", "floor_div", tf.math.floordiv, list(ints))
    add("floor_mod-ints", "floor_mod", tf.math.floormod, list(ints))
    add("pow", "pow", tf.pow, [values(2, 3, low=0.1), values(3)])
    add("logical_and", "logical_and", tf.logical_and, [EVEN > 0, EVEN[0] > 1])
    add("logical_or", "logical_or", tf.logical_or, [EVEN > 0, EVEN[0] > 1])
    add("add_n", "add_n", lambda *x: tf.add_n(x), [EVEN, EVEN + 1, EVEN * 2])
    for one, other, a, b in (
        ((3, 4), (4, 5), False, False),
        ((2, 4, 3), (2, 4, 5), True, False),
        ((2, 3, 4, 5), (2, 3, 6, 5), False, True),
        ((2, 3, 2, 4, 5), (5, 6), False, False),
    ):
        add(
            f"matmul-{len(one)}-{len(other)}",
            "matmul",
            lambda x, y, a=a, b=b: tf.matmul(x, y, a, b),
            [values(*one), values(*other, seed=1)],
            transpose_a=a,
            transpose_b=b,
        )


def _div(a, b):
    return raw.Div(x=a, y=b)


for define in (_elementwise, _several):
    define()
