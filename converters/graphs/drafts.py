"""The layers of a network while it is being made, and the values that they pass on.

A draft is a layer, or a leaf: an input, a variable, a constant. Drafts that depend on leaves other
than inputs alone are `static`: they become parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from converters.files.errors import Malformed
from converters.graphs import folding
from converters.graphs.shapes import Dims, output_shapes
from converters.graphs.sizes import Atoms, Size, known

INPUT, CONSTANT, VARIABLE, RANDOM = "input", "constant", "variable", "random"
_LEAVES = (INPUT, CONSTANT, VARIABLE, RANDOM)
_MAX_KNOWN = 4096  # values of a constant that options are made of
_MAX_FOLDED = 2**28  # values of a parameter; larger ones come from hostile graphs

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
        if not self.static or math.prod(self.shape) > _MAX_KNOWN or variables_of([self]):
            return None
        return evaluate(self, {})

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
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
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
    for draft in ancestors([value]):
        if draft.read is not None:
            done[id(draft)] = [_read(draft, arrays, double)]
            continue
        inputs = [done[id(each.draft)][each.index] for each in draft.inputs]
        try:
            done[id(draft)] = folding.compute(draft.kind, inputs, _options(draft, double))
        except (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError) as error:
            raise Malformed(f"its operation {draft.name!r} cannot be computed: {error}") from error
    return done[id(value.draft)][value.index]


def _read(draft: Draft, arrays: Arrays, double: bool) -> np.ndarray:
    """The array of a leaf; in float64 a constant of one number is the decimal that was written."""
    array = np.asarray(draft.read(arrays))
    if not double or array.dtype.kind != "f":
        return array
    if draft.kind == CONSTANT and array.size == 1:
        return np.full(array.shape, float(str(array.flat[0])))
    return array.astype(np.float64)


def _options(draft: Draft, double: bool) -> Mapping:
    """The options of a layer; in float64 it casts to no type of less digits."""
    is_cast = draft.kind == "cast" and str(draft.options["dtype"]).startswith("float")
    return {"dtype": "float64"} if double and is_cast else draft.options


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


class Builder:
    """Makes drafts.

    Args:
        taken: names that no helping layer may have.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.atoms = Atoms()
        self.drafts: list[Draft] = []
        self._taken = set(taken)
        # The batch of what is fed, and how many the graph was made for (None: any).
        self.batch: tuple[Size, int | None] = (self.atoms.size("batch"), None)

    def leaf(self, name: str, kind: str, shape: Dims, dtype: str, **fields) -> Value:
        """An input, a constant or a variable; `fields` are those of `Draft`."""
        layout = fields.pop("layout", "NHWC")
        draft = Draft(name, kind, static=kind in (CONSTANT, VARIABLE), **fields)
        return self._register(draft, [shape], dtype, layout)

    def constant(self, name: str, array: np.ndarray) -> Value:
        """A constant that is made here."""
        array = np.asarray(array)
        return self.leaf(
            self.unique(name), CONSTANT, array.shape, array.dtype.name, read=lambda _: array
        )

    def layer(
        self,
        name: str,
        kind: str,
        inputs: Sequence[Value],
        options: Mapping | None = None,
        *,
        sizes: Mapping | None = None,
        weights: Mapping[str, Value | None] | None = None,
        dtype: str | None = None,
        layout: str = "NHWC",
        operations: Sequence[str] | None = None,
    ) -> Value:
        """A layer of the network, or a static value.

        Args:
            name: of the operation that computes it.
            kind, inputs, options: as `Layer` has them.
            sizes: options as its shape depends on them: those that are computed as `Size`s.
            weights: role -> value; None for a role that is absent.
            dtype: of its outputs; None: of its first input.
            layout: "NCHW" where the graph's own tensor is.
            operations: of the graph, its own; () for one that helps another; None: `name`.

        Returns:
            Its first output; the others are in `.draft.values`.

        Raises:
            Malformed: its shapes do not go together.
        """
        weights = {role: value for role, value in (weights or {}).items() if value is not None}
        options = dict(options or {})
        shapes = output_shapes(
            kind,
            [value.shape for value in inputs],
            {**options, **(sizes or {})},
            {role: value.shape for role, value in weights.items()},
        )
        draft = Draft(name, kind, tuple(inputs), options, weights)
        draft.operations = [name] if operations is None else list(operations)
        draft.static = self._folds(draft, shapes)
        draft.is_shape = kind == "shape" or (not draft.static and _is_shape(inputs))
        return self._register(draft, shapes, dtype or inputs[0].dtype, layout)

    def unique(self, name: str) -> str:
        """`name`, or with a number behind it: no operation of the graph has it."""
        chosen, number = name, 0
        while chosen in self._taken:
            number += 1
            chosen = f"{name}_{number}"
        self._taken.add(chosen)
        return chosen

    def _folds(self, draft: Draft, shapes: Sequence[Dims]) -> bool:
        if draft.weights or not draft.inputs or not all(v.static for v in draft.inputs):
            return False
        if not folding.folds(draft.kind) or None in draft.options.values():
            return False
        return all(known(dim) is not None for shape in shapes for dim in shape) and all(
            math.prod(shape) <= _MAX_FOLDED for shape in shapes
        )

    def _register(self, draft: Draft, shapes: Sequence[Dims], dtype: str, layout: str) -> Value:
        draft.values = [Value(draft, i, tuple(s), dtype, layout) for i, s in enumerate(shapes)]
        self.drafts.append(draft)
        return draft.value


def _is_shape(inputs: Sequence[Value]) -> bool:
    """Whether a layer computes sizes: from sizes, and from constants."""
    return any(value.draft.is_shape for value in inputs) and all(
        value.draft.is_shape or value.constant is not None for value in inputs
    )
