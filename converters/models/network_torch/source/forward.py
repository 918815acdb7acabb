"""The `forward` of a region: its lines as Python, with names for what is kept."""

from __future__ import annotations

import json
import keyword
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converters.models.network_torch.plan import Name, Ref
from converters.models.network_torch.source.flow import OPERATORS, Flow
from converters.models.network_torch.source.regions import Region

_MAX_INLINED = 64  # characters of an expression that stands inside another
_MAX_DEPTH = 3  # calls inside of one another
_SHORT = 6  # statements
_STARRED = frozenset((".permute", ".reshape", ".repeat", ".flip"))
_RESERVED = frozenset(("self", "torch", "nn", "F", "x", "math", "json"))


@dataclass(frozen=True)
class Text:
    """An expression: words, and values that get their names later.

    Attributes:
        parts: texts, and the numbers of values.
        depth: of calls inside of one another.
        is_operation: whether it needs parentheses inside of another operation.
        is_call: whether it calls a module.
    """

    parts: tuple[str | int, ...]
    depth: int = 0
    is_operation: bool = False
    is_call: bool = False

    @property
    def length(self) -> int:
        return sum(len(part) if isinstance(part, str) else 6 for part in self.parts)

    @property
    def values(self) -> list[int]:
        return [part for part in self.parts if isinstance(part, int)]

    @property
    def is_simple(self) -> bool:
        """Whether it is a name or a number."""
        part = self.parts[0]
        return len(self.parts) == 1 and (isinstance(part, int) or not re.search(r"[^\w.]", part))

    def named(self, names: dict[int, str]) -> str:
        return "".join(p if isinstance(p, str) else names[p] for p in self.parts)


def literal(value: object) -> str:
    """A number, text, or tuple as one writes it; floats as float32 needs them."""
    if isinstance(value, Name):
        return value.text
    if isinstance(value, bool) or value is None or isinstance(value, int):
        return repr(value)
    if value is Ellipsis:
        return "..."
    if isinstance(value, float):
        return _decimal(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, slice):
        return _slice(*(None if p is None else literal(p) for p in _parts(value)))
    inside = ", ".join(literal(each) for each in value)
    return f"({inside},)" if len(value) == 1 else f"({inside})"


def _decimal(value: float) -> str:
    if not np.isfinite(value):
        return f'float("{value}")'
    short = str(np.float32(value))
    return short if float(np.float32(value)) == value else repr(value)


def _parts(value: slice) -> tuple:
    return value.start, value.stop, value.step


def _slice(start: str | None, stop: str | None, step: str | None) -> str:
    text = f"{start or ''}:{stop or ''}"
    return f"{text}:{step}" if step else text


