"""Where a network begins and ends, as the user says or as the graph shows."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from converters.files.errors import Malformed
from converters.files.graphdef import Graph, Ref, parse_ref
from converters.graphs.guessing import guess_outputs

_SERVING = "serving_default"
_CLOSE = 5  # names that an error recommends


@dataclass(frozen=True)
class Ends:
    """The tensors that a network begins and ends with.

    Attributes:
        inputs: those that the user or a signature chose; () to take what is there.
        outputs: the tensors wanted.
        others: further ones that may have been meant.
        guessed: whether nobody said so.
        towers: whether `others` has outputs of further towers (clones) with the same weights.
    """

    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    others: tuple[Ref, ...] = ()
    guessed: bool = False
    towers: bool = False


def find_ends(graph: Graph, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Ends:
    """The ends of the network in a graph.

    Args:
        graph: the graph.
        inputs: operations that are fed, "NAME" or "NAME:1"; () for the graph's own.
        outputs: operations that are wanted; () for the graph's own.

    Raises:
        Malformed: there is no operation of such a name, or the graph has no outputs.
    """
    chosen = tuple(_ref(graph, name) for name in inputs)
    if outputs:
        return Ends(chosen, tuple(_ref(graph, name) for name in outputs))
    signature = _signature(graph)
    if signature:
        return Ends(chosen or signature.inputs, signature.outputs)
    return _guessed(graph, chosen)


def text(ref: Ref) -> str:
    """The name of a value."""
    return ref[0] if ref[1] == 0 else f"{ref[0]}:{ref[1]}"


def _ref(graph: Graph, name: str) -> Ref:
    ref = parse_ref(name)
    if ref[0] in graph.nodes:
        return ref
    lower = {each.lower(): each for each in graph.nodes}
    ends = [each for each in graph.nodes if each.endswith(f"/{ref[0]}")]
    close = difflib.get_close_matches(ref[0].lower(), list(lower), _CLOSE, 0.6)
    names = list(dict.fromkeys((*ends[:_CLOSE], *(lower[each] for each in close))))[:_CLOSE]
    remedy = f"did you mean {', '.join(names)}?" if names else "look at the names in its graph"
    raise Malformed(f"its graph has no operation {name!r}", remedy)


def _signature(graph: Graph) -> Ends | None:
    """The ends that a SavedModel or Hub module declares."""
    signatures = graph.signatures
    signature = signatures.get(_SERVING) or signatures.get("default")
    if signature is None:
        signature = next((s for s in signatures.values() if s.outputs), None)
    if signature is None:
        return None
    inputs = [parse_ref(name) for name in signature.inputs.values()]
    outputs = [parse_ref(name) for name in signature.outputs.values()]
    if not outputs or any(name not in graph.nodes for name, _ in (*inputs, *outputs)):
        return None
    return Ends(tuple(inputs), tuple(dict.fromkeys(outputs)))


def _guessed(graph: Graph, inputs: tuple[Ref, ...]) -> Ends:
    """The ends that the graph seems to have."""
    guess = guess_outputs(graph, inputs)
    if not guess.outputs:
        raise Malformed(
            "it is not to be seen which of its operations are outputs: no layer with weights "
            "depends on an image",
            "choose outputs",
        )
    outputs = tuple((name, 0) for name in guess.outputs)
    others = tuple((name, 0) for name in guess.others)
    return Ends(inputs, outputs, others, guessed=True, towers=guess.towers)
