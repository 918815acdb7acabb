"""The steps of a plan as functions that run one after another."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from converters.models.network_torch import ops
from converters.models.network_torch.plan import Name, Plan, Ref, Step
from slim_resnet.frameworks import require

torch = require("torch")

_OPERATORS: dict[str, Callable] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "[]": operator.getitem,
}


def _attribute(path: tuple[str, ...], net: torch.nn.Module) -> object:
    found = net
    for part in path:  # operator.attrgetter would not do: torch.compile cannot trace it
        found = getattr(found, part)
    return found


def _module(path: tuple[str, ...], net: torch.nn.Module, value: torch.Tensor) -> torch.Tensor:
    return _attribute(path, net)(value)


def _size(value: torch.Tensor, dimension: int) -> int:
    return value.shape[dimension]


def _device(value: torch.Tensor) -> torch.device:
    return value.device


def _float(net: torch.nn.Module, value: torch.Tensor) -> torch.Tensor:
    return value.to(net.dtype)


def _tuple(*values: object) -> tuple:
    return values


_FUNCTIONS: dict[str, Callable] = {
    "size": _size,
    "device": _device,
    "float": _float,
    "tuple": _tuple,
    "slice": slice,
}


@dataclass(frozen=True)
class Call:
    """A function, where its arguments lie, where its result goes, what nobody reads any more."""

    function: Callable
    sources: tuple[int, ...]
    target: int
    done: tuple[int, ...]


class Program:
    """A plan, ready to run on a module.

    It holds no module and no tensors: copies of the module share it.

    Args:
        plan: the steps.
        values: what to return, name -> step; None: the plan's outputs, and memory is freed as soon
            as no step needs it.
    """

    def __init__(self, plan: Plan, values: Mapping[str, Ref] | None = None):
        order = plan.needed(values)
        wanted = {name: plan.values[name] for name in plan.outputs} if values is None else values
        kept = {ref.index for ref in wanted.values()}
        slots = {index: slot for slot, index in enumerate(order, start=1)}  # slot 0 is the module
        self.template: list[object] = [None] * (len(order) + 1)
        self.inputs = {
            name: slots[ref.index] for name, ref in plan.inputs.items() if ref.index in slots
        }
        last = {ref.index: index for index in order for ref in plan.steps[index].refs}
        self.calls = []
        for index in order:
            step = plan.steps[index]
            if step.target == "input":
                continue
            done = {ref.index for ref in step.refs if last[ref.index] == index} - kept
            sources = tuple(self._source(arg, slots) for arg in _arguments(step))
            self.calls.append(
                Call(_function(step), sources, slots[index], tuple(slots[i] for i in sorted(done)))
            )
        self.results = {name: slots[ref.index] for name, ref in wanted.items()}

    def _source(self, arg: object, slots: Mapping[int, int]) -> int:
        """The slot of an argument; a constant gets one of its own."""
        if isinstance(arg, Ref):
            return slots[arg.index]
        if arg is _NET:
            return 0
        self.template.append(_constant(arg))
        return len(self.template) - 1

    def __call__(self, net: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> dict:
        """The values asked for, by name.

        Args:
            net: the module whose submodules are called.
            inputs: name of the input -> tensor.
        """
        slots = self.template.copy()
        slots[0] = net
        for name, slot in self.inputs.items():
            slots[slot] = inputs[name]
        for call in self.calls:
            slots[call.target] = call.function(*[slots[source] for source in call.sources])
            for slot in call.done:
                slots[slot] = None
        return {name: slots[slot] for name, slot in self.results.items()}


_NET = object()  # stands for the module among a step's arguments


def _arguments(step: Step) -> tuple:
    if step.target == "module":
        return (_NET, *step.args[1:])
    if step.target == "attribute":
        return (_NET,)
    return (_NET, *step.args) if step.target == "float" else step.args


def _constant(arg: object) -> object:
    if isinstance(arg, Name):
        return getattr(torch, arg.text.removeprefix("torch."))
    return arg


def _function(step: Step) -> Callable:
    """What a step calls."""
    found = _named(step)
    options = {name: _constant(value) for name, value in step.options}
    return functools.partial(found, **options) if options else found


def _named(step: Step) -> Callable:
    target = step.target
    if target == "module":
        return functools.partial(_module, tuple(step.args[0].split(".")))
    if target == "attribute":
        return functools.partial(_attribute, tuple(step.args[0].split(".")))
    if target in _FUNCTIONS:
        return _FUNCTIONS[target]
    if target in _OPERATORS:
        return _OPERATORS[target]
    home, _, name = target.rpartition(".")
    return getattr(_HOMES[home], name)


_HOMES = {"": torch.Tensor, "torch": torch, "F": torch.nn.functional, "ops": ops}
