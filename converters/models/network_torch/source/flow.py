"""The steps of a plan as a person would write them: what gets a line, what stands inside one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from converters.graphs.network import Network
from converters.models.network_torch.naming import Names
from converters.models.network_torch.plan import Plan, Ref, Step

OPERATORS = frozenset(("+", "-", "*", "/", "//", "%", "**", ">", ">=", "<", "<=", "==", "!="))
# Functions of numbers.
_OF_NUMBERS = OPERATORS | {
    f"torch.sym_{name}" for name in ("max", "min", "float", "int")
} | {"ops.float32", "ops.floor", "ops.ceil"}  # fmt: skip
SEVERAL = frozenset(("torch.split", "torch.unbind", "ops.top_k"))  # they return tuples


@dataclass
class Flow:
    """A plan, seen as lines of source.

    Attributes:
        network: what the plan is of.
        names: of its parameters.
        plan: the steps.
        lines: the steps that compute a tensor (or several), in order; the others are written
            inside of those.
        reads: line -> the lines and inputs whose results it reads, each as often as it is written.
        attributes: line -> paths of the parameters that are written in it.
        same: paths of convolutions that pad as TensorFlow's SAME, whatever the size.
        numbers: parameters that are constants of one number -> the number.
    """

    network: Network
    names: Names
    plan: Plan
    lines: list[int] = field(default_factory=list)
    reads: dict[int, list[int]] = field(default_factory=dict)
    attributes: dict[int, list[str]] = field(default_factory=dict)
    same: set[str] = field(default_factory=set)
    numbers: dict[str, float | int | bool] = field(default_factory=dict)
    _is_number: dict[int, bool] = field(default_factory=dict)

    @classmethod
    def of(
        cls, network: Network, names: Names, plan: Plan, arrays: Mapping[str, np.ndarray]
    ) -> Flow:
        """The flow of a plan; `arrays` by the names of the network's parameters."""
        flow = cls(network, names, plan)
        order = plan.needed()
        flow.numbers = _numbers(network, names, arrays)
        for path in flow._read_as_tensors(order):
            flow.numbers.pop(path, None)
        flow.same = flow._same_convolutions(order)
        padded = {flow._padding(index) for index in order if flow.is_same(index)}
        for index in order:
            if index not in padded and not flow.is_inside(index):
                flow.lines.append(index)
                flow.reads[index] = flow.used_by(index)
                flow.attributes[index] = flow._written_in(index)
        return flow

    @property
    def functions(self) -> set[str]:
        """The names of this package's functions that it calls: no variable can have them."""
        targets = {self.step(line).target for line in self.lines}
        return {target.removeprefix("ops.") for target in targets if target.startswith("ops.")}

    def step(self, ref: Ref | int) -> Step:
        return self.plan.steps[ref.index if isinstance(ref, Ref) else ref]

    def is_inside(self, index: int) -> bool:
        """Whether a step is written inside of the line that reads it."""
        step = self.step(index)
        if step.target in ("tuple", "slice", "device", "attribute"):
            return True
        if step.target == "[]" and self.step(step.args[0]).target in SEVERAL:
            return True
        return self.is_number(index)

    def is_number(self, index: int) -> bool:
        """Whether a step gives a Python number."""
        if index not in self._is_number:
            step = self.step(index)
            of_numbers = step.target in _OF_NUMBERS and bool(step.refs)
            self._is_number[index] = step.target == "size" or (
                of_numbers and all(self.is_number(ref.index) for ref in step.refs)
            )
        return self._is_number[index]

    def is_same(self, index: int) -> bool:
        """Whether a step calls a convolution that pads as TensorFlow's SAME."""
        step = self.step(index)
        return step.target == "module" and step.args[0] in self.same

    def argument(self, index: int) -> Ref:
        """The value that a step that calls a module gives it."""
        ref = self.step(index).args[1]
        return self.step(ref).args[0] if self.is_same(index) else ref

    def used_by(self, index: int) -> list[int]:
        """The lines and inputs that a step reads, also through those that are written in it."""
        step = self.step(index)
        refs = (self.argument(index),) if step.target == "module" else step.refs
        found = []
        for ref in refs:
            found += self.used_by(ref.index) if self.is_inside(ref.index) else [ref.index]
        return found

    def _written_in(self, index: int) -> list[str]:
        found = []
        for ref in self.step(index).refs:
            step = self.step(ref)
            if step.target == "attribute" and step.args[0] not in self.numbers:
                found.append(step.args[0])
            elif self.is_inside(ref.index):
                found += self._written_in(ref.index)
        return found

    def _read_as_tensors(self, order: list[int]) -> set[str]:
        """The parameters that something reads which takes no number."""
        found = set()
        for index in order:
            step = self.step(index)
            for ref in step.refs:
                read = self.step(ref)
                if read.target == "attribute" and not _takes(step, self.numbers.get(read.args[0])):
                    found.add(read.args[0])
        shown = (self.step(self.plan.values[name]) for name in self.plan.outputs)
        return found | {step.args[0] for step in shown if step.target == "attribute"}

    def _padding(self, index: int) -> int:
        return self.step(index).args[1].index

    def _same_convolutions(self, order: list[int]) -> set[str]:
        """Those that are nowhere called without that padding before them."""
        readers: dict[int, int] = defaultdict(int)
        for index in order:
            for ref in self.step(index).refs:
                readers[ref.index] += 1
        padded, others = set(), set()
        for index in order:
            step = self.step(index)
            if step.target == "module":
                before = self.step(step.args[1])
                alone = readers[step.args[1].index] == 1 and not dict(before.options).get("value")
                is_padding = before.target == "ops.pad_same" and alone
                (padded if is_padding else others).add(step.args[0])
        return padded - others


def _takes(step: Step, number: float | int | bool | None) -> bool:
    """Whether a step takes a number where the graph has a constant."""
    if step.target == "ops.divide":
        return isinstance(number, float)
    return step.target in OPERATORS | {"torch.where", "torch.maximum", "torch.minimum"}


def _numbers(
    network: Network, names: Names, arrays: Mapping[str, np.ndarray]
) -> dict[str, float | int | bool]:
    """Constants of one number and no axes, by their names in the state dict."""
    values = {layer.weights["value"] for layer in network.layers if layer.kind == "parameter"}
    found = {}
    for name in values:
        parameter = network.parameters[name]
        if not parameter.shape and not parameter.trainable:
            found[names.states[name][0]] = np.asarray(arrays[name]).item()
    return found
