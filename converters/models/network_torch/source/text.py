"""Expressions of Python while their values have no names yet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from converters.models.network_torch.plan import Name

# How tightly operators bind; comparisons least.
BINDING = {"+": 1, "-": 1, "*": 2, "/": 2, "//": 2, "%": 2, "**": 3}
ATOM = 9  # what is no operation
_NAME_LENGTH = 6  # that a value's name is thought to have


@dataclass(frozen=True)
class Text:
    """An expression: words, and values that get their names later.

    Attributes:
        parts: texts, and the numbers of values.
        depth: of calls inside of one another.
        binding: how tightly its outermost operator binds; `ATOM` where there is none.
        is_call: whether it calls a module.
    """

    parts: tuple[str | int, ...]
    depth: int = 0
    binding: int = ATOM
    is_call: bool = False

    @property
    def length(self) -> int:
        return sum(len(part) if isinstance(part, str) else _NAME_LENGTH for part in self.parts)

    @property
    def values(self) -> list[int]:
        return [part for part in self.parts if isinstance(part, int)]

    @property
    def is_simple(self) -> bool:
        """Whether it is a name or a number."""
        part = self.parts[0]
        return len(self.parts) == 1 and (isinstance(part, int) or not re.search(r"[^\w.]", part))

    @property
    def is_negative(self) -> bool:
        return isinstance(self.parts[0], str) and self.parts[0].startswith("-")

    def named(self, names: dict[int, str]) -> str:
        """The text, with a name for each value."""
        return "".join(p if isinstance(p, str) else names[p] for p in self.parts)


def literal(value: object) -> str:
    """A number, text, or tuple as one writes it; floats as float32 needs them."""
    if isinstance(value, Name):
        return value.text
    if value is Ellipsis:
        return "..."
    if isinstance(value, float):
        return _decimal(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, slice):
        ends = (value.start, value.stop, value.step)
        return _slice(*(None if each is None else literal(each) for each in ends))
    if isinstance(value, tuple | list):
        inside = ", ".join(literal(each) for each in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def _decimal(value: float) -> str:
    if not np.isfinite(value):
        return f'float("{value}")'
    short = str(np.float32(value))
    return short if float(np.float32(value)) == value else repr(value)


def _slice(start: str | None, stop: str | None, step: str | None) -> str:
    text = f"{start or ''}:{stop or ''}"
    return f"{text}:{step}" if step else text


def plain(text: str) -> Text:
    return Text((text,))


def joined(values: Sequence[Text]) -> Text:
    """Expressions with commas between them."""
    parts: list[str | int] = []
    for value in values:
        parts += [", ", *value.parts] if parts else value.parts
    return Text(tuple(parts), max((value.depth for value in values), default=0))


def call(
    head: Sequence[str | int],
    values: Sequence[Text],
    options: Iterable[tuple[str, Text]] = (),
    is_call: bool = False,
) -> Text:
    """A call of what `head` is."""
    named = [Text((f"{key}=", *value.parts)) for key, value in options]
    inside = joined([*values, *named])
    parts = (*head[:-1], f"{head[-1]}(", *inside.parts, ")")
    return Text(parts, inside.depth + 1, is_call=is_call)


def in_parentheses(text: Text) -> Text:
    return Text(("(", *text.parts, ")"), text.depth)
