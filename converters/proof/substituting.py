"""What inference reads in a training graph instead of what training computes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from converters.files.errors import blame
from converters.files.graphdef import Graph, Ref
from converters.graphs.ends import text
from converters.graphs.inference import FAKE_QUANTIZATION
from converters.graphs.rewriting import Rewriting


@dataclass(frozen=True)
class Substitutions:
    """For a `Plan`: its `passed` and `norms`."""

    passed: Mapping[str, str] = field(default_factory=dict)
    norms: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def substitutions(graph: Graph, inputs: Iterable[Ref], outputs: Iterable[Ref]) -> Substitutions:
    """What takes the place of what, between inputs and outputs of a graph.

    Statistics of a batch become the moving averages that the graph's own updates collect of them,
    dropouts and noise what they are of. Nothing else of the graph is changed: `tf.cond`s, say, stay
    and are decided by what is fed.

    Args:
        graph: the graph.
        inputs: the tensors that are fed.
        outputs: the tensors that are fetched.

    Raises:
        CheckpointError: it cannot be told what inference is; the operation is named.
    """
    found = Substitutions({}, {})
    with blame(graph.path):
        rewriting = Rewriting(graph, frozenset(inputs))
        waiting, seen = list(outputs), set(rewriting.view.ends)
        while waiting:
            ref = waiting.pop()
            if ref not in seen:
                seen.add(ref)
                waiting += _step(rewriting, ref, found)
    in_graph = graph.nodes.keys()  # and not inside of a function
    return Substitutions(
        {value: new for value, new in found.passed.items() if value in in_graph},
        {value: new for value, new in found.norms.items() if value in in_graph},
    )


def _step(rewriting: Rewriting, ref: Ref, found: Substitutions) -> tuple[Ref, ...]:
    """What the graph reads for a tensor, what it is replaced by noted."""
    node = rewriting.view.node(ref[0])
    behind, target = rewriting.view.behind(ref), rewriting.target(ref)
    if target != ref and behind is None:  # a statistic, noise
        found.passed[text(ref)] = text(target)
        return (target,)
    if behind is not None:
        if node.op in FAKE_QUANTIZATION:
            found.passed[text(ref)] = text(behind)
        return (behind,)
    step = rewriting.step(ref)
    if step.kind == "Dropout":
        found.passed[text(ref)] = text(step.inputs[0])
        return step.inputs
    own = tuple(map(rewriting.target, node.operands[3:]))
    # One that moves its averages itself reads them, too: it is not to train for all that.
    if len(step.inputs) == 5 and (step.inputs[3:] != own or node.flag("is_training", True)):
        mean, variance = step.inputs[3:]
        found.norms[node.name] = text(mean), text(variance)
        return node.operands[:3]
    return node.operands