class Forward:
    """Writes the body of a region's `forward`.

    Args:
        flow: the lines.
        region: whose.
    """

    def __init__(self, flow: Flow, region: Region):
        self.flow = flow
        self.region = region
        self.inlined: dict[int, Text] = {}
        self.statements: list[tuple[list[int], Text]] = []
        self.uses = Counter()
        for item in region.items:
            self.uses.update(item.inputs if isinstance(item, Region) else flow.reads[item])
        self._result = self._write()

    def _write(self) -> Text:
        ends = self._ends()
        for value in ends.values:
            self.uses[value] += 1
        for item in self.region.items:
            text = self._item(item)
            made = item.outputs if isinstance(item, Region) else [item]
            if len(made) == 1 and self._may_stand_inside(made[0], text):
                self.inlined[made[0]] = text
            else:
                self.statements.append((made, text))
        return self._inside(ends)

    def _may_stand_inside(self, value: int, text: Text) -> bool:
        """Whether an expression is short, and read once, by what may hold it."""
        if self.uses[value] != 1:
            return False
        reader = self._reader(value)
        if reader is None:  # the result
            return text.depth <= _MAX_DEPTH
        if isinstance(reader, Region) or text.length > _MAX_INLINED or text.depth >= _MAX_DEPTH:
            return False
        step = self.flow.step(reader)
        if step.target == "module":
            return text.parts[0] == "super().forward(" or (not text.is_call and text.depth <= 1)
        return step.target not in (".permute", ".reshape", "[]") or not text.is_operation

    def _reader(self, value: int) -> int | Region | None:
        for item in self.region.items:
            reads = item.inputs if isinstance(item, Region) else self.flow.reads[item]
            if value in reads:
                return item
        return None

    # expressions

    def _item(self, item: int | Region) -> Text:
        if isinstance(item, Region):
            values = [Text((each,)) for each in item.inputs]
            return self._inside(self._call_of(item.path, values))
        return self._inside(self.line(item))

    def line(self, index: int) -> Text:
        """A step as it is written."""
        step = self.flow.step(index)
        if step.target == "module":
            return self._call_of(step.args[0], [self._value(self.flow.argument(index))])
        return self._call(step)

    def _call_of(self, path: str, values: list[Text]) -> Text:
        if path == self.region.path:
            name = "super().forward"
        else:
            name = f"self.{self.region.relative(path)}"
        return _call(name, values, is_call=True)

    def _call(self, step) -> Text:
        target, args = step.target, step.args
        if target == "ops.divide" and any(map(self._is_number, args)):
            target = "/"
        options = [(name, _plain(literal(value))) for name, value in step.options]
        if target in _WRITTEN:
            return _WRITTEN[target](self, *args)
        if target in OPERATORS:
            left, right = (self._operand(arg) for arg in args)
            hugs = target == "**" and left.is_simple and right.is_simple
            parts = (*left.parts, target if hugs else f" {target} ", *right.parts)
            return Text(parts, max(left.depth, right.depth), is_operation=True)
        if target in _BOUNDS and any(map(self._is_number, args)):
            return self._clamped(_BOUNDS[target], *sorted(args, key=self._is_number))
        if target.startswith("."):
            return self._method(target, args)
        values = [self._value(arg) for arg in args]
        while values and values[-1].parts == ("None",):
            values.pop()
        name = target.removeprefix("ops.")
        pairs = zip(values, args, strict=False)  # None at the end is not written
        return _call(name, [_collapsed(target, *pair) for pair in pairs], options)

    def _is_number(self, arg: object) -> bool:
        """Whether an argument is a constant that is written as a number."""
        if not isinstance(arg, Ref):
            return isinstance(arg, int | float)
        step = self.flow.step(arg)
        return step.target == "attribute" and step.args[0] in self.flow.numbers

    def _clamped(self, bound: str, value: object, number: object) -> Text:
        owner = self._operand(value)
        parts = (*owner.parts, f".clamp({bound}=", *self._value(number).parts, ")")
        return Text(parts, owner.depth + 1)

    def _method(self, target: str, args: tuple) -> Text:
        value, *others = args
        if target in _STARRED and len(others) == 1:
            others = self._several(others[0])
        owner = self._operand(value)
        return _call((*owner.parts, target), [self._value(each) for each in others])

    def _several(self, arg: object) -> list:
        if isinstance(arg, Ref):
            return list(self.flow.step(arg).args)
        return list(arg) if isinstance(arg, tuple) else [arg]

    def _operand(self, arg: object) -> Text:
        text = self._value(arg)
        if text.is_operation or text.parts[0].__class__ is str and text.parts[0].startswith("-"):
            return Text(("(", *text.parts, ")"), text.depth)
        return text

    def _value(self, arg: object) -> Text:
        """An argument: a value, a literal, or what stands inside."""
        if not isinstance(arg, Ref):
            return _plain(literal(arg))
        if not self.flow.is_inside(arg.index):
            return Text((arg.index,))
        return self._call(self.flow.step(arg))

    def _inside(self, text: Text) -> Text:
        """With the expressions of the values that are read once."""
        parts, depth = [], text.depth
        is_alone = len(text.parts) == 1
        for part in text.parts:
            found = self.inlined.get(part) if isinstance(part, int) else None
            if found is None:
                parts.append(part)
                continue
            depth = max(depth, text.depth + found.depth)
            tight = found.is_operation and not is_alone and not _is_argument(text, part)
            parts += ["(", *found.parts, ")"] if tight else found.parts
        is_operation = text.is_operation
        if is_alone and isinstance(text.parts[0], int) and text.parts[0] in self.inlined:
            is_operation = self.inlined[text.parts[0]].is_operation
        return Text(tuple(parts), depth, is_operation, text.is_call)

    def attribute(self, path: str) -> Text:
        """A parameter as the region's module sees it; a constant of one number as that."""
        if path in self.flow.numbers:
            return _plain(literal(self.flow.numbers[path]))
        return _plain(f"self.{self.region.relative(path)}")

    # ends

    def _ends(self) -> Text:
        if not self.region.path:
            return self._outputs()
        return _joined([Text((each,)) for each in self.region.outputs])

    def _outputs(self) -> Text:
        plan = self.flow.plan
        found = [self._value(plan.values[name]) for name in plan.outputs]
        if len(found) == 1:
            return found[0]
        parts: list[str | int] = []
        for name, text in zip(plan.outputs, found, strict=True):
            parts += [", " if parts else "{", f"{json.dumps(name)}: ", *text.parts]
        return Text((*parts, "}"))

    # names

    def body(self) -> tuple[list[str], list[str]]:
        """The arguments of `forward`, and its lines."""
        names = self._first_names()
        arguments = [names[each] for each in self.region.inputs]
        lines = [] if self.region.path or len(arguments) < 2 else self._fed(names)
        arguments = arguments if self.region.path or len(arguments) < 2 else ["inputs"]
        last = self._last_uses()
        statements, result = self._without_passing_on()
        for number, (made, text) in enumerate(statements):
            right = text.named(names)
            kept = {names[v] for v, at in last.items() if at > number and v in names}
            for value in made:
                names[value] = self._new_name(value, kept, text, names)
                kept.add(names[value])
            lines.append(f"{', '.join(names[value] for value in made)} = {right}")
        lines.append(f"return {result.named(names)}")
        return arguments, lines

    def _without_passing_on(self) -> tuple[list[tuple[list[int], Text]], Text]:
        """The statements and the result, which may be what the last statement gives as it is."""
        if self.statements and self.region.path:
            made, text = self.statements[-1]
            if _joined([Text((each,)) for each in made]).parts == self._result.parts:
                return self.statements[:-1], text
        return self.statements, self._result

    def _fed(self, names: dict[int, str]) -> list[str]:
        fed = {ref.index: name for name, ref in self.flow.plan.inputs.items()}
        return [f"{names[i]} = inputs[{json.dumps(fed[i])}]" for i in self.region.inputs]

    def _first_names(self) -> dict[int, str]:
        if len(self.region.inputs) == 1:
            return {self.region.inputs[0]: "x"}
        names: dict[int, str] = {}
        for value in self.region.inputs:
            names[value] = _unique(self._hint(value), set(names.values()))
        return names

    def _last_uses(self) -> dict[int, int]:
        last = {}
        for number, (_, text) in enumerate(self.statements):
            last.update(dict.fromkeys(text.values, number))
        last.update(dict.fromkeys(self._result.values, len(self.statements)))
        return last

    def _new_name(self, value: int, kept: set[str], text: Text, names: dict[int, str]) -> str:
        """x for what goes through; y for what goes beside it, in a short `forward`."""
        if "x" not in kept:
            return "x"
        goes_on = any(names.get(each) == "y" for each in text.values)
        is_first = "y" not in names.values() and len(self.statements) <= _SHORT
        if "y" not in kept and (goes_on or is_first):
            return "y"
        return _unique(self._hint(value), kept)

    def _hint(self, value: int) -> str:
        """A name after the module or the operation that gives a value."""
        step = self.flow.step(value)
        if step.target == "input":
            return _snake(step.args[0].rpartition("/")[2])
        owner = self.flow.plan.owners[value].split("/")
        below = len(self.region.prefix)
        inner = owner[below] if len(owner) > below + 1 else None
        return _snake(inner or re.sub(r"_\d+$", "", owner[-1]))


