"""Arithmetic: a layer of Keras where there is one, else an operation of `keras.ops`."""

from __future__ import annotations

import numpy as np

from converters.graphs.network import Layer
from converters.models.network_keras.builder import Builder, Function, added, is_tensor, layers, ops


def _unary(function) -> Function:
    return lambda b, layer: function(b.tensor(layer.inputs[0]))


def _activation(name: str) -> Function:
    return lambda b, layer: b.layer(layers.Activation, layer, b.tensor(layer.inputs[0]), name)


def _as(kind: type, **kwargs) -> Function:
    return lambda b, layer: b.layer(kind, layer, b.tensor(layer.inputs[0]), **kwargs)


def _several(function) -> Function:
    return lambda b, layer: function(*b.tensors(layer))


def _merge(kind: type, function) -> Function:
    """A merging layer for tensors of one shape; Keras broadcasts others in ways of its own."""

    def merge(b: Builder, layer: Layer):
        values = b.tensors(layer)
        if all(map(is_tensor, values)) and len({b.dims(name) for name in layer.inputs}) == 1:
            return b.layer(kind, layer, values)
        return function(b, layer, *values)

    return merge


def _scalar(value) -> float | None:
    """The only number of a constant with fractions."""
    is_number = not is_tensor(value) and value.size == 1 and value.dtype.kind == "f"
    return float(value.reshape(())) if is_number and value.ndim == 0 else None


def _add(b: Builder, layer: Layer, *values):
    if len(values) == 2:
        for value, other in (values, values[::-1]):
            if is_tensor(value) and _scalar(other) is not None:
                return b.layer(layers.Rescaling, layer, value, 1.0, _scalar(other))
    total = values[0]
    for value in values[1:]:
        total = added(total, value)
    return total


def _subtract(b: Builder, layer: Layer, one, other):
    if is_tensor(one) and _scalar(other) is not None:
        return b.layer(layers.Rescaling, layer, one, 1.0, -_scalar(other))
    if is_tensor(one) and not is_tensor(other) and other.shape == one.shape[-1:]:
        ones = np.ones_like(other)
        return b.layer(
            layers.Normalization, layer, one, axis=-1, mean=other.tolist(), variance=ones.tolist()
        )
    return ops.subtract(one, other)


def _multiply(b: Builder, layer: Layer, one, other):
    for value, factor in ((one, other), (other, one)):
        if is_tensor(value) and _scalar(factor) is not None:
            return b.layer(layers.Rescaling, layer, value, _scalar(factor))
    return ops.multiply(one, other)


def _divide(b: Builder, layer: Layer):
    one, other = b.tensors(layer)
    if np.dtype(str(one.dtype)).kind != "f":
        raise ValueError("integers that are divided towards zero")
    return ops.divide(one, other)


def _leaky_relu(b: Builder, layer: Layer):
    slope = layer.options["alpha"]
    return b.layer(layers.LeakyReLU, layer, b.tensor(layer.inputs[0]), negative_slope=slope)


def _clip(b: Builder, layer: Layer):
    return ops.clip(b.tensor(layer.inputs[0]), layer.options["low"], layer.options["high"])


def _softmax(b: Builder, layer: Layer):
    return b.layer(layers.Softmax, layer, b.tensor(layer.inputs[0]), axis=layer.options["axis"])


def _log_softmax(b: Builder, layer: Layer):
    return ops.log_softmax(b.tensor(layer.inputs[0]), axis=layer.options["axis"])


def _dropout(b: Builder, layer: Layer):
    rate = layer.options["rate"] or 0.0
    return b.layer(layers.Dropout, layer, b.tensor(layer.inputs[0]), rate)


def _cast(b: Builder, layer: Layer):
    dtype = layer.options["dtype"]
    is_fraction = np.dtype(dtype).kind == "f"
    return ops.cast(b.tensor(layer.inputs[0]), b.dtype if is_fraction else dtype)


def _squared_difference(b: Builder, layer: Layer):
    return ops.square(ops.subtract(*b.tensors(layer)))


LAYERS: dict[str, Function] = {
    "relu": _as(layers.ReLU),
    "relu6": _as(layers.ReLU, max_value=6.0),
    "elu": _as(layers.ELU),
    "selu": _activation("selu"),
    "sigmoid": _activation("sigmoid"),
    "tanh": _activation("tanh"),
    "softplus": _activation("softplus"),
    "softsign": _activation("softsign"),
    "swish": _activation("silu"),
    "hard_sigmoid": _activation("hard_sigmoid"),
    "hard_swish": _activation("hard_silu"),
    "exp": _activation("exponential"),
    "identity": _as(layers.Identity),
    "leaky_relu": _leaky_relu,
    "neg": _unary(ops.negative),
    "abs": _unary(ops.abs),
    "square": _unary(ops.square),
    "sqrt": _unary(ops.sqrt),
    "rsqrt": _unary(ops.rsqrt),
    "expm1": _unary(ops.expm1),
    "is_finite": _unary(ops.isfinite),
    "log": _unary(ops.log),
    "log1p": _unary(ops.log1p),
    "floor": _unary(ops.floor),
    "ceil": _unary(ops.ceil),
    "round": _unary(ops.round),
    "sign": _unary(ops.sign),
    "reciprocal": _unary(ops.reciprocal),
    "erf": _unary(ops.erf),
    "sin": _unary(ops.sin),
    "cos": _unary(ops.cos),
    "logical_not": _unary(ops.logical_not),
    "zeros_like": _unary(ops.zeros_like),
    "ones_like": _unary(ops.ones_like),
    "stop_gradient": _unary(ops.stop_gradient),
    "clip": _clip,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "dropout": _dropout,
    "cast": _cast,
    "add": _merge(layers.Add, _add),
    "add_n": _merge(layers.Add, _add),
    "sub": _merge(layers.Subtract, _subtract),
    "mul": _merge(layers.Multiply, _multiply),
    "maximum": _merge(layers.Maximum, lambda b, layer, one, other: ops.maximum(one, other)),
    "minimum": _merge(layers.Minimum, lambda b, layer, one, other: ops.minimum(one, other)),
    "div": _divide,
    "floor_div": _several(ops.floor_divide),
    "floor_mod": _several(ops.mod),
    "pow": _several(ops.power),
    "squared_difference": _squared_difference,
    "greater": _several(ops.greater),
    "greater_equal": _several(ops.greater_equal),
    "less": _several(ops.less),
    "less_equal": _several(ops.less_equal),
    "equal": _several(ops.equal),
    "not_equal": _several(ops.not_equal),
    "logical_and": _several(ops.logical_and),
    "logical_or": _several(ops.logical_or),
    "select": _several(ops.where),
}
