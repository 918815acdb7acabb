"""Layers that work on each value alone, on several broadcast ones, or along some axes."""

from __future__ import annotations

from converters.graphs.network import Layer
from converters.models.network_torch.layouts import dim, dims, held_order
from converters.models.network_torch.lowering.builder import Builder
from converters.models.network_torch.plan import Ref, Tensor

# One value in, one of the same shape out.
_UNARY: dict[str, str] = {
    **{name: f"F.{name}" for name in ("relu", "relu6", "elu", "selu", "softsign")},
    **{
        name: f"torch.{name}"
        for name in (
            "sigmoid", "tanh", "abs", "square", "sqrt", "rsqrt", "exp", "expm1", "log", "log1p",
            "floor", "ceil", "round", "sign", "reciprocal", "erf", "sin", "cos", "logical_not",
            "zeros_like", "ones_like", "neg",
        )
    },
    "stop_gradient": ".detach",
    "is_finite": "torch.isfinite",
    "hard_sigmoid": "F.hardsigmoid",
    "hard_swish": "F.hardswish",
    "swish": "F.silu",
}  # fmt: skip

# Two values, broadcast. The first group takes Python numbers as they are.
_OPERATORS = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "floor_div": "//",
    "floor_mod": "%",
    "greater": ">",
    "greater_equal": ">=",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
    "not_equal": "!=",
    "pow": "**",
}
_FUNCTIONS = {
    "div": "ops.divide",
    "maximum": "torch.maximum",
    "minimum": "torch.minimum",
    "logical_and": "torch.logical_and",
    "logical_or": "torch.logical_or",
}

_REDUCTIONS = {
    "mean": "torch.mean",
    "sum": "torch.sum",
    "max": "torch.amax",
    "min": "torch.amin",
    "any": "torch.any",
    "all": "torch.all",
}


def _same(layer: Layer, before: Tensor, ref: Ref) -> Tensor:
    return Tensor(ref, before.rank, before.map)


def identity(b: Builder, layer: Layer) -> Tensor:
    return b.tensor(layer.inputs[0])


