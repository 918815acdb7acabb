"""A network as steps of torch, still as data: what the module runs and the source writer prints.

Every step calls one function on results of steps before it. Functions are named as one writes them
in Python: "F.relu", "torch.cat", "ops.resize_bilinear" (of this package), ".permute" (a method),
"+" (an operator), and those of `SPECIAL`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

# Targets that are no function of torch's.
SPECIAL = {
    "input": "(name): what is fed",
    "module": "(path, value): the module called on the value",
    "attribute": "(path): a parameter or buffer",
    "float": "(value): in the floating point type of the module",
    "size": "(value, dim): an int",
    "device": "(value): where it is",
    "tuple": "(*values): one Python tuple of them",
    "slice": "(start, stop, step): Python's slice",
}


@dataclass(frozen=True)
class Ref:
    """The result of a step, by its place among the steps."""

    index: int


@dataclass(frozen=True)
class Name:
    """Something of torch's that is written as it is: torch.int32."""

    text: str


@dataclass(frozen=True)
class Step:
    """One call.

    Attributes:
        target: the function.
        args: its arguments: `Ref`s, `Name`s, numbers, texts, None, slices and tuples of such
            without `Ref`s.
        options: its keyword arguments, without `Ref`s.
    """

    target: str
    args: tuple = ()
    options: tuple[tuple[str, object], ...] = ()

    @property
    def refs(self) -> tuple[Ref, ...]:
        return tuple(arg for arg in self.args if isinstance(arg, Ref))


@dataclass(frozen=True)
class Tensor:
    """A value of the network that is a tensor.

    Attributes:
        ref: the step that gives it, images channels-first.
        rank: of it.
        map: (height, width, channels) where its last axis is such a map, flattened channels-first.
    """

    ref: Ref
    rank: int
    map: tuple[int, int, int] | None = None


# A value of the network: a tensor, or sizes (ints, floats and `sizes.Size`s) in an object array.
Value = Tensor | np.ndarray


@dataclass
class Plan:
    """The steps of a network.

    Attributes:
        steps: in an order in which they can be run.
        owners: the layer that each is part of.
        inputs: name of the input -> its step.
        values: value of the network -> the step that gives it as a user is to see it.
        layers: the step at which a layer is complete -> name of its value.
        outputs: the values asked for, in order.
        dropouts: path of a module -> its rate.
    """

    steps: list[Step] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    inputs: dict[str, Ref] = field(default_factory=dict)
    values: dict[str, Ref] = field(default_factory=dict)
    layers: dict[Ref, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    dropouts: dict[str, float] = field(default_factory=dict)

    def needed(self, values: Mapping[str, Ref] | None = None) -> list[int]:
        """The steps that the outputs (or other values) need, in order."""
        wanted = [self.values[name] for name in self.outputs] if values is None else values.values()
        found: set[int] = set()
        todo = [ref.index for ref in wanted]
        while todo:
            index = todo.pop()
            if index not in found:
                found.add(index)
                todo += [ref.index for ref in self.steps[index].refs]
        return sorted(found)
