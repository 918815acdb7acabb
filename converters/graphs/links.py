"""What lies between the layers of a graph: biases, batch norms, activations, clipping, dropout.

Source: TensorFlow's `python/ops/nn_impl.py` (`batch_normalization`, `swish`), `nn_ops.py`
(`leaky_relu`, `dropout`) and `clip_ops.py` for the operations that its functions make.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from converters.files.graphdef import FORWARDING, MAX_CHAIN, VARIABLES, Graph, Node
from converters.graphs.facts import JoinFact, Link, Step
from slim_resnet.arch.parts import LEAKY_SLOPE, RELU, RELU6, Activation

FUSED = frozenset(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"))
ADDITIONS = frozenset(("Add", "AddV2"))
PADS = frozenset(("Pad", "PadV2"))
POOLS = frozenset(("MaxPool", "AvgPool"))

_THROUGH = FORWARDING | {
    "BatchToSpaceND",
    "CheckNumerics",
    "IdentityN",
    "PreventGradient",
}
_RESHAPES = frozenset(("Reshape", "Squeeze"))
_ACTIVATIONS = {
    "Relu": RELU,
    "Relu6": RELU6,
    "Elu": Activation("elu"),
    "Selu": Activation("selu"),
    "Sigmoid": Activation("sigmoid"),
    "Tanh": Activation("tanh"),
    "swish_f32": Activation("swish"),  # the function that TensorFlow 1.x makes of it
}
_KINDS = {
    "Conv2D": "conv",
    "Add": "sum",
    "AddV2": "sum",
    "AddN": "sum",
    "Concat": "concat",
    "ConcatV2": "concat",
    "MaxPool": "pool",
    "AvgPool": "pool",
    "Mean": "mean",
    "MatMul": "dense",
}
_WEIGHTED = ("conv", "dense")
_JOINS = ("sum", "concat", "mean", "dense")
_POSITIONS = ([1, 2], [2, 3])  # the axes of height and width
_LAYOUTS = ([0, 3, 1, 2], [0, 2, 3, 1])  # from NHWC to NCHW and back


class Links:
    """Reads `Link`s off a graph; each is followed once."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self._known: dict[str, Link] = {}

    def before(self, node: Node, index: int = 0) -> Link:
        """What an input of `node` comes from."""
        return self.behind(self.graph.input(node, index))

    def behind(self, node: Node | None) -> Link:
        """What the output of `node` comes from."""
        if node is None:
            return Link("other", "", "nothing")
        if node.name not in self._known:
            self._known[node.name] = self._follow(node)
        return self._known[node.name]

    def joins(self) -> Iterator[JoinFact]:
        """Sums and concatenations, means of all positions, dense layers, products with gates."""
        for node in self.graph:
            join = self._join(node) if _KINDS.get(node.op) in _JOINS else self._gate(node)
            if join:
                yield join

    def _join(self, node: Node) -> JoinFact | None:
        kind = _KINDS[node.op]
        if kind == "mean" and not self._is_of_positions(node):
            return None
        if kind in ("mean", "dense"):
            link = self.before(node)
            return JoinFact(node.name, kind, (link,), self._weights(node, kind))
        last = len(node.inputs) - (node.op == "ConcatV2")
        indices = range(node.op == "Concat", last)
        return JoinFact(node.name, kind, tuple(self.before(node, i) for i in indices))

    def _is_of_positions(self, node: Node) -> bool:
        axes = self.graph.constant(node, 1)
        return (
            axes is not None and sorted(axis % 4 for axis in np.ravel(axes).tolist()) in _POSITIONS
        )

    def _weights(self, node: Node, kind: str) -> str | None:
        if kind not in _WEIGHTED:
            return None
        through = FORWARDING | _RESHAPES if kind == "dense" else FORWARDING
        weights = self.graph.source(self.graph.input(node, 1), through)
        is_given = weights is not None and (weights.op == "Const" or weights.op in VARIABLES)
        return weights.name if is_given else None

    def _follow(self, node: Node) -> Link:
        steps: list[Step] = []
        for _ in range(MAX_CHAIN):
            passed = self._passed(node)
            if passed is None:
                break
            step, upstream = passed
            steps += [step] if step else []
            if upstream is None:
                break
            node = upstream
        kind = _KINDS.get(node.op, "other")
        if kind == "mean" and not self._is_of_positions(node):
            kind = "other"
        weights = self._weights(node, kind)
        return Link(kind, node.name, node.op, weights, tuple(reversed(steps)))

    def _passed(self, node: Node) -> tuple[Step | None, Node | None] | None:
        """What `node` does, and what it does it to; None if it is the end of the way."""
        graph = self.graph
        if node.op in _THROUGH:
            return None, graph.input(node, 0)
        if node.op in FUSED:
            return Step("norm", node.name), graph.input(node, 0)
        if node.op == "BiasAdd":
            return Step("bias", node.name), graph.input(node, 0)
        if node.op in PADS:
            return Step("pad", node.name), graph.input(node, 0)
        if node.op in _RESHAPES:
            return Step("reshape", node.name), graph.input(node, 0)
        if node.op == "Transpose":
            order = graph.constant(node, 1)
            is_layout = order is not None and order.tolist() in _LAYOUTS
            return (None, graph.input(node, 0)) if is_layout else None
        if "dropout" in node.name and node.op in ("Mul", "RealDiv"):
            return Step("dropout", node.name), graph.input(node, 0)
        if node.op in ADDITIONS:
            return self._norm(node) or self._added_bias(node)
        return self._activation(node) or self._bound(node) or self._gated(node)

    def _norm(self, node: Node) -> tuple[Step, Node | None] | None:
        """The sum that ends a batch norm that is not fused: x * (rsqrt * gamma) + offset."""
        for index in range(2):
            product = self._source(node, index)
            if product is None or product.op != "Mul":
                continue
            for factor in range(2):
                rsqrt = self._rsqrt(self._source(product, factor))
                if rsqrt:
                    return Step("norm", rsqrt.name), self.graph.input(product, 1 - factor)
        return None

    def _rsqrt(self, node: Node | None) -> Node | None:
        if node is None or node.op == "Rsqrt":
            return node
        factors = [self._source(node, i) for i in range(2)] if node.op == "Mul" else []
        return next((each for each in factors if each and each.op == "Rsqrt"), None)

    def _added_bias(self, node: Node) -> tuple[Step, Node | None] | None:
        for index in range(2):
            bias = self._source(node, index)
            is_given = bias is not None and (bias.op in VARIABLES or bias.op == "Const")
            if is_given and len(bias.shape or ()) == 1:
                return Step("bias", node.name), self.graph.input(node, 1 - index)
        return None

    def _activation(self, node: Node) -> tuple[Step, Node | None] | None:
        found, upstream = _ACTIVATIONS.get(node.op), self.graph.input(node, 0)
        if node.op == "LeakyRelu":
            found = Activation("leaky_relu", node.number("alpha", LEAKY_SLOPE))
        elif node.op == "Maximum":
            found, upstream = self._maximum(node)
        elif node.op == "Minimum":
            found, upstream = self._minimum(node)
        elif node.op == "Mul":
            found, upstream = self._swish(node)
        return (Step("activation", node.name, found), upstream) if found else None

    def _maximum(self, node: Node) -> tuple[Activation | None, Node | None]:
        """max(x, slope * x), as `leaky_relu` was once made, or max(x, 0)."""
        constant, upstream = self._with_constant(node)
        if constant == 0:
            return RELU, upstream
        for index in range(2):
            product, other = self._source(node, index), self._source(node, 1 - index)
            if product is None or product.op != "Mul":
                continue
            slope, upstream = self._with_constant(product)
            if slope is not None and 0 <= slope < 1 and self._is(upstream, other):
                return Activation("leaky_relu", slope), upstream
        return None, None

    def _minimum(self, node: Node) -> tuple[Activation | None, Node | None]:
        """min(relu(x), 6)."""
        constant, inner = self._with_constant(node)
        inner = self.graph.source(inner)
        if constant != 6 or inner is None:
            return None, None
        if inner.op == "Relu":
            return RELU6, self.graph.input(inner, 0)
        zero, upstream = self._with_constant(inner) if inner.op == "Maximum" else (None, None)
        return (RELU6, upstream) if zero == 0 else (None, None)

    def _swish(self, node: Node) -> tuple[Activation | None, Node | None]:
        """x * sigmoid(x)."""
        for index in range(2):
            gate = self._source(node, index)
            if gate and gate.op == "Sigmoid":
                upstream, inner = self.graph.input(node, 1 - index), self._source(gate, 0)
                if inner and inner.op == "Mul":  # by TensorFlow 2's beta
                    beta, scaled = self._with_constant(inner)
                    inner = scaled if beta == 1 else inner
                if self._is(upstream, inner):
                    return Activation("swish"), upstream
        return None, None

    def _gate(self, node: Node) -> JoinFact | None:
        """A product with a sigmoid that is no activation."""
        sides = self._gate_sides(node)
        if sides is None:
            return None
        return JoinFact(node.name, "gate", tuple(map(self.behind, sides)))

    def _gated(self, node: Node) -> tuple[Step, Node | None] | None:
        sides = self._gate_sides(node)
        return (Step("gate", node.name), sides[0]) if sides else None

    def _gate_sides(self, node: Node) -> tuple[Node | None, Node] | None:
        """What is multiplied, and the sigmoid."""
        if node.op != "Mul" or self._activation(node):
            return None
        for index in range(2):
            gate = self._source(node, index)
            if gate and gate.op == "Sigmoid":
                return self.graph.input(node, 1 - index), gate
        return None

    def _bound(self, node: Node) -> tuple[Step, Node | None] | None:
        """`clip_by_value`: max(min(x, b), -b), or the other way round."""
        low, inner = self._with_constant(node) if node.op in ("Maximum", "Minimum") else (0, None)
        inner = self.graph.source(inner)
        if not low or inner is None or {node.op, inner.op} != {"Maximum", "Minimum"}:
            return None
        high, upstream = self._with_constant(inner)
        return (Step("bound", node.name, abs(low)), upstream) if high == -low else None

    def _with_constant(self, node: Node) -> tuple[float | None, Node | None]:
        """The scalar constant that `node` computes with, and its other input."""
        for index in range(2):
            source = self._source(node, index)
            if source and source.op == "Const" and math.prod(source.shape) == 1:
                value = self.graph.constant(node, index)
                if value is not None:
                    return float(str(value.ravel()[0])), self.graph.input(node, 1 - index)
        return None, None

    def _source(self, node: Node, index: int) -> Node | None:
        return self.graph.source(self.graph.input(node, index))

    def _is(self, one: Node | None, other: Node | None) -> bool:
        return one is not None and self.graph.source(one) is self.graph.source(other)
