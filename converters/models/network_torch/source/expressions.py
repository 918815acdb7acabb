"""The steps of a region as expressions."""

from __future__ import annotations

import json
from collections.abc import Callable

from converters.models.network_torch.plan import Ref, Step
from converters.models.network_torch.source.flow import OPERATORS, Flow
from converters.models.network_torch.source.regions import Region
from converters.models.network_torch.source.text import (
    ATOM,
    BINDING,
    Text,
    call,
    in_parentheses,
    joined,
    literal,
    plain,
)

_STARRED = frozenset((".permute", ".reshape", ".repeat", ".flip"))
# Functions of tensors alone -> how `clamp` calls the number that is the other argument.
_BOUNDS = {"torch.maximum": "min", "torch.minimum": "max"}


class Expressions:
    """Writes the steps of a region.

    Args:
        flow: the lines.
        region: whose module `self` is.

    Attributes:
        inlined: values that stand inside of the expression that reads them.
        lately: those of them that the last expression holds.
    """

    def __init__(self, flow: Flow, region: Region):
        self.flow = flow
        self.region = region
        self.inlined: dict[int, Text] = {}
        self.lately: list[int] = []

    def of_item(self, item: int | Region) -> Text:
        """What a line, or the call of a region, computes."""
        self.lately = []
        if isinstance(item, Region):
            values = [Text((each,)) for each in item.inputs]
            return self._inside(self._call_of(item.path, values))
        return self._inside(self._line(item))

    def of_ends(self) -> Text:
        """What `forward` returns."""
        self.lately = []
        if self.region.path:
            return self._inside(joined([Text((each,)) for each in self.region.outputs]))
        plan = self.flow.plan
        found = [self._value(plan.values[name]) for name in plan.outputs]
        if len(found) == 1:
            return self._inside(found[0])
        parts: list[str | int] = []
        for name, text in zip(plan.outputs, found, strict=True):
            parts += [", " if parts else "{", f"{json.dumps(name)}: ", *text.parts]
        return self._inside(Text((*parts, "}")))

    def _inside(self, text: Text) -> Text:
        """With the expressions of the values that are read once."""
        if len(text.parts) == 1 and text.parts[0] in self.inlined:
            self.lately.append(text.parts[0])
            return self.inlined[text.parts[0]]
        parts: list[str | int] = []
        depth = text.depth
        for part in text.parts:
            found = self.inlined.get(part) if isinstance(part, int) else None
            if found is None:
                parts.append(part)
                continue
            self.lately.append(part)
            depth = max(depth, text.depth + found.depth)
            parts += found.parts
        return Text(tuple(parts), depth, text.binding, text.is_call)

    def _line(self, index: int) -> Text:
        step = self.flow.step(index)
        if step.target == "module":
            return self._call_of(step.args[0], [self._value(self.flow.argument(index))])
        return self._step(step)

    def _call_of(self, path: str, values: list[Text]) -> Text:
        is_own = path == self.region.path
        name = "super().forward" if is_own else f"self.{self.region.relative(path)}"
        return call((name,), values, is_call=True)

    def _step(self, step: Step) -> Text:
        target, args = step.target, step.args
        if target in _WRITTEN:
            return _WRITTEN[target](self, *args)
        if target in OPERATORS:
            return self._operation(target, *args)
        if any(map(self._is_number, args)):
            if target in _BOUNDS:
                return self._clamped(_BOUNDS[target], *sorted(args, key=self._is_number))
            if target == "ops.divide":
                return self._operation("/", *args)
        if target.startswith("."):
            return self._method(target, *args)
        return self._function(step)

    def _function(self, step: Step) -> Text:
        values = [_as_one(step.target, arg) or self._value(arg) for arg in step.args]
        while values and values[-1].parts == ("None",):
            values.pop()
        options = [(name, plain(literal(value))) for name, value in step.options]
        return call((step.target.removeprefix("ops."),), values, options)

    def _operation(self, operator: str, left: object, right: object) -> Text:
        binding = BINDING.get(operator, 0)
        one, other = self._operand(left, binding), self._operand(right, binding + 1)
        hugs = operator == "**" and one.is_simple and other.is_simple
        parts = (*one.parts, operator if hugs else f" {operator} ", *other.parts)
        return Text(parts, max(one.depth, other.depth), binding)

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

    def _method(self, target: str, value: object, *others: object) -> Text:
        if target in _STARRED and len(others) == 1:
            others = self._several(others[0])
        owner = self._operand(value)
        return call((*owner.parts, target), [self._value(each) for each in others])

    def _several(self, arg: object) -> tuple:
        if isinstance(arg, Ref):
            return self.flow.step(arg).args
        return tuple(arg) if isinstance(arg, tuple) else (arg,)

    def _operand(self, arg: object, binding: int = ATOM) -> Text:
        """An argument as it stands beside an operator, in parentheses where it binds less."""
        text = self._value(arg)
        part = text.parts[0]
        if len(text.parts) == 1 and part in self.inlined:
            self.lately.append(part)
            text = self.inlined[part]
        return in_parentheses(text) if text.binding < binding or text.is_negative else text

    def _value(self, arg: object) -> Text:
        """An argument: a value, a literal, or a step that is written inside."""
        if not isinstance(arg, Ref):
            return plain(literal(arg))
        if not self.flow.is_inside(arg.index):
            return Text((arg.index,))
        return self._step(self.flow.step(arg))

    def _attribute(self, path: str) -> Text:
        """A parameter as the region's module sees it; a constant of one number as that."""
        if path in self.flow.numbers:
            return plain(literal(self.flow.numbers[path]))
        return plain(f"self.{self.region.relative(path)}")

    def _index(self, value: object, index: object) -> Text:
        """value[index], whose index may be a tuple of slices."""
        owner = self._operand(value)
        inside = joined([self._indexed(each) for each in self._several(index)])
        return Text((*owner.parts, "[", *inside.parts, "]"), owner.depth)

    def _indexed(self, arg: object) -> Text:
        if not isinstance(arg, Ref) or self.flow.step(arg).target != "slice":
            return self._value(arg)
        parts: list[str | int] = []
        for place, each in enumerate(self.flow.step(arg).args):
            if place < 2 or each is not None:
                parts += [":"] if place else []
                parts += () if each is None else self._value(each).parts
        return Text(tuple(parts))

    def _tuple(self, *values: object) -> Text:
        inside = joined([self._value(each) for each in values])
        return Text(("(", *inside.parts, ",)" if len(values) == 1 else ")"), inside.depth)

    def _size(self, value: object, dimension: int) -> Text:
        return Text((*self._operand(value).parts, f".shape[{dimension}]"))

    def _device(self, value: object) -> Text:
        return Text((*self._operand(value).parts, ".device"))

    def _float(self, value: object) -> Text:
        return Text((*self._operand(value).parts, ".float()"), 1)


def _as_one(target: str, arg: object) -> Text | None:
    """A pair of equal numbers as one, for functions that take it so."""
    takes_one = target.startswith("F.") and ("pool" in target or "conv" in target)
    is_pair = isinstance(arg, tuple) and len(arg) == 2 and arg[0] == arg[1]
    return plain(literal(arg[0])) if takes_one and is_pair else None


_WRITTEN: dict[str, Callable[..., Text]] = {
    "[]": Expressions._index,
    "tuple": Expressions._tuple,
    "size": Expressions._size,
    "device": Expressions._device,
    "attribute": Expressions._attribute,
    "float": Expressions._float,
}
