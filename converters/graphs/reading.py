"""From a graph to a `Network`: ends, inference, layers, patterns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from converters.files.errors import Malformed, blame
from converters.files.graphdef import Graph, Ref
from converters.graphs.assembling import Assembly
from converters.graphs.building import Builder
from converters.graphs.drafts import Draft, Value, ancestors
from converters.graphs.ends import Ends, find_ends, text
from converters.graphs.network import Input, Network
from converters.graphs.patterns import simplify
from converters.graphs.raising import Raising
from converters.graphs.variables import Variables


def read_network(
    graph: Graph, *, inputs: Sequence[str] = (), outputs: Sequence[str] = ()
) -> Network:
    """The network that a graph computes at inference.

    Args:
        graph: as `converters.files.graph_for` gives it.
        inputs: operations that are fed, "NAME" or "NAME:1"; () for the graph's own: the image
            placeholders, or what an input pipeline hands over.
        outputs: operations that are wanted, in this order; () for the graph's own.

    Raises:
        CheckpointError: the graph is damaged, has no such operation, or computes what no layer
            here does; the operation is named.
    """
    with blame(graph.path):
        ends = find_ends(graph, inputs, outputs)
        raising = Raising(graph, frozenset(ends.inputs))
        raised = {ref: raising.raised(ref) for ref in ends.outputs}
        if ends.guessed:  # what turns out not to depend on an image was none
            raised = {ref: value for ref, value in raised.items() if not value.static} or raised
            ends = replace(ends, outputs=tuple(raised))
        values = [_named(raising.builder, ref, value) for ref, value in raised.items()]
        simplify(raising.builder, values, raising.rewriting.averages.decay)
        return _network(graph, ends, raising, values)


def _named(builder: Builder, ref: Ref, value: Value) -> Value:
    """An output under the name that was asked for."""
    if value.name == text(ref) and not value.static:
        return value
    name = builder.unique(f"{ref[0]}_{ref[1]}") if ref[1] else ref[0]
    if value.static:
        return builder.layer(name, "parameter", [], weights={"value": value}, dtype=value.dtype)
    return builder.layer(name, "identity", [value], layout=value.layout)


def _network(graph: Graph, ends: Ends, raising: Raising, outputs: list[Value]) -> Network:
    drafts = ancestors(outputs)
    assembly = Assembly(
        graph.path,
        raising.builder,
        {name: place for place, name in enumerate(graph.nodes)},
        says_trainable=graph.meta.trainable is not None,
        has_variables=Variables(graph).exist,
    )
    assembly.add(drafts)
    network = Network(
        path=graph.path,
        inputs=_inputs(ends, raising, drafts),
        layers=tuple(assembly.layers),
        outputs=tuple(value.name for value in outputs),
        parameters=assembly.parameters,
        notes=_notes(ends, raising),
        others=tuple(map(text, ends.others)),
    )
    try:
        network.check()
    except ValueError as error:
        raise Malformed(f"its network is not consistent: {error}") from error
    return network


def _inputs(ends: Ends, raising: Raising, drafts: Sequence[Draft]) -> tuple[Input, ...]:
    """What is fed, in the user's order.

    Raises:
        Malformed: nothing is, or other than was chosen.
    """
    read = {id(draft) for draft in drafts}
    found = {ref: value for ref, value in raising.inputs.items() if id(value.draft) in read}
    more = [text(ref) for ref in found if ref not in ends.inputs]
    if ends.inputs and more:
        raise Malformed(f"its outputs need the input {more[0]!r} as well", "choose it, too")
    missing = [text(ref) for ref in ends.inputs if ref not in found]
    if missing or not found:
        source = f"its input {missing[0]!r}" if missing else "any input"
        raise Malformed(f"its outputs do not depend on {source}", "choose other outputs")
    values = [found[ref] for ref in ends.inputs or found]
    return tuple(Input(v.name, v.known_shape, v.dtype, v.layout) for v in values)


def _notes(ends: Ends, raising: Raising) -> tuple[str, ...]:
    """What was guessed, decided upon and left out."""
    view = raising.rewriting.view
    notes = []
    if ends.guessed:
        towers = ", of towers that share weights the first" if ends.towers else ""
        outputs = ", ".join(map(text, ends.outputs))
        notes.append(f"Nobody said which outputs; taken{towers}: {outputs}.")
    if view.flags:
        flags = ", ".join(f"{name} {value}" for name, value in sorted(view.flags.items()))
        notes.append(f"Taken for inference: {flags}.")
    if view.passed:
        first = next(iter(view.passed))
        notes.append(f"Fake quantization is left out ({len(view.passed)} times, as {first}).")
    return (*notes, *raising.notes)
