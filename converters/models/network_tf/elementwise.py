"""Arithmetic: one value or several in, one out."""

from __future__ import annotations

from converters.models.network_tf.step import Function, Step, aligned, tf

raw = tf.raw_ops


def _unary(function) -> Function:
    return lambda step: function(step.inputs[0], name=step.name)


def _binary(function) -> Function:
    return lambda step: function(*aligned(step.inputs), name=step.name)


def _leaky_relu(step: Step):
    return tf.nn.leaky_relu(step.inputs[0], step.options["alpha"], name=step.name)


def _prelu(step: Step):
    (x,) = step.inputs
    below = step.weights["alpha"] * tf.minimum(x, tf.zeros([], x.dtype))
    return tf.add(tf.nn.relu(x), below, name=step.name)


def _clip(step: Step):
    (x,) = step.inputs
    low, high = (tf.constant(step.options[name], x.dtype) for name in ("low", "high"))
    return tf.minimum(tf.maximum(x, low), high, name=step.name)


def _hard_sigmoid(step: Step):
    return tf.realdiv(tf.nn.relu6(step.inputs[0] + 3.0), 6.0, name=step.name)


def _hard_swish(step: Step):
    (x,) = step.inputs
    return tf.realdiv(x * tf.nn.relu6(x + 3.0), 6.0, name=step.name)


def _swish(step: Step):
    (x,) = step.inputs
    return tf.multiply(x, tf.sigmoid(x), name=step.name)


def _softmax(function) -> Function:
    return lambda step: function(step.inputs[0], step.options["axis"], name=step.name)


def _cast(step: Step):
    wanted = tf.as_dtype(step.options["dtype"])
    return tf.cast(step.inputs[0], step.dtype if wanted.is_floating else wanted, name=step.name)


def _lrn(step: Step):
    (x,) = step.inputs
    if x.dtype == tf.float32:
        return tf.nn.lrn(x, name=step.name, **step.options)
    radius, depth = step.options["depth_radius"], x.shape[-1]  # its kernel is for float32 alone
    squares = tf.pad(tf.square(x), [[0, 0]] * 3 + [[radius, radius]])
    total = tf.add_n([squares[..., i : i + depth] for i in range(2 * radius + 1)])
    powers = (step.options["bias"] + step.options["alpha"] * total) ** step.options["beta"]
    return tf.realdiv(x, powers, name=step.name)


def _div(step: Step):
    one, other = aligned(step.inputs)
    function = tf.realdiv if one.dtype.is_floating else tf.truncatediv
    return function(one, other, name=step.name)


def _select(step: Step):
    condition, yes, no = step.inputs
    yes, no = aligned([yes, no])
    return raw.SelectV2(condition=condition, t=yes, e=no, name=step.name)


def _matmul(step: Step):
    one, other = step.inputs
    flips = step.options["transpose_a"], step.options["transpose_b"]
    if one.shape.rank == other.shape.rank == 2:
        return tf.matmul(one, other, *flips, name=step.name)
    return raw.BatchMatMulV2(x=one, y=other, adj_x=flips[0], adj_y=flips[1], name=step.name)


LAYERS: dict[str, Function] = {
    "relu": _unary(tf.nn.relu),
    "relu6": _unary(tf.nn.relu6),
    "elu": _unary(tf.nn.elu),
    "selu": _unary(tf.nn.selu),
    "sigmoid": _unary(tf.sigmoid),
    "tanh": _unary(tf.tanh),
    "softplus": _unary(tf.nn.softplus),
    "softsign": _unary(tf.nn.softsign),
    "neg": _unary(tf.negative),
    "abs": _unary(tf.abs),
    "square": _unary(tf.square),
    "sqrt": _unary(tf.sqrt),
    "rsqrt": _unary(tf.rsqrt),
    "exp": _unary(tf.exp),
    "expm1": _unary(tf.math.expm1),
    "is_finite": _unary(tf.math.is_finite),
    "log": _unary(tf.log),
    "log1p": _unary(tf.math.log1p),
    "floor": _unary(tf.floor),
    "ceil": _unary(tf.math.ceil),
    "round": _unary(tf.round),
    "sign": _unary(tf.sign),
    "reciprocal": _unary(tf.math.reciprocal),
    "erf": _unary(tf.math.erf),
    "sin": _unary(tf.sin),
    "cos": _unary(tf.cos),
    "logical_not": _unary(tf.logical_not),
    "identity": _unary(tf.identity),
    "dropout": _unary(tf.identity),
    "zeros_like": _unary(tf.zeros_like),
    "ones_like": _unary(tf.ones_like),
    "stop_gradient": _unary(tf.stop_gradient),
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "clip": _clip,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": _hard_swish,
    "swish": _swish,
    "softmax": _softmax(tf.nn.softmax),
    "log_softmax": _softmax(tf.nn.log_softmax),
    "cast": _cast,
    "lrn": _lrn,
    "add": _binary(tf.add),
    "sub": _binary(tf.subtract),
    "mul": _binary(tf.multiply),
    "div": _div,
    "floor_div": _binary(tf.floordiv),
    "floor_mod": _binary(tf.floormod),
    "maximum": _binary(tf.maximum),
    "minimum": _binary(tf.minimum),
    "pow": _binary(tf.pow),
    "squared_difference": _binary(tf.math.squared_difference),
    "greater": _binary(tf.greater),
    "greater_equal": _binary(tf.greater_equal),
    "less": _binary(tf.less),
    "less_equal": _binary(tf.less_equal),
    "equal": _binary(tf.equal),
    "not_equal": _binary(tf.not_equal),
    "logical_and": _binary(tf.logical_and),
    "logical_or": _binary(tf.logical_or),
    "add_n": lambda step: tf.add_n(aligned(step.inputs), name=step.name),
    "select": _select,
    "matmul": _matmul,
}