def unary(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    return _same(layer, before, b.add(_UNARY[layer.kind], before.ref))


def softplus(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    # Above the threshold torch returns x; at 20, its default, that is 2e-9 off.
    return _same(layer, before, b.add("F.softplus", before.ref, threshold=40))


def leaky_relu(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    return _same(layer, before, b.add("F.leaky_relu", before.ref, layer.options["alpha"]))


def clip(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    low, high = layer.options["low"], layer.options["high"]
    return _same(layer, before, b.add("torch.clamp", before.ref, low, high))


def dropout(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    path = b.names.dropouts[layer.name]
    b.plan.dropouts[path] = layer.options["rate"]
    return _same(layer, before, b.add("module", path, before.ref))


def cast(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    dtype = layer.options["dtype"]
    if dtype.startswith(("float", "bfloat")):
        return Tensor(b.to_float(before.ref), before.rank)
    return Tensor(b.add(".to", before.ref, b.dtype(dtype)), before.rank)


def along_axis(b: Builder, layer: Layer) -> Tensor:
    """softmax, log_softmax: over one axis, which stays."""
    before = b.tensor(layer.inputs[0])
    axis = dim(layer.options["axis"], before.rank)
    return Tensor(b.add(f"F.{layer.kind}", before.ref, axis), before.rank)


def cumsum(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    axis = dim(layer.options["axis"], before.rank)
    options = layer.options["exclusive"], layer.options["reverse"]
    return Tensor(b.add("ops.cumsum", before.ref, axis, *options), before.rank)


def operator(b: Builder, layer: Layer) -> Tensor:
    """Two values and one of Python's operators."""
    rank = b.rank(layer.name)
    if layer.kind == "add" and layer.inputs[0] == layer.inputs[1]:
        return Tensor(b.add("*", b.operand(layer.inputs[0], rank), 2), rank)
    return Tensor(
        b.add(_OPERATORS[layer.kind], *(b.operand(value, rank) for value in layer.inputs)), rank
    )


def function(b: Builder, layer: Layer) -> Tensor:
    """Two tensors and a function of torch's, which takes no numbers."""
    rank = b.rank(layer.name)
    values = [b.aligned(b.tensor(value), rank) for value in layer.inputs]
    return Tensor(b.add(_FUNCTIONS[layer.kind], *values), rank)


def squared_difference(b: Builder, layer: Layer) -> Tensor:
    rank = b.rank(layer.name)
    difference = b.add("-", *(b.operand(value, rank) for value in layer.inputs))
    return Tensor(b.add("torch.square", difference), rank)


def add_n(b: Builder, layer: Layer) -> Tensor:
    values = [b.tensor(value) for value in layer.inputs]
    total = values[0].ref
    for value in values[1:]:
        total = b.add("+", total, value.ref)
    return Tensor(total, values[0].rank)


def select(b: Builder, layer: Layer) -> Tensor:
    rank = b.rank(layer.name)
    test, *values = layer.inputs
    found = b.aligned(b.tensor(test), rank)
    return Tensor(b.add("torch.where", found, *(b.operand(each, rank) for each in values)), rank)


def matmul(b: Builder, layer: Layer) -> Tensor:
    refs = []
    for value, key in zip(layer.inputs, ("transpose_a", "transpose_b"), strict=True):
        ref = b.in_tf(value)
        refs.append(b.add(".transpose", ref, -1, -2) if layer.options[key] else ref)
    return b.from_tf(b.add("torch.matmul", *refs), b.rank(layer.name))


def reduction(b: Builder, layer: Layer) -> Tensor:
    """mean, sum, max, min, any, all over some axes."""
    before = b.tensor(layer.inputs[0])
    axes = {axis % before.rank for axis in layer.options["axes"]}
    if not axes:
        return before
    keep = layer.options["keepdims"]
    ref = b.add(_REDUCTIONS[layer.kind], before.ref, dims(axes, before.rank), keepdim=keep)
    return _reduced(b, ref, before.rank, axes, keep)


def prod(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    axes = {axis % before.rank for axis in layer.options["axes"]}
    ref, keep = before.ref, layer.options["keepdims"]
    for axis in reversed(dims(axes, before.rank)):
        ref = b.add("torch.prod", ref, axis, keepdim=keep)
    return _reduced(b, ref, before.rank, axes, keep)


def arg(b: Builder, layer: Layer) -> Tensor:
    """argmax, argmin: int64, the first of several."""
    before = b.tensor(layer.inputs[0])
    axis = layer.options["axis"] % before.rank
    ref = b.add(f"torch.{layer.kind}", before.ref, dim(axis, before.rank))
    return _reduced(b, ref, before.rank, {axis}, False)


def top_k(b: Builder, layer: Layer) -> list[Tensor]:
    """The largest values of the last axis, and their places."""
    before = b.tensor(layer.inputs[0])
    axis = dim(-1, before.rank)
    both = b.add("ops.top_k", before.ref, layer.options["k"], axis)
    return [Tensor(b.add("[]", both, index), before.rank) for index in range(2)]


def _reduced(b: Builder, ref: Ref, rank: int, axes: set[int], keep: bool) -> Tensor:
    """What is left of the axes, at their places."""
    if keep:
        return Tensor(ref, rank)
    left = [axis for axis in held_order(rank) if axis not in axes]
    return b.placed(ref, [sum(other < axis for other in left) for axis in left])


def lrn(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    size = 2 * layer.options["depth_radius"] + 1
    # torch divides the sum by the size of its window.
    alpha, beta = layer.options["alpha"] * size, layer.options["beta"]
    ref = b.add("F.local_response_norm", before.ref, size, alpha, beta, layer.options["bias"])
    return Tensor(ref, before.rank)


LOWER = {
    **dict.fromkeys(_UNARY, unary),
    **dict.fromkeys(_OPERATORS, operator),
    **dict.fromkeys(_FUNCTIONS, function),
    **dict.fromkeys(_REDUCTIONS, reduction),
    **dict.fromkeys(("softmax", "log_softmax"), along_axis),
    **dict.fromkeys(("argmax", "argmin"), arg),
    "identity": identity,
    "softplus": softplus,
    "leaky_relu": leaky_relu,
    "clip": clip,
    "dropout": dropout,
    "cast": cast,
    "cumsum": cumsum,
    "squared_difference": squared_difference,
    "add_n": add_n,
    "select": select,
    "matmul": matmul,
    "prod": prod,
    "top_k": top_k,
    "lrn": lrn,
}
