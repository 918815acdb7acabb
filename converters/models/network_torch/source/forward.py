"""The `forward` of a region: its lines as Python, with names for what is kept."""

from __future__ import annotations

import json
import keyword
import re
from collections import Counter
from collections.abc import Callable

from converters.models.network_torch.source.expressions import Expressions
from converters.models.network_torch.source.flow import SEVERAL, Flow
from converters.models.network_torch.source.regions import Region
from converters.models.network_torch.source.text import Text, joined

_MAX_INLINED = 64  # characters of an expression that stands inside another
_MAX_DEPTH = 3  # calls inside of one another
_SHORT = 12  # statements
_MAX_LENGTH = 84  # characters of a statement
_RESERVED = frozenset(("self", "torch", "nn", "F", "x", "y", "math", "json", "float", "inputs"))


class Forward:
    """Writes the body of a region's `forward`.

    Args:
        flow: the lines.
        region: whose.
    """

    def __init__(self, flow: Flow, region: Region):
        self.flow = flow
        self.region = region
        self.expressions = Expressions(flow, region)
        self.statements: list[tuple[list[int], Text]] = []
        self.readers: dict[int, int | Region] = {}
        self.makers: dict[int, Region] = {}  # values that come with others of a region
        self.uses = Counter()
        for item in region.items:
            reads = item.inputs if isinstance(item, Region) else flow.reads[item]
            self.uses.update(reads)
            self.readers.update(dict.fromkeys(reads, item))
            if isinstance(item, Region) and len(item.outputs) > 1:
                self.makers.update(dict.fromkeys(item.outputs, item))
        self._result = self._write()

    def _write(self) -> Text:
        self.uses.update(self.expressions.of_ends().values)
        for item in self.region.items:
            text = self._fitted(lambda item=item: self.expressions.of_item(item))
            made = item.outputs if isinstance(item, Region) else [item]
            if len(made) == 1 and self._may_stand_inside(made[0], text):
                self.expressions.inlined[made[0]] = text
            else:
                self.statements.append((made, text))
        return self._fitted(self.expressions.of_ends)

    def _fitted(self, write: Callable[[], Text]) -> Text:
        """An expression of which what is too long stands in statements of its own before it."""
        inlined = self.expressions.inlined
        text = write()
        while text.length > _MAX_LENGTH and self.expressions.lately:
            value = max(self.expressions.lately, key=lambda each: inlined[each].length)
            self.statements.append(([value], inlined.pop(value)))
            text = write()
        return text

    def _may_stand_inside(self, value: int, text: Text) -> bool:
        """Whether an expression is short, and read once, by what may hold it."""
        if self.uses[value] != 1:
            return False
        reader = self.readers.get(value)
        if reader is None:  # the result
            return text.depth <= _MAX_DEPTH
        if isinstance(reader, Region) or text.length > _MAX_INLINED or text.depth >= _MAX_DEPTH:
            return False
        if self.flow.step(reader).target == "module":
            return text.parts[0] == "super().forward(" or (not text.is_call and text.depth <= 1)
        return True

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
            if joined([Text((each,)) for each in made]).parts == self._result.parts:
                return self.statements[:-1], text
        return self.statements, self._result

    def _fed(self, names: dict[int, str]) -> list[str]:
        fed = {ref.index: name for name, ref in self.flow.plan.inputs.items()}
        return [f"{names[i]} = inputs[{json.dumps(fed[i])}]" for i in self.region.inputs]

    def _last_uses(self) -> dict[int, int]:
        last = {}
        for number, (_, text) in enumerate(self.statements):
            last.update(dict.fromkeys(text.values, number))
        last.update(dict.fromkeys(self._result.values, len(self.statements)))
        return last

    # names

    def _first_names(self) -> dict[int, str]:
        if len(self.region.inputs) == 1:
            return {self.region.inputs[0]: "x"}
        names: dict[int, str] = {}
        for value in self.region.inputs:
            names[value] = self._named_after(value, set(names.values()))
        return names

    def _new_name(self, value: int, kept: set[str], text: Text, names: dict[int, str]) -> str:
        """x for what goes through; y for what goes beside it, in a short `forward`."""
        if value not in self.makers and self.flow.step(value).target not in SEVERAL:
            if "x" not in kept:
                return "x"
            goes_on = any(names.get(each) == "y" for each in text.values)
            is_first = "y" not in names.values() and len(self.statements) <= _SHORT
            if "y" not in kept and (goes_on or is_first):
                return "y"
        return self._named_after(value, kept)

    def _named_after(self, value: int, taken: set[str]) -> str:
        """A name that is free, after the module or the operation that gives a value."""
        name = self._hint(value)
        if keyword.iskeyword(name) or name in _RESERVED:
            name = f"{name}_"
        found, count = name, 1
        while found in taken or found in self.flow.functions:
            count += 1
            found = f"{name}_{count}"
        return found

    def _hint(self, value: int) -> str:
        step = self.flow.step(value)
        if step.target == "input":
            return _snake(step.args[0].rpartition("/")[2])
        if step.target in SEVERAL:
            return "parts"
        owner = self.flow.plan.owners[value].split("/")
        below = len(self.makers.get(value, self.region).prefix)
        inner = owner[below] if len(owner) > below + 1 else None
        return _snake(inner or re.sub(r"_\d+$", "", owner[-1]))


def _snake(text: str) -> str:
    """A variable's name after a scope or an operation: Mixed_5b, ResizeBilinear."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub(r"\W", "_", text, flags=re.ASCII))
    name = re.sub("_+", "_", text).strip("_").lower() or "value"
    return f"_{name}" if name[0].isdigit() else name
