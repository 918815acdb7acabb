"""From a graph to `GraphFacts`.

Source: TensorFlow's `core/ops/nn_ops.cc` and `array_ops.cc` for the operations, and
`python/ops/nn_ops.py` (`with_space_to_batch`, `batch_normalization`) for what 1.x makes of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from converters.files.errors import Malformed, blame
from converters.files.graphdef import FUSED_EPSILON, MAX_CHAIN, Graph, Node
from converters.graphs.arch_facts import GraphFacts
from converters.graphs.decays import moving_average_decays, weight_decays
from converters.graphs.facts import ConvFact, Link, NormFact, PoolFact, Window
from converters.graphs.links import ADDITIONS, FUSED, PADS, POOLS, Links

_PADDINGS = frozenset(("SAME", "VALID", "EXPLICIT"))

_Pads = tuple[tuple[int, int], tuple[int, int]]
# What has as many channels as what it reads.
_KEEPING = ("conv", "sum", "pool")

_NO_PADS: _Pads = ((0, 0), (0, 0))


def graph_facts(graph: Graph) -> GraphFacts:
    """Reads what the weights do not tell off a graph.

    Raises:
        CheckpointError: an operation is damaged, or the graph has no convolution at all.
    """
    with blame(graph.path):
        links = Links(graph)
        convs = tuple(_convs(graph, links))
        if not convs:
            where = " outside the functions of TensorFlow 2" if graph.has_functions else ""
            raise Malformed(
                f"its graph has no convolution of a variable{where}",
                "give the graph of a TensorFlow 1.x network",
            )
        return GraphFacts(
            graph.path,
            convs,
            tuple(_pools(graph, links)),
            tuple(_norms(graph)),
            tuple(weight_decays(graph)),
            tuple(moving_average_decays(graph)),
            tuple(links.joins()),
        )


def _convs(graph: Graph, links: Links) -> Iterator[ConvFact]:
    for node in graph:
        weights = graph.parameter(node, 1) if node.op == "Conv2D" else None
        if weights is None:
            continue
        shape = weights.shape
        if shape is None or len(shape) != 4:
            raise Malformed(f"the filter {weights.name!r} of its {node.name!r} is not of rank 4")
        before = graph.source(graph.input(node, 0))
        rate, pads = node.spatial("dilations"), _own_pads(node)
        if before and before.op == "SpaceToBatchND":
            rate, pads = _block_shape(graph, before), _block_pads(graph, before)
            before = graph.source(graph.input(before, 0))
        if before and before.op in PADS and _pad_value(graph, before) == 0:
            pads = _sum(pads, _pads(graph, before, node))
            before = graph.input(before, 0)
        window = Window(shape[:2], node.spatial("strides"), rate, _padding(node), pads)
        link = links.behind(before)
        channels = _channels(graph, links, link)
        groups = channels // shape[2] if channels and shape[2] else None
        yield ConvFact(node.name, weights.name, window, groups, link)


def _pools(graph: Graph, links: Links) -> Iterator[PoolFact]:
    for node in graph:
        if node.op not in POOLS:
            continue
        before = graph.source(graph.input(node, 0))
        pads, fill = _own_pads(node), -math.inf  # which is what TensorFlow's own padding does
        kernel, stride = node.spatial("ksize"), node.spatial("strides")
        if before and before.op in PADS:
            pads, fill = _sum(pads, _pads(graph, before, node)), _pad_value(graph, before)
            before = graph.input(before, 0)
        elif before and _is_doubled_edge(graph, before, node, kernel):
            pads = _sum(pads, _pads(graph, before, node))
            before = graph.input(before, 0)
        window = Window(kernel, stride, padding=_padding(node), pads=pads)
        yield PoolFact(node.name, node.op, window, fill, links.behind(before))


def _norms(graph: Graph) -> Iterator[NormFact]:
    for node in graph:
        if node.op in FUSED:
            sources = (graph.parameter(node, index) for index in range(1, 5))
            yield _norm(node, node.number("epsilon", FUSED_EPSILON), sources)
        elif node.op == "Rsqrt":  # of variance + epsilon; gamma times that comes next
            total = graph.source(graph.input(node, 0))
            if total is None or total.op not in ADDITIONS:
                continue
            epsilon = graph.constant(total, 1)
            if epsilon is None or epsilon.shape:
                continue
            products = [r for r in graph.readers.get(node.name, []) if r.op == "Mul"]
            sources = [graph.parameter(total, 0)]
            sources += [graph.parameter(product, i) for product in products for i in range(2)]
            yield _norm(node, float(str(epsilon)), sources)


def _norm(node: Node, epsilon: float, sources: Iterable[Node | None]) -> NormFact:
    if not 0 <= epsilon < 1:
        raise Malformed(f"its batch norm {node.name!r} has the absurd epsilon {epsilon}")
    return NormFact(node.name, epsilon, tuple(source.name for source in sources if source))


def _padding(node: Node) -> str:
    padding = node.text("padding", "")
    if padding not in _PADDINGS:
        raise Malformed(f"its operation {node.name!r} has the unknown padding {padding!r}")
    return "SAME" if padding == "SAME" else "VALID"


def _own_pads(node: Node) -> _Pads:
    """The explicit padding that an operation does itself."""
    if node.text("padding", "") != "EXPLICIT":
        return _NO_PADS
    values = node.integers("explicit_paddings")
    return _pairs(node, np.reshape(values, (4, 2)) if len(values) == 8 else None, node)


def _pads(graph: Graph, pad: Node, node: Node) -> _Pads:
    """The spatial padding that a Pad does for `node`, in the layout of `node`."""
    return _pairs(pad, graph.constant(pad, 1), node)


def _pairs(node: Node, paddings: np.ndarray | None, layout: Node) -> _Pads:
    if paddings is None or paddings.shape != (4, 2) or paddings.min() < 0:
        raise Malformed(f"the paddings of its operation {node.name!r} are no constant of rank 4")
    height, width = (tuple(paddings[axis].tolist()) for axis in layout.spatial_axes)
    return height, width


def _is_doubled_edge(graph: Graph, pad: Node, pool: Node, kernel: tuple[int, int]) -> bool:
    """Whether `pad` mirrors values that a max pool's windows there hold anyway: minus infinity."""
    is_mirror = pad.op == "MirrorPad" and pad.text("mode", "") == "SYMMETRIC"
    if not is_mirror or pool.op != "MaxPool":
        return False
    pads = _pads(graph, pad, pool)
    return all(2 * max(pair) <= size for pair, size in zip(pads, kernel, strict=True))