def _is_argument(text: Text, value: int) -> bool:
    """Whether a value stands between commas or parentheses."""
    if text.is_operation:
        return False
    at = text.parts.index(value)
    before = text.parts[at - 1] if at else ""
    after = text.parts[at + 1] if at + 1 < len(text.parts) else ""
    opens = isinstance(before, str) and before.endswith(("(", ", ", ": ", "["))
    return opens and isinstance(after, str) and after.startswith((")", ",", "}", "]"))


def _plain(text: str) -> Text:
    return Text((text,))


def _joined(values: list[Text]) -> Text:
    parts: list[str | int] = []
    for value in values:
        parts += [", ", *value.parts] if parts else value.parts
    return Text(tuple(parts), max((value.depth for value in values), default=0))


def _call(name, values: list[Text], options=(), is_call: bool = False) -> Text:
    named = [Text((f"{key}=", *value.parts)) for key, value in options]
    inside = _joined([*values, *named])
    head = (name,) if isinstance(name, str) else name
    if head and isinstance(head[-1], str):
        head = (*head[:-1], f"{head[-1]}(")
    return Text((*head, *inside.parts, ")"), inside.depth + 1, is_call=is_call)


def _collapsed(target: str, text: Text, arg: object) -> Text:
    """A pair of equal numbers as one, for functions that take it so."""
    takes_one = target.startswith("F.") and "pool" in target or "conv" in target
    is_pair = isinstance(arg, tuple) and len(arg) == 2 and arg[0] == arg[1]
    return _plain(literal(arg[0])) if takes_one and is_pair else text


