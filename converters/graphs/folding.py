"""What layers compute, in NumPy: for those that depend on variables and constants alone.

Sources: TensorFlow's `core/kernels/*.cc` where it is not what NumPy does by the same name. Sizes
that are computed (arrays of `Size`s) go through the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

Arrays = Sequence[np.ndarray]
_MOST_MADE = 2**24  # values
_LARGEST = 2**63


def compute(kind: str, arrays: Arrays, options: Mapping) -> list[np.ndarray]:
    """The outputs of a layer.

    Args:
        kind: a key of `KINDS` for which `folds`.
        arrays: its inputs.
        options: its options.

    Raises:
        ValueError: it would make absurdly many values of few, or integers beyond 64 bits.
    """
    made = _made(kind, arrays, options)
    if isinstance(made, int) and made > _MOST_MADE:
        raise ValueError("it makes absurdly many values")
    with np.errstate(all="ignore"):  # infinities and the like are what TensorFlow computes as well
        result = _FUNCTIONS[kind](arrays, options)
    results = result if isinstance(result, list) else [result]
    results = [np.asarray(each) for each in results]
    if any(each.dtype == object and any(map(_is_beyond, each.flat)) for each in results):
        raise ValueError("a size is beyond 64 bits")
    return results


def _is_beyond(size: object) -> bool:
    """Whether an integer is beyond what TensorFlow's hold."""
    return isinstance(size, int) and abs(size) >= _LARGEST


def _made(kind: str, arrays: Arrays, options: Mapping) -> int | object:
    """How many values a layer makes that repeats what it reads, or makes it up; 0 for others.

    Where sizes are not known, neither is this: then it is a `Size`.
    """
    if kind in ("fill", "broadcast_to"):
        return math.prod(map(_plain, options["shape"]))
    if kind == "tile":
        return arrays[0].size * math.prod(map(_plain, options["multiples"]))
    if kind == "pad":
        sizes = zip(arrays[0].shape, options["paddings"], strict=True)
        return math.prod(_plain(size + before + after) for size, (before, after) in sizes)
    if kind == "range":
        return abs(int((options["limit"] - options["start"]) / options["delta"]))
    return 0


def _plain(size):
    """A Python integer of NumPy's, which would overflow."""
    return int(size) if isinstance(size, np.integer) else size


def folds(kind: str) -> bool:
    """Whether `compute` knows a kind of layer."""
    return kind in _FUNCTIONS


def _cast(arrays: Arrays, options: Mapping) -> np.ndarray:
    if arrays[0].dtype == object and np.dtype(options["dtype"]).kind in "iu":
        return arrays[0]
    return arrays[0].astype(options["dtype"])


def _erf(value: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[value.dtype])(value)


