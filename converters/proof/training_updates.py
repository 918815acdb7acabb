"""The operations with which a training graph moves the statistics of its batch norms."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from converters.files.errors import Malformed
from converters.files.graphdef import FORWARDING, VARIABLES, Function, Graph, Node, Ref, parse_ref
from converters.graphs.averages import MovingAverages
from converters.graphs.functions import CALLS, CHOICES
from converters.graphs.inference import Inference
from converters.graphs.network import Network
from converters.graphs.variables import Variables

_ASSIGNMENTS = frozenset(
    ("Assign", "AssignAdd", "AssignSub", "AssignVariableOp", "AssignAddVariableOp",
     "AssignSubVariableOp")
)  # fmt: skip
_FORWARDING = FORWARDING | {"RefSwitch", "RefIdentity", "RefEnter"}
_MOVING = ("mean", "variance")  # roles of a batch norm's parameters
_MAX_CALLS = 16  # functions that call functions; those of a damaged file may call themselves


def moving_statistics(network: Network) -> tuple[str, ...]:
    """The parameters that are moving statistics of batch norms, whether these train or not."""
    norms = [layer for layer in network.layers if layer.kind == "batch_norm"]
    return tuple(dict.fromkeys(norm.weights[role] for norm in norms for role in _MOVING))


def update_operations(graph: Graph, network: Network) -> dict[str, frozenset[str]]:
    """The operations that assign to moving statistics what depends on the images.

    Operations that call functions, or choose one of two, are among them.

    Args:
        graph: the graph.
        network: what was read of it; its inputs, and which variables are moving statistics.

    Returns:
        Name of an operation -> the moving statistics that it assigns to, as a checkpoint has them.
    """
    stored = Variables(graph)
    moving = {v for name in moving_statistics(network) for v in network.parameters[name].variables}
    from_inputs = _following(graph, [parse_ref(each.name) for each in network.inputs])
    found = {}
    for node in graph:
        if node.name in from_inputs:
            targets = (graph.nodes.get(node.inputs[i]) for i in _assigned(graph, node))
            sources = (graph.source(target, _FORWARDING) for target in targets)
            names = {stored.stored(v.name).name for v in sources if v and v.op in VARIABLES}
            if names & moving:
                found[node.name] = frozenset(names & moving)
    return found


def statistics_kept(graph: Graph, network: Network) -> frozenset[str]:
    """The moving statistics by which the graph normalises even where it trains, as variables.

    The updates of an inference graph are there in some code bases: its `is_training` is a constant
    that says no, or its `tf.cond` takes the moving statistics whatever is fed.
    """
    stored = Variables(graph)
    inputs = frozenset(parse_ref(each.name) for each in network.inputs)
    inference = Inference(graph, inputs, training=True)
    waiting, seen, found = [parse_ref(name) for name in network.outputs], set(), set()
    while waiting:
        try:
            ref = inference.resolve(waiting.pop())
            node = inference.node(ref[0])
        except Malformed:  # training alone computes it, by what no module does
            continue
        if ref in seen or ref in inputs:
            continue
        seen.add(ref)
        if node.op in VARIABLES:
            found.add(stored.stored(node.name).name)
        is_fused = node.op.startswith("FusedBatchNorm") and node.flag("is_training", True)
        waiting.extend(node.operands[:3] if is_fused else node.operands)
    moving = moving_statistics(network)
    return frozenset(v for name in moving for v in network.parameters[name].variables) & found


def frozen_norms(network: Network, moved: Collection[str]) -> tuple[str, ...]:
    """The batch norms that keep their statistics while the graph trains, as in fine-tuning.

    Args:
        network: the network.
        moved: the variables that the graph's updates assign to.
    """
    return tuple(
        layer.name
        for layer in network.layers
        if layer.kind == "batch_norm"
        and not any(
            variable in moved
            for role in _MOVING
            for variable in network.parameters[layer.weights[role]].variables
        )
    )


def debiased_statistics(graph: Graph, network: Network) -> tuple[str, ...]:
    """The moving statistics that the graph scales by how many steps they have seen.

    TensorFlow's zero-debiasing; torch has none.
    """
    variables = {each.variable for each in MovingAverages(graph).updates if each.debiased}
    names = {Variables(graph).stored(name).name for name in variables}
    return tuple(
        name
        for name in moving_statistics(network)
        if not names.isdisjoint(network.parameters[name].variables)
    )


def _assigned(graph: Graph, node: Node, calls: int = 0) -> set[int]:
    """Which of the inputs of an operation are variables that it assigns to."""
    if node.op in _ASSIGNMENTS:
        return {0} if node.inputs else set()
    found: set[int] = set()
    for name, first in _called(node):
        function = graph.functions.get(name)
        if function is not None and calls < _MAX_CALLS:
            found |= {first + index for index in _in_function(graph, function, calls + 1)}
    return {index for index in found if index < len(node.inputs)}


def _called(node: Node) -> Iterator[tuple[str, int]]:
    """The functions that an operation calls, and which of its inputs is their first argument."""
    if node.op in CALLS:
        yield node.function("f"), 0
    elif node.op in CHOICES:
        yield node.function("then_branch"), 1
        yield node.function("else_branch"), 1


def _in_function(graph: Graph, function: Function, calls: int) -> Iterator[int]:
    """Which of the arguments of a function it assigns to."""
    for node in function.nodes.values():
        for index in _assigned(graph, node, calls):
            name: str | None = node.inputs[index]
            for _ in range(_MAX_CALLS):
                if name in function.arguments:
                    yield function.arguments.index(name)
                source = function.nodes.get(name)
                if source is None or source.op not in _FORWARDING or not source.inputs:
                    break
                name = source.inputs[0]


def _following(graph: Graph, refs: Sequence[Ref]) -> set[str]:
    """The operations that depend on some tensors."""
    readers = [r for ref in refs for r in graph.readers.get(ref[0], ()) if ref in r.operands]
    found = {reader.name for reader in readers}
    waiting = list(found)
    while waiting:
        for reader in graph.readers.get(waiting.pop(), ()):
            if reader.name not in found:
                found.add(reader.name)
                waiting.append(reader.name)
    return found
