"""The arguments of a class: the numbers that differ between its instances."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from converters.models.network_torch.source import makers
from converters.models.network_torch.source.makers import CHANNELS, Literal
from converters.models.network_torch.source.templates import Template


@dataclass(eq=False)
class Argument:
    """An argument of a class: a name, and the value that most instances have as a default."""

    name: str
    literals: list[list[Literal]]  # of each instance
    default: object = ...


def find_arguments(templates: list[Template]) -> list[Argument]:
    """What differs between instances, each with a name."""
    rows = [template.literals() for template in templates]
    groups: dict[tuple, list[list[Literal]]] = {}
    for column in zip(*rows, strict=True):
        values = tuple(each.value for each in column)
        if len(set(values)) > 1:
            role = column[0].role
            key = ("channels" if role in CHANNELS else role, values)
            of_instance = groups.setdefault(key, [[] for _ in templates])
            for found, each in zip(of_instance, column, strict=True):
                found.append(each)
    found = []
    for (kind, values), literals in groups.items():
        name = _argument_name(kind, literals[0], rows[0], templates[0], {a.name for a in found})
        by_place = makers.is_by_place("outputs" if name.endswith("channels") else name)
        default = ... if by_place else Counter(values).most_common(1)[0][0]
        found.append(Argument(name, literals, default))
    return sorted(found, key=lambda each: each.default is not ...)


def _argument_name(
    kind: str, literals: list[Literal], row: list[Literal], template: Template, taken: set[str]
) -> str:
    """What is first is the inputs, what is last the outputs, unless values are joined."""
    found = kind
    if kind == "channels":
        channels = [each for each in row if each.role in CHANNELS]
        joined = any("torch.cat" in line for line in template.lines[-1:])
        last = [each for each in channels if each.role in ("outputs", "channels")][-1:]
        if channels[0] in literals and channels[0].role == "inputs":
            found = "inputs"
        elif last and last[0] in literals and not joined:
            found = "outputs"
        elif all(each.role == "groups" for each in literals):
            found = "groups"
    name, count = found, 1
    while name in taken:
        count += 1
        name = f"{found}{count}" if found != "channels" else f"{'inner_' * (count - 1)}channels"
    return name
