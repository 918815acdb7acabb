"""Moving averages: which variable follows which statistic of a batch, and how fast.

A training graph normalises with the statistics of its batch; what inference takes instead are the
variables into which the graph's own updates collect those very statistics. Sources: TensorFlow's
`python/training/moving_averages.py` (`assign_moving_average`, `_zero_debias`), tf.contrib.layers'
`batch_norm`, tf.layers' `BatchNormalization`, and what people write by hand (`tf.assign(mean,
mean * decay + batch_mean * (1 - decay))`).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from converters.files.errors import Malformed
from converters.files.graphdef import VARIABLES, Graph, Node, Ref
from converters.graphs.functions import CHOICES
from converters.graphs.inference import Inference

# Operation -> whether it adds (1), subtracts (-1) or puts its second input in place (0).
_ASSIGNMENTS = {
    "AssignSub": -1, "AssignSubVariableOp": -1, "AssignAdd": 1, "AssignAddVariableOp": 1,
    "Assign": 0, "AssignVariableOp": 0,
}  # fmt: skip
_ADD, _MUL, _DIV = ("Add", "AddV2"), ("Mul",), ("RealDiv", "Div")
# What stays the same statistic: its axes of size 1, its type.
_SAME = frozenset(("Squeeze", "Reshape", "ExpandDims", "Cast"))
_OF_SIZES = frozenset(
    ("Cast", "RealDiv", "Div", "Sub", "Add", "AddV2", "Maximum", "Prod", "StridedSlice", "Mul")
)
_TRAINS = re.compile(r"(Resource)?(Sparse)?Apply.*|.*Grad(V\d)?|.*BackpropFilter(V\d)?")
_READS = frozenset(("ReadVariableOp", "Identity"))  # of what was assigned, and nothing else
_MAX_CHAIN = 32
_DIGITS = 12  # of a decay: 1 - 0.1 is 0.9


@dataclass(frozen=True)
class Update:
    """An operation that moves a variable towards something.

    Attributes:
        variable: its name.
        source: towards what: an output of an operation (of a variable, for a variable).
        decay: how much of the old value stays; None if that is computed.
        debiased: the source is an average itself, which this one only scales.
    """

    variable: str
    source: Ref
    decay: float | None
    debiased: bool = False


class MovingAverages:
    """The updates of a graph, as its training runs them."""

    def __init__(self, graph: Graph) -> None:
        self._training = Inference(graph, training=True)

    @cached_property
    def trains(self) -> bool:
        """Whether the graph trains at all: one that does not is to be taken as it is."""
        return any(_TRAINS.fullmatch(node.op) for node in self._training.graph)

    @property
    def followed(self) -> bool:
        """Whether moving averages are meant where the graph takes a batch's statistics."""
        return self.trains and self._training.graph.averages_move

    @cached_property
    def updates(self) -> tuple[Update, ...]:
        """Every update of a moving average in the graph."""
        found = []
        self._look_into_functions()
        for node in list(self._training.nodes.values()):
            if node.op in _ASSIGNMENTS:
                try:
                    found += self._update(node)
                except Malformed:  # of a loop, say: no update of a batch norm
                    continue
        return tuple(found)

    def _look_into_functions(self) -> None:
        """Has the branches of functional conds that training takes looked at, too."""
        for node in self._training.graph:
            if node.op in CHOICES:
                with contextlib.suppress(Malformed):  # decided by what is computed: none of ours
                    self._training.behind((node.name, 0))

    @cached_property
    def _averages(self) -> dict[Ref, dict[str, None]]:
        """Statistic -> the variables that follow it."""
        found: dict[Ref, dict[str, None]] = {}
        scaled = {u.source[0]: u.variable for u in self.updates if u.debiased}
        for update in self.updates:
            if not update.debiased and self._training.node(update.source[0]).op not in VARIABLES:
                variable = scaled.get(update.variable, update.variable)
                found.setdefault(update.source, {})[variable] = None
        return found

    @cached_property
    def _decays(self) -> dict[str, float]:
        """Variable -> its decay."""
        found: dict[str, float] = {}
        scaled = {u.source[0]: u.variable for u in self.updates if u.debiased}
        for update in self.updates:
            if update.decay is not None and not update.debiased:
                found.setdefault(scaled.get(update.variable, update.variable), update.decay)
        return found

    def of(self, ref: Ref) -> str | None:
        """The variable that follows a statistic; None if there is none.

        Raises:
            Malformed: there are several.
        """
        if not self.followed or not self._averages:
            return None
        found = self._averages.get(self.statistic(ref), {})
        if len(found) > 1:
            raise Malformed(
                f"several moving averages follow the statistic {ref[0]!r}, {' and '.join(found)}: "
                "batch renormalization is not converted",
                "give the graph of an evaluation, or a frozen one",
            )
        return next(iter(found), None)

    @cached_property
    def idle(self) -> frozenset[str]:
        """The averages whose updates no operation waits for: a training has to ask for them."""
        operations: dict[str, list[str]] = {}
        for node in self._training.graph:
            if node.op in _ASSIGNMENTS:
                with contextlib.suppress(Malformed):
                    for update in self._update(node):
                        operations.setdefault(update.variable, []).append(node.name)
        awaited = {
            name
            for node in self._training.graph
            if node.op not in _READS
            for name in (*node.inputs, *node.controls)
        }
        return frozenset(v for v, names in operations.items() if awaited.isdisjoint(names))

    def decay(self, variable: str) -> float | None:
        """The decay of a moving average; None if nothing moves it, or by a computed rate."""
        return self._decays.get(variable)

    def statistic(self, ref: Ref) -> Ref:
        """A statistic without what only changes its shape or type."""
        for _ in range(_MAX_CHAIN):
            ref = self._training.resolve(ref)
            node = self._training.node(ref[0])
            source = self._corrected(node) if node.op in _MUL else None
            if source is None and node.op in _SAME and node.operands:
                source = node.operands[0]
            if source is None:
                return ref
            ref = source
        return ref

    def _corrected(self, node: Node) -> Ref | None:
        """The variance of a fused batch norm that n / (n - 1), or the reverse, corrects."""
        for value, factor in self._orders(node):
            if self._is_fused(value) and self._is_of_sizes(factor):
                return value
        return None

    def _is_of_sizes(self, ref: Ref) -> bool:
        """Whether a tensor depends on constants and on the sizes of others alone."""
        stack, seen = [self._training.resolve(ref)], set()
        while stack and len(seen) < _MAX_CHAIN:
            node = self._training.node(stack.pop()[0])
            if node.name in seen or node.op in ("Const", "Size", "Shape"):
                continue
            if node.op not in _OF_SIZES:
                return False
            seen.add(node.name)
            stack.extend(map(self._training.resolve, node.operands))
        return not stack

    def _is_fused(self, ref: Ref) -> bool:
        ref = self._training.resolve(ref)
        return ref[1] in (1, 2) and self._training.node(ref[0]).op.startswith("FusedBatchNorm")

    def _update(self, node: Node) -> Iterator[Update]:
        """The update that an assignment is, if it is one."""
        variable = self._variable(node.operands[0]) if len(node.operands) > 1 else None
        if variable is None:
            return
        change = self._training.resolve(node.operands[1])
        sign = _ASSIGNMENTS[node.op]
        if sign == 0:
            yield from self._assigned(variable, change)
        elif sign == 1:
            yield from self._moved(variable, change, "Sub", 1)
        else:
            yield from self._moved(variable, change, "Sub", 0)

    def _moved(self, variable: str, change: Ref, op: str, own: int) -> Iterator[Update]:
        """(variable - source) * rate, or the whole difference."""
        node = self._training.node(change[0])
        if node.op in _MUL:
            for difference, rate in self._orders(node):
                source = self._other(difference, (op,), variable, own)
                if source is not None:
                    yield Update(variable, self.statistic(source), self._one_minus(rate))
                    return
        source = self._other(change, (op,), variable, own)
        if source is not None:
            scaled = self._training.node(self._training.resolve(source)[0])
            average = self._variable(scaled.operands[0]) if scaled.op in _DIV else None
            if average is not None:
                yield Update(variable, (average, 0), None, debiased=True)
            else:
                yield Update(variable, self.statistic(source), 0.0)

    def _assigned(self, variable: str, value: Ref) -> Iterator[Update]:
        """variable * decay + source * (1 - decay), or variable - (variable - source) * rate."""
        node = self._training.node(value[0])
        if node.op == "Sub" and self._variable(node.operands[0]) == variable:
            change = self._training.resolve(node.operands[1])
            yield from self._moved(variable, change, "Sub", 0)
        elif node.op in _ADD:
            for kept, new in self._orders(node):
                decay = self._scaled(kept, variable)
                product = self._training.node(self._training.resolve(new)[0])
                if decay is None or product.op not in _MUL:
                    continue
                for source, rate in self._orders(product):
                    if self._training.scalar(rate) is not None:
                        yield Update(variable, self.statistic(source), decay)
                        return
        elif node.op in _DIV:
            average = self._variable(node.operands[0])
            if average not in (None, variable):
                yield Update(variable, (average, 0), None, debiased=True)
        elif self._is_fused(self.statistic(value)):
            yield Update(variable, self.statistic(value), self._exponential(value))

    def _exponential(self, value: Ref) -> float | None:
        """The decay of a fused batch norm that moves the averages itself."""
        node = self._training.node(self.statistic(value)[0])
        factor = node.number("exponential_avg_factor", 1.0)
        return None if factor == 1 else round(1 - factor, _DIGITS)

    def _scaled(self, product: Ref, variable: str) -> float | None:
        """The number that a variable is multiplied by."""
        node = self._training.node(self._training.resolve(product)[0])
        for own, factor in self._orders(node) if node.op in _MUL else ():
            number = self._training.scalar(factor)
            if number is not None and self._variable(own) == variable:
                return _decimal(number)
        return None

    def _other(self, ref: Ref, ops: tuple[str, ...], variable: str, own: int) -> Ref | None:
        """What else than a variable a difference is of; `own`: which operand the variable is."""
        node = self._training.node(self._training.resolve(ref)[0])
        if node.op not in ops or len(node.operands) != 2:
            return None
        if self._variable(node.operands[own]) != variable:
            return None
        return node.operands[1 - own]

    def _one_minus(self, rate: Ref) -> float | None:
        """The decay that a rate belongs to."""
        node = self._training.node(self._training.resolve(rate)[0])
        if node.op == "Sub" and len(node.operands) == 2:
            one, decay = (self._training.scalar(each) for each in node.operands)
            if one is not None and decay is not None and one == 1:
                return _decimal(decay)
        number = self._training.scalar(rate)
        return None if number is None else round(1 - _decimal(number), _DIGITS)

    def _orders(self, node: Node) -> Iterator[tuple[Ref, Ref]]:
        if len(node.operands) == 2:
            one, other = node.operands
            yield one, other
            yield other, one

    def _variable(self, ref: Ref) -> str | None:
        """The name of the variable that a tensor is the value, or the reference, of.

        What assigns to a variable returns a reference to it.
        """
        for _ in range(_MAX_CHAIN):
            node = self._training.node(self._training.resolve(ref)[0])
            if node.op in VARIABLES:
                return node.name
            if node.op not in ("Cast", "Enter", *_ASSIGNMENTS) or not node.operands:
                return None
            ref = node.operands[0]
        return None


def _decimal(number) -> float:
    """A scalar as the shortest decimal that is the same in its type."""
    return float(str(number[()]))
