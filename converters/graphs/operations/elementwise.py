"""Arithmetic: operations on every value by itself. Source: TensorFlow's `core/ops/math_ops.cc`."""

from __future__ import annotations

import numpy as np

from converters.files.errors import Malformed
from converters.graphs.drafts import Value
from converters.graphs.layouts import aligned, axis_of, to_layout
from converters.graphs.operations.operation import Handler, Operation

FLOATS = frozenset(("float16", "bfloat16", "float32", "float64"))
_UNARY = {
    "Relu": "relu", "Relu6": "relu6", "Elu": "elu", "Selu": "selu", "Sigmoid": "sigmoid",
    "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign", "Neg": "neg", "Abs": "abs",
    "Square": "square", "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Exp": "exp", "Expm1": "expm1",
    "Log": "log", "Log1p": "log1p", "Floor": "floor", "Ceil": "ceil", "Round": "round",
    "Rint": "round", "Sign": "sign", "Reciprocal": "reciprocal", "Inv": "reciprocal", "Erf": "erf",
    "Sin": "sin", "Cos": "cos", "LogicalNot": "logical_not", "ZerosLike": "zeros_like",
    "OnesLike": "ones_like",
}  # fmt: skip
_BINARY = {
    "Add": "add", "AddV2": "add", "Sub": "sub", "Mul": "mul", "RealDiv": "div",
    "FloorDiv": "floor_div", "FloorMod": "floor_mod", "Maximum": "maximum", "Minimum": "minimum",
    "Pow": "pow", "SquaredDifference": "squared_difference",
}  # fmt: skip
_TESTS = {
    "Greater": "greater", "GreaterEqual": "greater_equal", "Less": "less",
    "LessEqual": "less_equal", "Equal": "equal", "NotEqual": "not_equal",
    "LogicalAnd": "logical_and", "LogicalOr": "logical_or",
}  # fmt: skip


def _unary(op: Operation) -> Value:
    (value,) = op.inputs
    return op.layer(_UNARY[op.type], [value], layout=value.layout)


def _test_of_one(op: Operation) -> Value:
    (value,) = op.inputs
    return op.layer("is_finite", [value], layout=value.layout, dtype="bool")


def _binary(op: Operation) -> Value:
    op.need(2)
    return op.arithmetic(_BINARY[op.type], op.inputs[:2])


def _test(op: Operation) -> Value:
    op.need(2)
    return op.arithmetic(_TESTS[op.type], op.inputs[:2], dtype="bool")


def _div(op: Operation) -> Value:
    """Div and TruncateDiv round integers towards 0: as `floor_div` does sizes."""
    op.need(2)
    if np.dtype(op.inputs[0].dtype).kind not in "iu":
        return op.arithmetic("div", op.inputs[:2])
    return op.arithmetic("floor_div", op.inputs[:2])


def _add_n(op: Operation) -> Value:
    if len(op.inputs) == 1:
        return op.inputs[0]
    return op.arithmetic("add" if len(op.inputs) == 2 else "add_n", op.inputs)


def _bias_add(op: Operation) -> Value:
    op.need(2)
    value, bias = op.inputs[:2]
    channels_first = op.node.text("data_format", "NHWC").startswith("NC") and value.rank > 2
    if value.rank == 4 and channels_first:
        value = to_layout(op.builder, value, "NCHW")
    elif channels_first:
        raise Malformed(f"its operation {op.name!r} adds biases to axis 1 of rank {value.rank}")
    if not bias.static or bias.rank != 1:
        return op.arithmetic("add", [value, bias]) if not channels_first else _refuse_bias(op)
    return op.layer("bias", [value], weights={"bias": bias}, layout=value.layout)


def _refuse_bias(op: Operation) -> Value:
    raise Malformed(f"the biases of its operation {op.name!r} are computed from the image")


def _select(op: Operation) -> Value:
    """Where the condition of an old Select is a vector it chooses whole rows."""
    op.need(3)
    condition, yes, no = op.inputs
    if op.type == "Select" and condition.rank == 1 and yes.rank > 1:
        for _ in range(yes.rank - 1):
            options = {"axis": condition.rank}
            condition = op.helper("condition", "expand_dims", [condition], options)
    return op.arithmetic("select", [condition, yes, no], dtype=yes.dtype)


def _clip(op: Operation) -> Value:
    op.need(3)
    values, layout = aligned(op.builder, op.inputs)
    below = op.helper("minimum", "minimum", [values[0], values[2]], layout=layout)
    return op.layer("maximum", [below, values[1]], layout=layout)


def _leaky_relu(op: Operation) -> Value:
    (value,) = op.inputs
    # The float32 that its kernel multiplies by, in float64 too.
    options = {"alpha": float(np.float32(op.node.number("alpha", 0.2)))}
    return op.layer("leaky_relu", [value], options, layout=value.layout)


def _cast(op: Operation) -> Value:
    (value,) = op.inputs
    dtype = op.node.dtype("DstT")
    if dtype == value.dtype or {dtype, value.dtype} <= FLOATS:  # all floats are of one type here
        return value
    if dtype not in _CASTS:
        raise Malformed(f"its operation {op.name!r} casts to {dtype}, which no layer can")
    return op.layer("cast", [value], {"dtype": dtype}, dtype=dtype, layout=value.layout)


_CASTS = frozenset(
    ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "bool")
)


def _softmax(op: Operation) -> Value:
    (value,) = op.inputs
    kind = {"Softmax": "softmax", "LogSoftmax": "log_softmax"}[op.type]
    return op.layer(kind, [value], {"axis": axis_of(value, -1)}, layout=value.layout)


def _dropout(op: Operation) -> Value:
    (value,) = op.inputs
    return op.layer("dropout", [value], {"rate": op.extra}, layout=value.layout)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_BINARY, _binary),
    **dict.fromkeys(_TESTS, _test),
    **dict.fromkeys(("Div", "TruncateDiv"), _div),
    **dict.fromkeys(("AddN", "AccumulateNV2"), _add_n),
    **dict.fromkeys(("Select", "SelectV2"), _select),
    **dict.fromkeys(("BiasAdd", "BiasAddV1"), _bias_add),
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    "IsFinite": _test_of_one,
    "ClipByValue": _clip,
    "LeakyRelu": _leaky_relu,
    "Cast": _cast,
    "Dropout": _dropout,
}
