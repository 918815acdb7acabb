"""Arithmetic on sizes: TensorFlow's integer layers, done on Python's numbers when the module runs.

Sizes are arrays of objects: what is known is a number, what is known only at run time a `Size`.
NumPy then does on them what TensorFlow does on its tensors.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converters.graphs.network import Layer
from converters.models.network_torch.plan import Ref

# Python's integers have no end, where TensorFlow's begin anew: what is beyond is not computed.
_LARGEST = 2**63
_MOST_FACTORS = 31  # sizes in a product; if each is at least 2, more of them are beyond 32 bits


@dataclass(frozen=True, eq=False)
class Size:
    """A number that a step gives; arithmetic on it adds steps.

    Raises:
        OverflowError: it multiplies absurdly many sizes.
    """

    ref: Ref
    add_step: Callable[..., Ref]
    is_float: bool = False
    factors: int = 1

    def __post_init__(self) -> None:
        if self.factors > _MOST_FACTORS:
            raise OverflowError("a product of absurdly many sizes")

    def _step(self, target: str, *others, is_float: bool | None = None) -> Size:
        args = [each.ref if isinstance(each, Size) else _number(each) for each in others]
        if is_float is None:
            is_float = any(_is_float(each) for each in others)
        ref = self.add_step(target, *args)
        if is_float and target not in ("torch.sym_float", "ops.float32"):
            ref = self.add_step("ops.float32", ref)
        counts = [each.factors for each in others if isinstance(each, Size)]
        factors = sum(counts) if target == "*" else max(counts)
        return Size(ref, self.add_step, is_float, factors)

    def __add__(self, other):
        return self._step("+", self, other)

    def __radd__(self, other):
        return self._step("+", other, self)

    def __sub__(self, other):
        return self._step("-", self, other)

    def __rsub__(self, other):
        return self._step("-", other, self)

    def __mul__(self, other):
        return self if _is_one(other) else self._step("*", self, other)

    def __rmul__(self, other):
        return self if _is_one(other) else self._step("*", other, self)

    def __floordiv__(self, other):
        return self if _is_one(other) else self._step("//", self, other)

    def __rfloordiv__(self, other):
        return self._step("//", other, self)

    def __mod__(self, other):
        return self._step("%", self, other)

    def __rmod__(self, other):
        return self._step("%", other, self)

    def __truediv__(self, other):
        return self._step("/", self, other, is_float=True)

    def __rtruediv__(self, other):
        return self._step("/", other, self, is_float=True)

    def __neg__(self):
        return self._step("-", 0, self)

    def maximum(self, other):
        return self._step("torch.sym_max", self, other)

    def minimum(self, other):
        return self._step("torch.sym_min", self, other)

    def to_float(self) -> Size:
        return self if self.is_float else self._step("torch.sym_float", self, is_float=True)

    def to_int(self) -> Size:
        return self._step("torch.sym_int", self, is_float=False) if self.is_float else self

    def floor(self) -> Size:
        return self._step("ops.floor", self, is_float=True) if self.is_float else self

    def ceil(self) -> Size:
        return self._step("ops.ceil", self, is_float=True) if self.is_float else self


def _number(value):
    """A plain Python number: steps and JSON know no others."""
    return value.item() if isinstance(value, np.generic) else value


def _is_float(value) -> bool:
    return value.is_float if isinstance(value, Size) else isinstance(value, float)


def _is_one(value) -> bool:
    return not isinstance(value, Size) and not isinstance(value, float) and value == 1


def sizes(values) -> np.ndarray:
    """An array of plain numbers and `Size`s, of the shape that nested tuples or an array have.

    Raises:
        OverflowError: a number is beyond 64 bits.
    """
    found = np.asarray(values, dtype=object)
    plain = [_number(each) for each in found.reshape(-1)]
    if any(isinstance(each, int) and abs(each) >= _LARGEST for each in plain):
        raise OverflowError("a size beyond 64 bits")
    made = np.empty(len(plain), dtype=object)
    made[:] = plain
    return made.reshape(found.shape)


def _known(value, layer: Layer):
    if isinstance(value, Size):
        raise ValueError(
            f"{layer.name}: a {layer.kind} of sizes that are known only when the network runs has "
            "no place in a torch module; fix the size of the input in the graph"
        )
    return value


def _larger(a, b):
    if isinstance(a, Size):
        return a.maximum(b)
    return b.maximum(a) if isinstance(b, Size) else max(a, b)


def _smaller(a, b):
    if isinstance(a, Size):
        return a.minimum(b)
    return b.minimum(a) if isinstance(b, Size) else min(a, b)


def _single(value):
    """What TensorFlow computes in float32, as a Python number."""
    return float(np.float32(value)) if isinstance(value, float) else value


def _divide(a, b):
    """`Div`: real for floats, towards zero for ints (sizes are not negative)."""
    if _is_float(a) or _is_float(b):
        return a / b if isinstance(a, Size) or isinstance(b, Size) else _single(a / b)
    if isinstance(a, Size) or isinstance(b, Size):
        return a // b
    return int(a / b) if a * b < 0 else a // b


def _cast(dtype: str):
    kind = np.dtype(dtype).kind
    if kind == "f":
        return lambda each: each.to_float() if isinstance(each, Size) else _single(float(each))
    if kind in "iu":
        return lambda each: each.to_int() if isinstance(each, Size) else int(each)
    return bool


def _rounded(way: str, number: Callable):
    def apply(each):
        if isinstance(each, Size):
            return getattr(each, way)()
        return float(number(each)) if isinstance(each, float) else each

    return apply


def _each(function: Callable, *arrays: np.ndarray) -> np.ndarray:
    return sizes(np.frompyfunc(function, len(arrays), 1)(*arrays))


def _arithmetic(function: Callable) -> Callable:
    def apply(a, b):
        found = function(a, b)
        return found if isinstance(found, Size) else _single(found)

    return lambda layer, inputs: _each(apply, *inputs)


def _comparison(function: Callable) -> Callable:
    return lambda layer, inputs: _each(
        lambda a, b: function(_known(a, layer), _known(b, layer)), *inputs
    )


def _mapped(function: Callable) -> Callable:
    return lambda layer, inputs: _each(function, inputs[0])


def _reduction(ufunc: Callable) -> Callable:
    def apply(layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
        array, axes = inputs[0], tuple(layer.options["axes"])
        for axis in sorted(axes, reverse=True):
            parts = np.moveaxis(array, axis, 0)
            found = parts[0]
            for part in parts[1:]:
                found = _each(ufunc, sizes(found), sizes(part))
            array = sizes(found)
            if layer.options["keepdims"]:
                array = np.expand_dims(array, axis)
        return array

    return apply


def static_index(layer: Layer) -> tuple:
    """The index that a `strided_slice` is, on an array that has TensorFlow's axes."""
    index = [slice(*each) for each in layer.options["slices"]]
    for axis in layer.options["shrink"]:
        index[axis] = index[axis].start
    return tuple(index)


