"""The layers of a network while it is being made, and the values that they pass on.

A draft is a layer, or a leaf: an input, a variable, a constant. Drafts that depend on leaves other
than inputs alone are `static`: they become parameters.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from converters.files.errors import Malformed
from converters.graphs import folding
from converters.graphs.shapes import Dims
from converters.graphs.sizes import known

INPUT, CONSTANT, VARIABLE, RANDOM = "input", "constant", "variable", "random"
# What a layer raises whose options do not go with what it reads.
_IMPOSSIBLE = (
    TypeError, ValueError, IndexError, ZeroDivisionError, OverflowError, MemoryError
)  # fmt: skip
_LEAVES = (INPUT, CONSTANT, VARIABLE, RANDOM)
_MAX_KNOWN = 4096  # values of a constant that options are made of

Arrays = Mapping[str, np.ndarray]


@dataclass(eq=False)
class Draft:
    """A layer or leaf; see `Layer` for what is not explained here.

    Attributes:
        inputs: the values that it reads.
        weights: role -> value (static).
        read: of a leaf: from the variables' arrays to its array.
        variables: of a leaf: the names of the variables that it needs.
        trainable: of a leaf: whether it is a variable that an optimizer may change.
        is_whole: of a variable: whether it is all that a checkpoint has under its name.
        varies: whether it depends on variables.
        static: whether it depends on variables and constants alone.
        values: its outputs.
    """

    name: str
    kind: str
    inputs: tuple[Value, ...] = ()
    options: dict = field(default_factory=dict)
    weights: dict[str, Value] = field(default_factory=dict)
    operations: list[str] = field(default_factory=list)
    is_shape: bool = False
    static: bool = False
    read: Callable[[Arrays], np.ndarray] | None = None
    variables: tuple[str, ...] = ()
    trainable: bool = False
    is_whole: bool = True
    varies: bool = False
    values: list[Value] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Draft {self.name!r}: {self.kind}>"

    @property
    def value(self) -> Value:
        """Its first output."""
        return self.values[0]

    def become(self, kind: str, inputs: Sequence[Value], options: Mapping, **weights) -> None:
        """Turns it into another layer that computes the same, and takes in what it replaces.

        Args:
            kind, inputs, options: of the new layer.
            weights: role -> value; None for a role that is absent.
        """
        absorbed = _between(self, inputs)
        self.operations[:0] = [name for draft in absorbed for name in draft.operations]
        self.kind, self.inputs, self.options = kind, tuple(inputs), dict(options)
        self.weights = {role: value for role, value in weights.items() if value is not None}


class Value:
    """An output of a draft.

    Attributes:
        draft: what computes it.
        index: which of its outputs it is.
        shape: NHWC where it is an image; integers and `Size`s.
        dtype: NumPy's name (or "bfloat16", "string", ...).
        layout: "NCHW" where the graph's own tensor is, though this is NHWC.
    """

    def __init__(
        self, draft: Draft, index: int, shape: Dims, dtype: str, layout: str = "NHWC"
    ) -> None:
        self.draft = draft
        self.index = index
        self.shape = shape
        self.dtype = dtype
        self.layout = layout

    def __repr__(self) -> str:
        return f"<Value {self.name!r}: {self.draft.kind} {self.shape}>"

    @property
    def name(self) -> str:
        return f"{self.draft.name}:{self.index}" if self.index else self.draft.name

    @property
    def static(self) -> bool:
        return self.draft.static

    def labelled(self, layout: str) -> Value:
        """The same value as a tensor of another layout of the graph."""
        return Value(self.draft, self.index, self.shape, self.dtype, layout)

    def is_same(self, other: Value) -> bool:
        """Whether two are one output of one draft."""
        return self.draft is other.draft and self.index == other.index

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def known_shape(self) -> tuple[int | None, ...]:
        return tuple(known(dim) for dim in self.shape)

    @cached_property
    def constant(self) -> np.ndarray | None:
        """Its array if it is small and depends on constants alone."""
        draft = self.draft
        if not draft.static or draft.varies or math.prod(self.shape) > _MAX_KNOWN:
            return None
        inputs = [value.constant for value in draft.inputs]
        if draft.read is not None or any(each is None for each in inputs):
            return evaluate(self, {})
        return _computed(draft, inputs)[self.index]

    @cached_property
    def elements(self) -> np.ndarray | None:
        """Its integers, those that are not known as `Size`s; None if they cannot be told."""
        draft = self.draft
        if draft.static:
            constant = self.constant
            return constant if constant is not None and constant.dtype.kind in "iub" else None
        if draft.kind == "shape":
            return _objects(draft.inputs[0].shape)
        if not draft.is_shape or draft.kind not in folding.OF_SIZES:
            return None
        return _elements(draft, self.index)

    @property
    def number(self) -> float | int | bool | None:
        """Its only element, if it is a constant with one."""
        constant = self.constant
        return constant.item() if constant is not None and constant.size == 1 else None


def _objects(sizes: Sequence) -> np.ndarray:
    array = np.empty(len(sizes), object)
    array[:] = list(sizes)
    return array


def _elements(draft: Draft, index: int) -> np.ndarray | None:
    inputs = [value.elements for value in draft.inputs]
    if any(each is None for each in inputs) or None in draft.options.values():
        return None
    try:
        result = folding.compute(draft.kind, inputs, draft.options)[index]
    except _IMPOSSIBLE:
        return None
    return result if result.size <= _MAX_KNOWN else None


def evaluate(value: Value, arrays: Arrays, double: bool = False) -> np.ndarray:
    """The array of a static value.

    Args:
        value: whose array is wanted.
        arrays: the variables' arrays by name.
        double: in float64; see `Parameter.compute`.
    """
    done: dict[int, list[np.ndarray]] = {}
    drafts = ancestors([value])
    reads = Counter(id(each.draft) for draft in drafts for each in draft.inputs)
    reads[id(value.draft)] += 1
    for draft in drafts:
        if draft.read is not None:
            done[id(draft)] = [_read(draft, arrays, double)]
            continue
        inputs = [done[id(each.draft)][each.index] for each in draft.inputs]
        try:
            done[id(draft)] = folding.compute(draft.kind, inputs, _options(draft, double))
        except _IMPOSSIBLE as error:
            raise Malformed(f"its operation {draft.name!r} cannot be computed: {error}") from error
        for each in draft.inputs:  # what nobody reads any more is let go
            reads[id(each.draft)] -= 1
            if not reads[id(each.draft)]:
                del done[id(each.draft)]
    return done[id(value.draft)][value.index]


def _read(draft: Draft, arrays: Arrays, double: bool) -> np.ndarray:
    """The array of a leaf; in float64 a constant of one number is the decimal that was written.

    Raises:
        Malformed: it has another shape than the graph says.
    """
    array = np.asarray(draft.read(arrays))
    if array.shape != tuple(draft.value.shape):
        raise Malformed(
            f"its variable {draft.name!r} has the shape {list(draft.value.shape)}, and the "
            f"checkpoint's {list(array.shape)}",
            "give the checkpoint that belongs to the graph",
        )
    if not double or array.dtype.kind != "f":
        return array
    if draft.kind == CONSTANT and array.size == 1:
        return np.full(array.shape, float(str(array.flat[0])))
    return array.astype(np.float64)


def _options(draft: Draft, double: bool) -> Mapping:
    """The options of a layer; in float64 it casts to no type of less digits."""
    is_cast = draft.kind == "cast" and str(draft.options["dtype"]).startswith("float")
    return {"dtype": "float64"} if double and is_cast else draft.options


def _computed(draft: Draft, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a static draft."""
    try:
        return folding.compute(draft.kind, inputs, draft.options)
    except _IMPOSSIBLE as error:
        raise Malformed(f"its operation {draft.name!r} cannot be computed: {error}") from error