def _softmax(value: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(value - value.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def _elu(value: np.ndarray) -> np.ndarray:
    return np.where(value > 0, value, np.expm1(value))


def _floor_div(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one // other


def _divide(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    result = np.true_divide(one, other)
    return result.astype(one.dtype) if one.dtype.kind == "f" else result


def _reduction(function: Callable) -> Callable:
    def reduce(arrays: Arrays, options: Mapping) -> np.ndarray:
        (value,) = arrays
        dtype = {"dtype": value.dtype} if function in (np.sum, np.prod) else {}
        result = function(value, axis=options["axes"], keepdims=options["keepdims"], **dtype)
        return np.asarray(result, value.dtype if function is np.mean else None)

    return reduce


def _pad(arrays: Arrays, options: Mapping) -> np.ndarray:
    mode = {"CONSTANT": "constant", "REFLECT": "reflect", "SYMMETRIC": "symmetric"}[options["mode"]]
    extra = {"constant_values": options["value"]} if mode == "constant" else {}
    return np.pad(arrays[0], options["paddings"], mode, **extra)


def _matmul(arrays: Arrays, options: Mapping) -> np.ndarray:
    one, other = arrays
    one = np.swapaxes(one, -1, -2) if options["transpose_a"] else one
    return one @ (np.swapaxes(other, -1, -2) if options["transpose_b"] else other)


def _split(arrays: Arrays, options: Mapping) -> list[np.ndarray]:
    return np.split(arrays[0], np.cumsum(options["sizes"])[:-1], options["axis"])


def _unstack(arrays: Arrays, options: Mapping) -> list[np.ndarray]:
    return list(np.moveaxis(arrays[0], options["axis"], 0))


def _strided_slice(arrays: Arrays, options: Mapping) -> np.ndarray:
    index = [
        (begin if axis in options["shrink"] else slice(begin, end, stride))
        for axis, (begin, end, stride) in enumerate(options["slices"])
    ]
    result = np.asarray(arrays[0][tuple(index)])
    return np.expand_dims(result, tuple(sorted(options["new"])))


def _slice(arrays: Arrays, options: Mapping) -> np.ndarray:
    rows = zip(options["begin"], options["size"], strict=True)
    return arrays[0][tuple(slice(b, None if s == -1 else b + s) for b, s in rows)]


def _gather(arrays: Arrays, options: Mapping) -> np.ndarray:
    indices = arrays[1] if options["indices"] is None else np.asarray(options["indices"], int)
    return np.take(arrays[0], indices, options["axis"])


def _cumsum(arrays: Arrays, options: Mapping) -> np.ndarray:
    axis = options["axis"]
    value = np.flip(arrays[0], axis) if options["reverse"] else arrays[0]
    total = np.cumsum(value, axis, dtype=value.dtype)
    total = total - value if options["exclusive"] else total
    return np.flip(total, axis) if options["reverse"] else total


def _range(arrays: Arrays, options: Mapping) -> np.ndarray:
    return np.arange(options["start"], options["limit"], options["delta"])


def _unary(function: Callable) -> Callable:
    return lambda arrays, options: function(arrays[0])


def _many(function: Callable) -> Callable:
    return lambda arrays, options: function(*arrays)


_UNARY = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "elu": _elu,
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(x, x.dtype.type(0)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "neg": lambda x: -x,
    "abs": np.abs,
    "square": lambda x: x * x,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "exp": np.exp,
    "expm1": np.expm1,
    "is_finite": np.isfinite,
    "log": np.log,
    "log1p": np.log1p,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "sign": np.sign,
    "reciprocal": lambda x: 1 / x,
    "erf": _erf,
    "sin": np.sin,
    "cos": np.cos,
    "logical_not": np.logical_not,
    "identity": lambda x: x,
    "zeros_like": lambda x: np.zeros(x.shape, x.dtype),
    "ones_like": lambda x: np.ones(x.shape, x.dtype),
}
_MANY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _divide,
    "floor_div": _floor_div,
    "floor_mod": lambda a, b: a % b,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "pow": lambda a, b: a**b,
    "squared_difference": lambda a, b: (a - b) * (a - b),
    "add_n": lambda *values: sum(values[1:], values[0]),
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "select": np.where,
}
_REDUCTIONS = {
    "mean": np.mean, "sum": np.sum, "max": np.max, "min": np.min, "prod": np.prod,
    "any": np.any, "all": np.all,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[Arrays, Mapping], np.ndarray | list[np.ndarray]]] = {
    **{kind: _unary(function) for kind, function in _UNARY.items()},
    **{kind: _many(function) for kind, function in _MANY.items()},
    **{kind: _reduction(function) for kind, function in _REDUCTIONS.items()},
    "softmax": lambda arrays, options: _softmax(arrays[0], options["axis"]),
    "cast": _cast,
    "matmul": _matmul,
    "pad": _pad,
    "argmax": lambda arrays, options: np.argmax(arrays[0], options["axis"]),
    "argmin": lambda arrays, options: np.argmin(arrays[0], options["axis"]),
    "cumsum": _cumsum,
    "concat": lambda arrays, options: np.concatenate(arrays, options["axis"]),
    "split": _split,
    "stack": lambda arrays, options: np.stack(arrays, options["axis"]),
    "unstack": _unstack,
    "squeeze": lambda arrays, options: np.squeeze(arrays[0], options["axes"]),
    "expand_dims": lambda arrays, options: np.expand_dims(arrays[0], options["axis"]),
    "reshape": lambda arrays, options: np.reshape(arrays[0], options["shape"]),
    "transpose": lambda arrays, options: np.transpose(arrays[0], options["permutation"]),
    "strided_slice": _strided_slice,
    "slice": _slice,
    "tile": lambda arrays, options: np.tile(arrays[0], options["multiples"]),
    "reverse": lambda arrays, options: np.flip(arrays[0], options["axes"]),
    "gather": _gather,
    "broadcast_to": lambda arrays, options: np.broadcast_to(arrays[0], options["shape"]),
    "fill": lambda arrays, options: np.full(options["shape"], options["value"]),
    "range": _range,
}
# Those that hold for sizes which are not known: no comparisons, which would be guesses.
OF_SIZES = frozenset(
    (
        "neg", "identity", "add", "sub", "mul", "floor_div", "floor_mod", "add_n", "prod", "sum",
        "cast", "concat", "split", "stack", "unstack", "squeeze", "expand_dims", "reshape",
        "strided_slice", "slice", "tile", "reverse", "gather", "square", "pad", "transpose",
        "broadcast_to",
    )
)  # fmt: skip
