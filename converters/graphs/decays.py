"""What a graph says of training: weight decay, and the decay of batch norm's moving averages.

Source: `l2_regularizer` of tf.contrib.layers (`scale * l2_loss(weights)`), and TensorFlow's
`python/training/moving_averages.py` (`variable -= (variable - value) * (1 - decay)`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from converters.files.graphdef import FORWARDING, MAX_CHAIN, Graph, Node
from converters.graphs.facts import DecayFact

_SUMS = frozenset(("Add", "AddN", "AddV2"))
_THROUGH = FORWARDING | {"RefSwitch"}  # of a `tf.cond` on is_training
_UPDATES = frozenset(("AssignSub", "AssignSubVariableOp"))
# A zero-debiased average is kept in a helper below the variable.
_MOVING = re.compile(r"/moving_(mean|variance)(/.*/biased)?$")


def weight_decays(graph: Graph) -> Iterator[DecayFact]:
    """The factor of every `l2_loss` of a variable, alone or summed with others before."""
    scales: dict[str, float | None] = {}
    for node in graph:
        weights = graph.parameter(node, 0) if node.op == "L2Loss" else None
        scale = _scale(graph, node, scales) if weights else None
        if scale is not None:
            yield DecayFact(weights.name, scale)


def moving_average_decays(graph: Graph) -> Iterator[DecayFact]:
    """The decay of batch norms' moving averages, which only a training graph has."""
    for node in graph:
        variable = graph.source(graph.input(node, 0), _THROUGH) if node.op in _UPDATES else None
        if variable is None or not _MOVING.search(variable.name):
            continue
        decay = _decay(graph, graph.source(graph.input(node, 1), _THROUGH))
        if decay is not None:
            yield DecayFact(variable.name, decay)


def _decay(graph: Graph, change: Node | None) -> float | None:
    """The decay in `(variable - value) * (1 - decay)`: a constant, or the rate is one."""
    if change is None or change.op != "Mul":
        return None
    rate = _factor(graph, change)
    if rate is not None:
        return round(1 - rate, 12)
    for index in range(2):
        difference = graph.source(graph.input(change, index), _THROUGH)
        if difference and difference.op == "Sub" and _constant(graph, difference, 0) == 1:
            return _constant(graph, difference, 1)
    return None


def _scale(graph: Graph, node: Node | None, known: dict[str, float | None]) -> float | None:
    """The constant that `node`, or a sum that it goes into, is multiplied by."""
    passed = []
    scale = None
    while node and node.name not in known and len(passed) < MAX_CHAIN and scale is None:
        passed.append(node.name)
        readers = graph.readers.get(node.name, [])
        factors = (_factor(graph, reader) for reader in readers if reader.op == "Mul")
        scale = next((factor for factor in factors if factor is not None), None)
        node = next((r for r in readers if r.op in _SUMS or r.op in FORWARDING), None)
    if scale is None and node:
        scale = known.get(node.name)
    known.update(dict.fromkeys(passed, scale))
    return scale


def _factor(graph: Graph, product: Node) -> float | None:
    """The constant factor between 0 and 1 of a product, None where it has none."""
    factors = (_constant(graph, product, index) for index in range(2))
    return next((factor for factor in factors if factor is not None and 0 < factor < 1), None)


def _constant(graph: Graph, node: Node, index: int) -> float | None:
    """An input of `node` that is a scalar constant, as the shortest decimal of its type.

    Behind a `cond` on is_training it is that of training: what else there is does nothing, with
    the constant 1.
    """
    values = _constants(graph, graph.input(node, index), MAX_CHAIN)
    if len(values) > 1:
        values.discard(1.0)
    return values.pop() if len(values) == 1 else None


def _constants(graph: Graph, node: Node | None, depth: int) -> set[float | None]:
    """The scalar constants that `node` may be, None for anything else."""
    while node and node.op in FORWARDING and node.op != "Merge" and depth:
        node, depth = graph.input(node, 0), depth - 1
    if node is None or not depth:
        return {None}
    if node.op == "Merge":
        sides = (graph.input(node, index) for index in range(len(node.inputs)))
        return {value for side in sides for value in _constants(graph, side, depth // 2)}
    if node.op != "Const" or node.shape != () or node.tensor.small().dtype.kind not in "iuf":
        return {None}
    return {float(str(node.tensor.small()))}