def _index(forward: Forward, value: object, index: object) -> Text:
    """value[index], whose index may be a tuple of slices."""
    owner = forward._operand(value)
    inside = _joined([_indexed(forward, each) for each in forward._several(index)])
    return Text((*owner.parts, "[", *inside.parts, "]"), owner.depth)


def _indexed(forward: Forward, arg: object) -> Text:
    if isinstance(arg, Ref) and forward.flow.step(arg).target == "slice":
        parts: list[str | int] = []
        for place, each in enumerate(forward.flow.step(arg).args):
            if place < 2 or each is not None:
                parts += ["" if place == 0 else ":"]
                parts += () if each is None else forward._value(each).parts
        return Text(tuple(parts))
    return forward._value(arg)


def _tuple(forward: Forward, *values: object) -> Text:
    inside = _joined([forward._value(each) for each in values])
    return Text(("(", *inside.parts, ",)" if len(values) == 1 else ")"), inside.depth)


def _size(forward: Forward, value: object, dimension: int) -> Text:
    return Text((*forward._operand(value).parts, f".shape[{dimension}]"))


# Functions of tensors alone -> how `clamp` calls the number that is the other argument.
_BOUNDS = {"torch.maximum": "min", "torch.minimum": "max"}

_WRITTEN: dict[str, Callable[..., Text]] = {
    "[]": _index,
    "tuple": _tuple,
    "size": _size,
    "device": lambda forward, value: Text((*forward._value(value).parts, ".device")),
    "attribute": lambda forward, path: forward.attribute(path),
    "float": lambda forward, value: Text((*forward._operand(value).parts, ".float()"), 1),
}


def _snake(text: str) -> str:
    """A variable's name after a scope or an operation: Mixed_5b, ResizeBilinear."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub(r"\W", "_", text, flags=re.ASCII))
    name = re.sub("_+", "_", text).strip("_").lower() or "value"
    return f"_{name}" if name[0].isdigit() else name


def _unique(name: str, taken: set[str]) -> str:
    if keyword.iskeyword(name) or name in _RESERVED:
        name = f"{name}_"
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}_{count}"
    return found