def _pad_value(graph: Graph, pad: Node) -> float:
    """The constant that a Pad fills in; NaN where it is computed."""
    if pad.op == "Pad":
        return 0.0
    value = graph.constant(pad, 2)
    return float(value) if value is not None and value.size == 1 else math.nan


def _block_shape(graph: Graph, node: Node) -> tuple[int, int]:
    block = graph.constant(node, 1)
    if block is None or block.shape != (2,) or block.min() < 1:
        raise Malformed(f"the block shape of its operation {node.name!r} is no constant of rank 2")
    return int(block[0]), int(block[1])


def _block_pads(graph: Graph, node: Node) -> _Pads:
    """The padding of the convolution in a SpaceToBatchND, from what it pads at the top and left.

    At the bottom and right it pads some more, up to a whole block, which is cropped later. Where
    the image's size is not known TensorFlow computes its paddings from a constant, [2, 2].
    """
    paddings = _constant_upstream(graph, graph.input(node, 2))
    if paddings is None or paddings.min() < 0:
        raise Malformed(f"the paddings of its operation {node.name!r} come from no constant")
    top, left = (int(paddings[axis, 0]) for axis in range(2))
    return (top, top), (left, left)


def _constant_upstream(graph: Graph, node: Node | None) -> np.ndarray | None:
    """The only integer constant [2, 2] that `node` is computed from, sizes of images left out."""
    found, seen, stack = [], set(), [node]
    while stack and len(seen) < MAX_CHAIN:
        node = stack.pop()
        if node is None or node.name in seen or node.op == "Shape":
            continue
        seen.add(node.name)
        if node.op == "Const" and node.shape == (2, 2):
            found.append(node.tensor.small())
        stack += [graph.input(node, index) for index in range(len(node.inputs))]
    return found[0] if len(found) == 1 else None


def _channels(graph: Graph, links: Links, link: Link) -> int | None:
    """Channels of a tensor, from the filter of the convolution that made it."""
    for _ in range(MAX_CHAIN):
        if any(step.kind == "pad" for step in link.steps) or link.kind not in _KEEPING:
            return None
        if link.kind == "conv":
            weights = graph.parameter(graph.nodes[link.op], 1)
            shape = weights.shape if weights else None
            return shape[3] if shape and len(shape) == 4 else None
        last = len(graph.nodes[link.op].inputs) - 1  # of a sum: the residual
        link = links.before(graph.nodes[link.op], last if link.kind == "sum" else 0)
    return None


def _sum(one: _Pads, other: _Pads) -> _Pads:
    (a, b), (c, d) = np.add(one, other).tolist()
    return (a, b), (c, d)
