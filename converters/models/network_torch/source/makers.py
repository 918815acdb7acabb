"""How modules are made, as expressions whose numbers may become arguments of a class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from converters.models.network_torch.making import Making
from converters.models.network_torch.source.text import literal

# Sizes of weights; of them, what is always the same number is one argument.
CHANNELS = frozenset(("inputs", "outputs", "groups", "channels"))
# What is written by its place; all else by its name.
_BY_PLACE = CHANNELS - {"groups"} | {"kernel"}
_ROLES = {
    "nn.Conv2d": ("inputs", "outputs", "kernel"),
    "SameConv2d": ("inputs", "outputs", "kernel"),
    "nn.ConvTranspose2d": ("inputs", "outputs", "kernel"),
    "nn.Linear": ("inputs", "outputs"),
}
# What need not be written.
_DEFAULTS = {
    "stride": (1, 1),
    "padding": (0, 0),
    "dilation": (1, 1),
    "groups": 1,
    "bias": True,
}


@dataclass(eq=False)
class Literal:
    """A number in a call that makes a module; it may become an argument of the class around it.

    Attributes:
        value: the number, or a pair of them.
        role: what it is: "inputs", "kernel", "stride".
        key: the keyword that it is given by; None: its place.
        default: what it is when it is left out; `...`: never left out.
        argument: the name of the argument of the class that it became.
    """

    value: object
    role: str
    key: str | None = None
    default: object = ...
    argument: str | None = None

    def written(self) -> str | None:
        """The text, None where it is left out."""
        if self.argument is None and self.value == self.default:
            return None
        value = self.value
        if isinstance(value, tuple) and len(set(value)) == 1 and len(value) == 2:
            value = value[0]
        text = self.argument or literal(value)
        return f"{self.key}={text}" if self.key else text


@dataclass(eq=False)
class Maker:
    """A call that makes a module.

    Attributes:
        name: what is called.
        literals: its arguments.
        parts: name -> maker of a module inside, for `chain` and `Scope`.
    """

    name: str
    literals: list[Literal] = field(default_factory=list)
    parts: dict[str, Maker] = field(default_factory=dict)

    def copy(self) -> Maker:
        """The same call, whose numbers are no arguments yet."""
        literals = [Literal(e.value, e.role, e.key, e.default) for e in self.literals]
        return Maker(self.name, literals, {name: p.copy() for name, p in self.parts.items()})

    def all_literals(self) -> Iterator[Literal]:
        yield from self.literals
        for part in self.parts.values():
            yield from part.all_literals()

    def signature(self) -> tuple:
        """Equal for makers that differ in their numbers only."""
        roles = tuple((each.role, each.key, each.default) for each in self.literals)
        parts = tuple((name, part.signature()) for name, part in self.parts.items())
        return self.name, roles, parts

    def arguments(self) -> str:
        found = [text for each in self.literals if (text := each.written()) is not None]
        found += [f"{name}={part.written()}" for name, part in self.parts.items()]
        return ", ".join(found)

    def written(self) -> str:
        return f"{self.name}({self.arguments()})"


def stock(how: Making, pads_same: bool = False) -> Maker:
    """The call for a module of torch's, or one that torch lacks."""
    name = "SameConv2d" if pads_same else how.maker.removeprefix("layers.")
    roles = _ROLES.get(name, ("channels",))
    found = [Literal(value, role) for value, role in zip(how.args, roles, strict=True)]
    for key, value in how.options.items():
        if not (pads_same and key == "padding"):
            found.append(Literal(value, key, key, _DEFAULTS.get(key, ...)))
    return Maker(name, found)


def call_of_class(name: str, arguments: list[tuple[str, object, object]]) -> Maker:
    """The call of a class of the source.

    Args:
        name: of the class.
        arguments: (name, value, default) of each of its arguments; `...`: it has no default.
    """
    literals = []
    for argument, value, default in arguments:
        role = _role(argument)
        literals.append(Literal(value, role, None if default is ... else argument, default))
    return Maker(name, literals)


def _role(argument: str) -> str:
    if argument.endswith("channels"):
        return "outputs"
    return argument if argument in CHANNELS else argument.rpartition("_")[2]


def is_by_place(role: str) -> bool:
    """Whether an argument is written by its place."""
    return role in _BY_PLACE
