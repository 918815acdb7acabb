"""From the graph of a training to the steps of its inference.

A `Step` is an operation that inference needs: batch norms read their moving averages, dropouts stay
as such, noise and whatever only training has is gone.
"""

from __future__ import annotations

from dataclasses import dataclass

from converters.files.errors import Malformed
from converters.files.graphdef import VARIABLES, Graph, Node, Ref
from converters.graphs.averages import MovingAverages
from converters.graphs.dropouts import Dropout, Dropouts
from converters.graphs.functions import CHOICES
from converters.graphs.inference import MERGES, Inference

_FUSED = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
_MEAN, _VARIANCE = 1, 2  # outputs of a fused batch norm
_COMPUTED = frozenset(("Mul", "RealDiv", "Div", "Add", "AddV2", "Select", "SelectV2"))


@dataclass(frozen=True)
class Step:
    """An operation that inference runs.

    Attributes:
        node: the operation of the graph.
        inputs: what it reads then.
        kind: its type, or "Dropout", "BatchStatistics" (a batch norm without moving averages).
        rate: of a dropout.
    """

    node: Node
    inputs: tuple[Ref, ...]
    kind: str
    rate: float | None = None


class Rewriting:
    """Makes steps of a graph's operations.

    Args:
        graph: the graph.
        ends: the tensors that are fed.

    Attributes:
        view: the graph as inference runs it.
        averages: its moving averages.
        notes: what was left out, a sentence each.
    """

    def __init__(self, graph: Graph, ends: frozenset[Ref]) -> None:
        self.view = Inference(graph, ends)
        self.averages = MovingAverages(graph)
        self.notes: dict[str, None] = {}
        self._dropouts = Dropouts(Inference(graph, ends, training=True))
        self._inference_dropouts = Dropouts(self.view)
        self._targets: dict[Ref, Ref] = {}
        self._found: dict[Ref, Dropout | None] = {}

    def target(self, ref: Ref) -> Ref:
        """The tensor that inference reads where the graph reads `ref`."""
        chain = []
        while ref not in self._targets and ref not in self.view.ends:
            chain.append(ref)
            if len(chain) > len(self.view.nodes) + 1:
                raise Malformed(f"its operation {ref[0]!r} reads itself")
            following = self._following(ref)
            if following is None:
                break
            ref = following
        target = self._targets.get(ref, ref)
        self._targets.update(dict.fromkeys(chain, target))
        return target

    def step(self, ref: Ref) -> Step:
        """The operation that computes a target, and what it reads."""
        node = self.view.node(ref[0])
        dropout = self._dropout(ref)
        if dropout is not None:
            if dropout.rate is not None:  # None: who feeds it decides
                self._note_dropout(ref)
            return Step(node, (self.target(dropout.source),), "Dropout", dropout.rate)
        inputs = tuple(self.target(operand) for operand in node.operands)
        if node.op in _FUSED and node.flag("is_training", True):
            return self._trained(node, inputs)
        return Step(node, inputs, node.op)

    def _following(self, ref: Ref) -> Ref | None:
        """What is read in the place of a tensor; None if it is computed."""
        node = self.view.node(ref[0])
        if node.op in MERGES or node.op in CHOICES:
            behind = self.view.behind(ref)
            dropout = self._found_dropout(ref)
            if (
                dropout
                and not dropout.noise
                and behind is not None
                and self.target(dropout.source) == self.target(behind)
            ):
                self._found[ref] = dropout
                return None
            self._found[ref] = None
            return behind
        behind = self.view.behind(ref)
        if behind is not None:
            return behind
        variable = self.averages.of(ref)
        if variable is not None and node.op not in VARIABLES:
            return variable, 0
        dropout = self._dropout(ref)
        if dropout is not None and dropout.noise:
            self.notes[f"The noise of {node.name} is left out."] = None
            return dropout.source
        return None

    def _dropout(self, ref: Ref) -> Dropout | None:
        """The dropout that a target is."""
        if ref in self._found:
            return self._found[ref]
        node = self.view.node(ref[0])
        found = self._found_dropout(ref) if node.op in _COMPUTED and ref[1] == 0 else None
        if found is not None and not found.scaled and not found.noise:
            raise Malformed(
                f"its dropout {node.name!r} does not scale what it keeps: its inference is not in "
                "this graph",
                "give the graph of an evaluation, or choose outputs before it",
            )
        if found is not None and found.alpha:
            self.notes[f"The alpha dropout {node.name} drops in training as others do."] = None
        self._found[ref] = found
        return found

    def _found_dropout(self, ref: Ref) -> Dropout | None:
        try:
            return self._dropouts.match(ref)
        except Malformed:  # what training runs there is none of ours
            return None

    def _note_dropout(self, ref: Ref) -> None:
        """Says that inference, as it is written, is not what the graph itself would run."""
        if self.averages.trains:
            return
        try:
            found = self._inference_dropouts.match(ref)
        except Malformed:
            return
        if found is not None and found.rate:
            self.notes[
                "The graph's own dropouts are always on, so that what it computes is random: here "
                "they do nothing at inference."
            ] = None

    def _note_statistics(self) -> None:
        """Says that results depend on the whole batch."""
        why = "it has no training whose moving averages would be meant"
        if self.averages.trains:
            why = "nothing in it runs the updates of its moving averages, and they never moved"
        self.notes[
            "Batch norms take the statistics of the batch that is fed, as the graph itself does: "
            f"{why}."
        ] = None

    def _trained(self, node: Node, inputs: tuple[Ref, ...]) -> Step:
        """A fused batch norm that takes the statistics of its batch."""
        mean = self.averages.of((node.name, _MEAN))
        variance = self.averages.of((node.name, _VARIANCE))
        if mean is None and variance is None:
            self._note_statistics()
            return Step(node, inputs[:3], "BatchStatistics")
        if mean is None or variance is None or len(inputs) < 3:
            raise Malformed(f"its batch norm {node.name!r} moves only one of its two averages")
        return Step(node, (*inputs[:3], (mean, 0), (variance, 0)), node.op)
