"""What patterns are made of: who reads a value, and the parts of arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from converters.graphs.building import Builder
from converters.graphs.drafts import Draft, Value, ancestors

_MAX_CHAIN = 8  # reshapes that a parameter goes through
_RESHAPING = frozenset(("reshape", "transpose", "expand_dims", "squeeze"))


@dataclass(frozen=True)
class Context:
    """What a pattern may ask.

    Attributes:
        builder: makes layers.
        readers: how many layers read a value, or output it; by draft and index.
        decay: variable -> how fast the moving average goes that it is.
    """

    builder: Builder
    readers: dict[tuple[int, int], int]
    decay: Callable[[str], float | None]

    def inner(self, value: Value, *kinds: str) -> Draft | None:
        """The layer behind a value, if it is of a kind and nothing else reads it."""
        draft = value.draft
        if draft.kind not in kinds or draft.static:
            return None
        read = sum(self.readers.get((id(draft), each.index), 0) for each in draft.values)
        return draft if read == 1 else None


def readers_of(outputs: Sequence[Value]) -> dict[tuple[int, int], int]:
    """How often each value that outputs need is read."""
    found: dict[tuple[int, int], int] = {}
    for draft in ancestors(outputs):
        for value in (*draft.inputs, *draft.weights.values()):
            key = (id(value.draft), value.index)
            found[key] = found.get(key, 0) + 1
    for value in outputs:
        key = (id(value.draft), value.index)
        found[key] = found.get(key, 0) + 1
    return found


def orders(draft: Draft) -> Iterator[tuple[Value, Value]]:
    """The two inputs of arithmetic that has no order."""
    one, other = draft.inputs
    yield one, other
    yield other, one


def decimal(value: Value) -> float | None:
    """A constant number as the shortest decimal that is the same in its type, else None."""
    constant = value.constant if value.static else None
    if constant is None or constant.size != 1 or constant.dtype.kind not in "fiu":
        return None
    return float(str(constant.reshape(())[()]))


def unshaped(value: Value) -> Value:
    """A static value before it was only reshaped."""
    for _ in range(_MAX_CHAIN):
        if not value.static or value.draft.kind not in _RESHAPING:
            break
        value = value.draft.inputs[0]
    return value


def vector(context: Context, value: Value, length: object) -> Value | None:
    """A static value as a vector along the last axis of what it is broadcast with.

    Returns:
        None if it is of another shape.
    """
    shape = value.known_shape
    if not value.static or not shape or shape[-1] != length or any(d != 1 for d in shape[:-1]):
        return None
    if len(shape) == 1:
        return value
    inner = unshaped(value)
    if inner.known_shape == (length,):
        return inner
    name = context.builder.unique(f"{value.draft.name}/vector")
    return context.builder.layer(name, "reshape", [value], {"shape": (length,)}, operations=())


def channels(value: Value) -> int | None:
    """The known size of the last axis."""
    return value.known_shape[-1] if value.shape else None


def joined(context: Context, values: Sequence[Value], axis: int, name: str) -> Value:
    """Static values concatenated; the parts of one value are that value."""
    split = values[0].draft
    if (
        split.kind == "split"
        and split.options["axis"] == axis
        and len(split.values) == len(values)
        and all(v.draft is split and v.index == i for i, v in enumerate(values))
    ):
        return split.inputs[0]
    name = context.builder.unique(name)
    return context.builder.layer(name, "concat", list(values), {"axis": axis}, operations=())


def close(one: float | None, other: float) -> bool:
    """Whether a number is another in float32."""
    return one is not None and bool(np.isclose(one, other, rtol=2e-7, atol=0))
