"""The outputs that a graph seems to be for, where nobody says.

They are what depends on weights and on the image alone, and on which nothing else of that kind
depends. What depends on labels as well is a loss or a metric; what sums over the batch is a
statistic; what only moves variables, or leads to a gradient, is training.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from converters.files.graphdef import VARIABLES, Graph, Node, Ref
from converters.graphs.inference import FAKE_QUANTIZATION
from converters.graphs.pipelines import DEQUEUES, ITERATORS, PLACEHOLDERS, dtype_of, shape_of

_WEIGHTED = frozenset(
    ("Conv2D", "DepthwiseConv2dNative", "MatMul", "Conv2DBackpropInput", "Conv3D")
)
_TRAINING = re.compile(
    r".*(Grad|GradV\d|BackpropFilter|BackpropFilterV\d|Summary|SummaryV\d)"
    r"|(Resource|Sparse)*Apply.*|Assign.*|Save.*|Restore.*|Assert|NoOp|.*Enqueue.*|ScatterNd.*"
    r"|IsVariableInitialized|VarIsInitializedOp|BroadcastGradientArgs"
)
_GRADIENTS = re.compile(r"(^|/)gradients(_\d+)?/")
_SIZES = frozenset(("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"))
_PASSED = frozenset(("Switch", "RefSwitch", "Enter", "Exit", "NextIteration", "LoopCond"))
_REDUCTIONS = frozenset(("Mean", "Sum", "Max", "Min", "Prod", "Any", "All", "L2Loss"))
# What may come last, behind what others may want.
_LAST = frozenset(
    ("Softmax", "Sigmoid", "LogSoftmax", "ArgMax", "Tanh", "Reshape", "Identity", "Squeeze")
)
_CLOSED = VARIABLES | PLACEHOLDERS | {"Const"}  # leaves that are no pipeline
_LEFT_OVER = frozenset(
    ("Mean", "SquaredDifference", "BiasAdd", "Conv2D", "FusedBatchNorm", "FusedBatchNormV2",
     "FusedBatchNormV3")
)  # fmt: skip
# What Python makes without being asked for a name: the copies of tf.nn.swish, parts that a loss
# compares.
_UNNAMED = re.compile(r"(.*/)?(Identity|strided_slice)(_\d+)?")
_PROBABILITIES = frozenset(("Softmax", "Sigmoid", "LogSoftmax"))
_RESHAPING = frozenset(("Reshape", "Identity", "Cast", "StopGradient", "Slice"))
_MAX_CHAIN = 16
_MAX_SEEN = 64  # nodes of a loss
_PIPELINE = ("", 0)  # stands for any source that is not to be seen
_LAYERS = frozenset(
    ("BiasAdd", "Conv2D", "MatMul", "Relu", "Relu6", "Elu", "LeakyRelu", "Tanh", "Sigmoid",
     "Softmax", "Add", "AddV2", "ResizeBilinear", "DepthToSpace", "FusedBatchNorm",
     "FusedBatchNormV3", "Reshape", "Squeeze")
)  # fmt: skip


@dataclass(frozen=True)
class Guess:
    """The outputs of a graph: those taken, and others that may be meant.

    `towers`: whether among those are outputs of further towers, which share weights.
    """

    outputs: tuple[str, ...]
    others: tuple[str, ...]
    towers: bool = False


def guess_outputs(graph: Graph, inputs: tuple[Ref, ...] = ()) -> Guess:
    """What the graph seems to be for.

    Args:
        graph: the graph.
        inputs: what is fed, if somebody said so.

    Returns:
        Names of operations; none where no layer depends on an image.
    """
    search = _Search(graph, inputs)
    found = search.ends()
    variables = {name: search.variables[name] for name in found}
    used = [
        name
        for name in found
        if not _is_left_over(graph.nodes[name], variables) and not search.is_passed_by(name)
    ]
    used = used or found
    chosen: dict[tuple, str] = {}
    for name in used:  # of those that do the same with the same variables (towers), the first
        key = (graph.nodes[name].op, variables[name] or name)
        chosen.setdefault(key, name)
    taken = tuple(chosen.values())
    before = (_before(graph, name) for name in taken if graph.nodes[name].op in _LAST)
    others = dict.fromkeys((*(name for name in before if name), *used, *found))
    others = tuple(name for name in others if name not in taken)
    return Guess(taken, others, towers=len(taken) < len(used))


def _is_left_over(node: Node, variables: dict[str, int]) -> bool:
    """Whether an end is a layer that something went round: another has its weights, and more."""
    own = variables[node.name]
    return node.op in _LEFT_OVER and any(
        own != other and own | other == other for other in variables.values()
    )


def _before(graph: Graph, name: str) -> str | None:
    """What an activation is of: logits, where it makes probabilities."""
    node = graph.nodes[name]
    for _ in range(_MAX_CHAIN):
        if node is None or node.op not in _LAST:
            break
        node = graph.input(node, 0)
    return None if node is None else node.name


class _Search:
    """Tells what each operation depends on: a bit for every source, and one for weights."""

    def __init__(self, graph: Graph, inputs: tuple[Ref, ...]) -> None:
        self._graph = graph
        self._inputs = frozenset(name for name, _ in inputs)
        self.variables: dict[str, int] = {}  # a bit for every variable that a node depends on
        self._places = itertools.count()
        self._bits: dict[Ref, int] = {}
        self._masks: dict[str, int] = {}
        self._weighted: set[str] = set()
        # What comes from a pipeline without placeholder, iterator or queue that would be a source.
        self._open: set[str] = set()
        self._training: set[str] = set()

    def ends(self) -> list[str]:
        """The operations that seem to be outputs, in the order of the graph."""
        for node in self._order:
            self._look_at(node)
        image = self._image
        inside = {
            name
            for name in self._weighted
            if name not in self._training and (self._masks[name] & ~self._vague) | image == image
        }
        statistics = self._statistics(inside)
        ends = [name for name in self._graph.nodes if self._is_end(name, inside, statistics)]
        ends = dict.fromkeys(self._before_loss(name, inside) for name in ends)
        return list(ends) or self._last_layers(inside)

    def is_passed_by(self, name: str) -> bool:
        """Whether an end is an unnamed copy, or part, of a value that others go on with."""
        source: str | None = name
        for _ in range(_MAX_CHAIN):
            if source not in self._graph.nodes or not _UNNAMED.fullmatch(source):
                break
            source = next(iter(self._graph.nodes[source].inputs), None)
        if source in (None, name):
            return False
        others = (each.name for each in self._graph.readers.get(source, ()))
        used = self._weighted - self._training
        return any(other in used and not _UNNAMED.fullmatch(other) for other in others)

    @cached_property
    def _order(self) -> list[Node]:
        """The nodes, each after those that it reads (loops broken)."""
        nodes = self._graph.nodes
        order, done = [], set()
        for start in nodes:
            stack = [(start, False)]
            while stack:
                name, ready = stack.pop()
                if ready:
                    order.append(nodes[name])
                elif name in nodes and name not in done:
                    done.add(name)
                    stack.append((name, True))
                    stack.extend((each, False) for each in nodes[name].inputs)
        return order

    def _look_at(self, node: Node) -> None:
        """Notes what a node depends on."""
        self.variables[node.name] = 1 << next(self._places) if node.op in VARIABLES else 0
        for name in node.inputs:
            self.variables[node.name] |= self.variables.get(name, 0)
        mask = 0
        if node.name not in self._inputs and node.op not in _SIZES:
            for ref in node.operands:
                mask |= self._mask(ref)
            if any(name in self._weighted for name in node.inputs):
                self._weighted.add(node.name)
        reads = node.inputs[:1] if node.op in FAKE_QUANTIZATION else node.inputs
        if any(name in self._training for name in reads) or self._trains(node):
            self._training.add(node.name)
        self._masks[node.name] = mask
        is_open = not node.inputs and node.op not in _CLOSED
        if is_open or any(name in self._open for name in node.inputs):
            self._open.add(node.name)
        if node.op in _WEIGHTED and node.name not in self._training:
            self._weighted.add(node.name)
            if not mask and node.name in self._open:
                self._masks[node.name] = self._bits.setdefault(_PIPELINE, 1 << len(self._bits))

    def _mask(self, ref: Ref) -> int:
        node = self._graph.nodes.get(ref[0])
        if node is None:
            return 0
        is_source = node.op in PLACEHOLDERS or node.op in ITERATORS or node.op in DEQUEUES
        if ref[0] not in self._inputs and not is_source:
            return self._masks.get(ref[0], 0)
        if self._is_flag(node):
            return 0
        return self._bits.setdefault(ref, 1 << len(self._bits))

    def _is_flag(self, node: Node) -> bool:
        """Whether a placeholder is a scalar, such as is_training."""
        if node.op not in PLACEHOLDERS or node.name in self._inputs:
            return False
        return node.partial_shape("shape") == () or node.dtype("dtype", "") == "bool"

    def _trains(self, node: Node) -> bool:
        return bool(_TRAINING.fullmatch(node.op) or _GRADIENTS.search(node.name))

    @cached_property
    def _image(self) -> int:
        """The sources that the first layers with weights read: not labels."""
        masks = {
            self._masks[node.name]
            for node in self._order
            if node.op in _WEIGHTED and self._masks[node.name] and node.name not in self._training
        }
        least = [m for m in masks if not any(other != m and other & m == other for other in masks)]
        image = 0
        for mask in least:
            image |= mask
        return image

    @cached_property
    def _vague(self) -> int:
        """The sources that may be scalars, such as a dropout's keep_prob: of no known shape."""
        nodes = {ref: self._graph.nodes.get(ref[0]) for ref in self._bits}
        vague = 0
        for ref, node in nodes.items():
            if node is not None and node.op in PLACEHOLDERS:
                is_number = node.dtype("dtype", "").startswith("float")
                if is_number and node.partial_shape("shape") is None:
                    vague |= self._bits[ref]
        return vague & ~self._image

    def _statistics(self, inside: set[str]) -> set[str]:
        """What sums over the batch, and what leads to nothing else."""
        found: set[str] = set()
        for node in reversed(self._order):
            if node.name not in inside:
                continue
            readers = self._graph.readers.get(node.name, ())
            within = [r.name for r in readers if r.name in inside]
            leaves = self._leaves(node.name, inside)
            moves = readers and all(r.op.startswith("Assign") for r in readers)
            if (
                self._is_total(node)
                or moves
                or within
                and not leaves
                and all(name in found for name in within)
            ):
                found.add(node.name)
        return found

    def _is_loss(self, node: Node, inside: set[str]) -> bool:
        """Whether a reader depends on labels as well."""
        if node.name in inside or node.name in self._training or node.op in _SIZES:
            return False
        return bool(self._masks.get(node.name, 0) & ~self._vague)

    def _is_total(self, node: Node) -> bool:
        """Whether an operation makes one number of a batch, or reduces over the batch."""
        shape = shape_of(self._graph, (node.name, 0))
        if shape is not None and not shape:
            return True
        if node.op not in _REDUCTIONS:
            return False
        if node.op == "L2Loss":
            return True
        source = self._graph.source(self._graph.input(node, 1))
        if source is None or source.op != "Const" or len(source.shape or ()) > 1:
            return False
        return 0 in source.tensor.small().ravel().tolist()

    def _is_end(self, name: str, inside: set[str], statistics: set[str]) -> bool:
        node = self._graph.nodes[name]
        if name not in inside or name in statistics or node.op in _PASSED:
            return False
        if dtype_of(self._graph, (name, 0)) in ("string", "resource", "variant"):
            return False
        readers = self._graph.readers.get(name, ())
        return not any(
            reader.name in inside and reader.name not in statistics for reader in readers
        )

    def _before_loss(self, name: str, inside: set[str]) -> str:
        """An end that only a loss reads, before what belongs to the loss: reshapes, a part of it.

        That is the first value, without weights after it, which the loss reads as well.
        """
        if not self._leaves(name, inside):
            return name
        found, seen, stack = name, {name}, [name]
        while stack:
            node = self._graph.nodes[stack.pop()]
            if node.op in _PROBABILITIES:
                found = node.name
                break
            if node.op in _WEIGHTED or node.op == "BiasAdd":
                continue
            for each in node.inputs:
                if each in inside and each not in seen and len(seen) < _MAX_SEEN:
                    seen.add(each)
                    stack.append(each)
                    if self._leaves(each, inside):
                        found = each
        node = self._graph.nodes[found]
        while node.op in _RESHAPING and node.inputs and node.inputs[0] in inside:
            node = self._graph.nodes[node.inputs[0]]
        return node.name

    def _leaves(self, name: str, inside: set[str]) -> bool:
        """Whether a loss reads an operation."""
        return any(self._is_loss(each, inside) for each in self._graph.readers.get(name, ()))

    def _last_layers(self, inside: set[str]) -> list[str]:
        """The last layer, where everything ends in statistics (an autoencoder's loss)."""
        layers: Iterator[str] = (
            node.name for node in reversed(self._order)
            if node.name in inside and node.op in _LAYERS and not self._is_total(node)
        )  # fmt: skip
        last = next(layers, None)
        return [] if last is None else [last]