def _strided_slice(layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
    if layer.options["slices"] is None:
        begin, end, stride = (
            [_known(each, layer) for each in array] for array in (*inputs[1:], sizes([1]))[:3]
        )
        return inputs[0][tuple(map(slice, begin, end, stride))]
    found = sizes(inputs[0][static_index(layer)])
    for axis in sorted(layer.options["new"]):
        found = np.expand_dims(found, axis)
    return found


def _option(layer: Layer, name: str, further: list[np.ndarray]):
    """An option, or where it is None the next of the further inputs."""
    value = layer.options[name]
    return value if value is not None else further.pop(0)


def _slice(layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
    further = list(inputs[1:])
    begin = sizes(_option(layer, "begin", further)).tolist()
    size = sizes(_option(layer, "size", further)).tolist()
    rows = [(_known(b, layer), _known(n, layer)) for b, n in zip(begin, size, strict=True)]
    return inputs[0][tuple(slice(b, None if n == -1 else b + n) for b, n in rows)]


def _reshape(layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
    shape = sizes(_option(layer, "shape", list(inputs[1:])))
    return inputs[0].reshape([_known(each, layer) for each in shape])


def _range(layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
    further = list(inputs)
    ends = [sizes(_option(layer, key, further)).item() for key in ("start", "limit", "delta")]
    return sizes(list(range(*(_known(each, layer) for each in ends))))


def _fill(layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
    further = list(inputs)
    shape = [_known(each, layer) for each in sizes(_option(layer, "shape", further))]
    made = np.empty(shape, dtype=object)
    made[...] = sizes(_option(layer, "value", further)).item()
    return made


def _gather(layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
    further = list(inputs[1:])
    indices = sizes(_option(layer, "indices", further))
    chosen = _each(lambda each: _known(each, layer), indices)
    return sizes(np.take(inputs[0], chosen.astype(int), layer.options["axis"] or 0))


def _split(layer: Layer, inputs: list[np.ndarray]) -> list[np.ndarray]:
    ends = np.cumsum(layer.options["sizes"])[:-1]
    return np.split(inputs[0], ends, layer.options["axis"])


def _unstack(layer: Layer, inputs: list[np.ndarray]) -> list[np.ndarray]:
    return [sizes(each) for each in np.moveaxis(inputs[0], layer.options["axis"], 0)]


def _select(layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
    return _each(lambda test, a, b: a if _known(test, layer) else b, *inputs)


def _squeeze(layer: Layer, inputs: list[np.ndarray]) -> np.ndarray:
    return sizes(np.squeeze(inputs[0], tuple(layer.options["axes"] or ()) or None))


# Kind -> function of a layer and its inputs; the result, or several of them.
ARITHMETIC: dict[str, Callable] = {
    **dict.fromkeys(("identity", "stop_gradient"), lambda layer, inputs: inputs[0]),
    "add": _arithmetic(operator.add),
    "sub": _arithmetic(operator.sub),
    "mul": _arithmetic(operator.mul),
    "div": _arithmetic(_divide),
    "floor_div": _arithmetic(operator.floordiv),
    "floor_mod": _arithmetic(operator.mod),
    "maximum": _arithmetic(_larger),
    "minimum": _arithmetic(_smaller),
    "add_n": lambda layer, inputs: _each(lambda *values: sum(values[1:], values[0]), *inputs),
    "greater": _comparison(operator.gt),
    "greater_equal": _comparison(operator.ge),
    "less": _comparison(operator.lt),
    "less_equal": _comparison(operator.le),
    "equal": _comparison(operator.eq),
    "not_equal": _comparison(operator.ne),
    "logical_and": _comparison(lambda a, b: a and b),
    "logical_or": _comparison(lambda a, b: a or b),
    "logical_not": lambda layer, inputs: _each(lambda a: not _known(a, layer), inputs[0]),
    "select": _select,
    "neg": _mapped(operator.neg),
    "square": _mapped(lambda each: each * each),
    "cast": lambda layer, inputs: _each(_cast(layer.options["dtype"]), inputs[0]),
    "floor": _mapped(_rounded("floor", math.floor)),
    "ceil": _mapped(_rounded("ceil", math.ceil)),
    "zeros_like": _mapped(lambda each: 0),
    "ones_like": _mapped(lambda each: 1),
    "sum": _reduction(operator.add),
    "prod": _reduction(operator.mul),
    "max": _reduction(_larger),
    "min": _reduction(_smaller),
    "concat": lambda layer, inputs: np.concatenate(inputs, layer.options["axis"]),
    "stack": lambda layer, inputs: np.stack(inputs, layer.options["axis"]),
    "unstack": _unstack,
    "split": _split,
    "squeeze": _squeeze,
    "expand_dims": lambda layer, inputs: np.expand_dims(inputs[0], layer.options["axis"]),
    "reshape": _reshape,
    "flatten": lambda layer, inputs: inputs[0].reshape(len(inputs[0]), -1),
    "transpose": lambda layer, inputs: inputs[0].transpose(layer.options["permutation"]),
    "strided_slice": _strided_slice,
    "slice": _slice,
    "reverse": lambda layer, inputs: np.flip(inputs[0], layer.options["axes"]),
    "tile": lambda layer, inputs: np.tile(inputs[0], layer.options["multiples"]),
    "gather": _gather,
    "fill": _fill,
    "range": _range,
    "shape": lambda layer, inputs: sizes(list(inputs[0].shape)),
}