def ancestors(values: Iterable[Value]) -> list[Draft]:
    """Every draft that the values depend on, theirs included, each after those that it reads."""
    found: dict[int, Draft] = {}
    stack = [(value.draft, False) for value in values]
    while stack:
        draft, ready = stack.pop()
        if id(draft) in found:
            continue
        if ready:
            found[id(draft)] = draft
            continue
        stack.append((draft, True))
        reads = (*draft.inputs, *draft.weights.values())
        stack.extend((value.draft, False) for value in reversed(reads))
    return list(found.values())


def variables_of(values: Iterable[Value]) -> tuple[str, ...]:
    """The variables that static values are made of, each once."""
    names = (name for draft in ancestors(values) for name in draft.variables)
    return tuple(dict.fromkeys(names))


def _between(last: Draft, inputs: Sequence[Value]) -> Iterator[Draft]:
    """The layers that a draft reads, back to `inputs`."""
    ends = {id(value.draft) for value in inputs}
    found = []
    stack = [value.draft for value in last.inputs]
    while stack:
        draft = stack.pop()
        if id(draft) in ends or draft.static or draft.kind in _LEAVES:
            continue
        ends.add(id(draft))
        found.append(draft)
        stack.extend(value.draft for value in draft.inputs)
    return reversed(found)
