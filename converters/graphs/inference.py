"""The graph as inference runs it: what only training or TensorFlow's runtime needs is passed by.

`tf.cond` is decided where its predicate is known: constants, and the placeholders that tell
training from inference. Sources: TensorFlow's `python/ops/control_flow_ops.py`, `cond_v2.py`, and
the executor's rule of dead tensors (`core/common_runtime/executor.cc`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from converters.files.errors import Malformed
from converters.files.graphdef import Graph, Node, Ref
from converters.graphs.functions import CALLS, CHOICES, MAX_INLINED, MAX_NAME, inline

SWITCHES = frozenset(("Switch", "RefSwitch"))
MERGES = frozenset(("Merge", "RefMerge"))
LOOPS = frozenset(
    ("Enter", "RefEnter", "Exit", "RefExit", "NextIteration", "RefNextIteration", "LoopCond",
     "While", "StatelessWhile")
)  # fmt: skip
FAKE_QUANTIZATION = frozenset(
    ("FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel",
     "QuantizeAndDequantize", "QuantizeAndDequantizeV2", "QuantizeAndDequantizeV3")
)  # fmt: skip
# Output i is input i.
_IDENTITIES = frozenset(("Identity", "IdentityN", "RefIdentity"))
_FIRST = FAKE_QUANTIZATION | {
    "StopGradient", "PreventGradient", "CheckNumerics", "CheckNumericsV2", "Print", "Snapshot",
    "ReadVariableOp", "EnsureShape", "DebugGradientIdentity", "Copy", "CopyHost",
}  # fmt: skip
_FLAGS = {
    **dict.fromkeys(("float16", "float32", "float64", "bfloat16"), float),
    **dict.fromkeys(("int32", "int64", "uint8", "int8"), int),
}
BEFORE = "choose outputs before it"  # a remedy, to which operations are added
_RUN = -1  # in the place of an output: that the operation runs at all
_MAX_DEPTH = 200  # of the arithmetic on scalars that is followed
_SCALARS = {
    "LogicalNot": np.logical_not, "LogicalAnd": np.logical_and, "LogicalOr": np.logical_or,
    "Equal": np.equal, "NotEqual": np.not_equal, "Greater": np.greater, "Less": np.less,
    "GreaterEqual": np.greater_equal, "LessEqual": np.less_equal, "Add": np.add, "AddV2": np.add,
    "Sub": np.subtract, "Mul": np.multiply, "RealDiv": np.true_divide, "Div": np.true_divide,
    "Maximum": np.maximum, "Minimum": np.minimum, "Neg": np.negative, "Pow": np.power,
    "Reciprocal": lambda x: 1 / x, "Sqrt": np.sqrt, "Rsqrt": lambda x: 1 / np.sqrt(x),
    "Square": np.square, "Select": np.where, "SelectV2": np.where, "Squeeze": lambda x: x,
}  # fmt: skip


class Inference:
    """Looks through a graph, decided for inference (or for training, to compare).

    Args:
        graph: the graph.
        ends: the tensors that are fed; nothing before them is looked at.
        training: decide for training.

    Attributes:
        nodes: those of the graph, and those of functions that it calls.
        passed: the operations passed by so far that change what is computed (fake quantization).
    """

    def __init__(self, graph: Graph, ends: frozenset[Ref] = frozenset(), training: bool = False):
        self.graph = graph
        self.ends = ends
        self.training = training
        self.nodes: dict[str, Node] = dict(graph.nodes)
        self.passed: dict[str, Node] = {}
        self._resolved: dict[Ref, Ref] = {}
        self._refused: dict[Ref, Malformed] = {}
        self._scalars: dict[Ref, np.ndarray | None] = {}
        self._dead: dict[Ref, bool] = {}
        self._results: dict[str, list[Ref]] = {}
        self._flags: dict[str, bool | int | float] = {}

    @property
    def flags(self) -> Mapping[str, bool | int | float]:
        """The placeholders that were decided upon, and what they are taken to be."""
        return self._flags

    def node(self, name: str) -> Node:
        """The node of a name.

        Raises:
            Malformed: there is none.
        """
        node = self.nodes.get(name)
        if node is None:
            raise Malformed(f"its graph reads {name!r}, which is not in it")
        return node

    def operand(self, node: Node, index: int) -> Ref | None:
        """What an operation really reads; None if it has no such input."""
        return self.resolve(node.operands[index]) if index < len(node.operands) else None

    def resolve(self, ref: Ref) -> Ref:
        """The tensor that `ref` hands on at inference: `ref` itself if it computes something.

        Raises:
            Malformed: it hands on a tensor that is not there, or itself.
        """
        chain: list[Ref] = []
        try:
            while ref not in self._resolved and ref not in self.ends:
                if ref in self._refused:
                    raise self._refused[ref]
                chain.append(ref)
                if len(chain) > len(self.nodes) + 1:
                    raise Malformed(f"its operation {ref[0]!r} reads itself")
                following = self.behind(ref)
                if following is None:
                    break
                ref = following
        except Malformed as error:  # those who ask again are not to walk all the way again
            self._refused.update(dict.fromkeys(chain, error))
            raise
        target = self._resolved.get(ref, ref)
        self._resolved.update(dict.fromkeys(chain, target))
        return target

    def behind(self, ref: Ref) -> Ref | None:
        """The tensor right behind one that is handed on, None where something is computed."""
        node = self.node(ref[0])
        if node.op in _IDENTITIES or node.op in SWITCHES or node.op in _FIRST:
            index = ref[1] if node.op in _IDENTITIES else 0
            if index >= len(node.operands):
                raise Malformed(f"its operation {node.name!r} has no input {index}")
            if node.op in FAKE_QUANTIZATION:
                self.passed[node.name] = node
            return node.operands[index]
        if node.op == "PlaceholderWithDefault" and node.operands and self.flag(node) is None:
            default = node.operands[0]
            return None if self.node(self.resolve(default)[0]).op == "Const" else default
        if node.op in MERGES and ref[1] == 0:
            return self._live(node)
        if node.op in CALLS or node.op in CHOICES or node.op in self.graph.functions:
            results = self._inlined(node)
            if ref[1] >= len(results):
                raise Malformed(f"its operation {node.name!r} has no output {ref[1]}")
            return results[ref[1]]
        return None

    def flag(self, node: Node) -> bool | int | float | None:
        """The value of a placeholder that tells training from inference, None for any other.

        Booleans and whole scalars are is_training or Keras' learning phase, fractions the share
        that a dropout keeps.
        """
        if node.name in self._flags:
            return self._flags[node.name]
        if node.op not in ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault"):
            return None
        if (node.name, 0) in self.ends:
            return None
        dtype = node.dtype("dtype", "")
        shape = node.partial_shape("shape")
        if dtype == "bool" and (shape is None or None not in shape and math.prod(shape) == 1):
            value = self.training
        elif shape != () or dtype not in _FLAGS:
            return None
        elif node.op == "PlaceholderWithDefault":
            default = self.scalar(node.operands[0]) if node.operands else None
            value = None if default is None else default.item()
        elif _FLAGS[dtype] is int:
            value = int(self.training)
        else:
            value = None if self.training else 1.0
        if value is not None:
            self._flags[node.name] = value
        return value

    def scalar(self, ref: Ref, depth: int = 0) -> np.ndarray | None:
        """The value of a scalar that depends on constants and flags alone; None for any other."""
        ref = self.resolve(ref)
        if ref in self._scalars or depth > _MAX_DEPTH:
            return self._scalars.get(ref)
        self._scalars[ref] = None  # while it is computed: it cannot depend on itself
        self._scalars[ref] = value = self._scalar(self.node(ref[0]), depth)
        return value

    def _scalar(self, node: Node, depth: int) -> np.ndarray | None:
        if node.op == "Const":
            tensor = node.tensor
            is_scalar = math.prod(tensor.shape) == 1 and tensor.dtype.readable
            return tensor.read().reshape(()) if is_scalar else None
        flag = self.flag(node)
        if flag is not None:
            return np.asarray(flag, node.dtype("dtype").replace("bfloat16", "float32"))
        if node.op != "Cast" and node.op not in _SCALARS:
            return None
        values = [self.scalar(ref, depth + 1) for ref in node.operands]
        if not values or any(value is None for value in values):
            return None
        if node.op == "Cast":
            return values[0].astype(node.dtype("DstT").replace("bfloat16", "float32"))
        with np.errstate(all="ignore"):
            try:
                return np.asarray(_SCALARS[node.op](*values))
            except (TypeError, ValueError):
                raise Malformed(f"its operation {node.name!r} cannot be computed") from None

    def _live(self, merge: Node) -> Ref:
        """The input of a Merge that is computed."""
        live = [ref for ref in merge.operands if not self._is_dead(ref)]
        if len(live) == 1:
            return live[0]
        if any(self.node(name).op in LOOPS for name, _ in merge.operands):
            raise Malformed(
                f"its operation {merge.name!r} ({merge.op}) belongs to a loop (tf.while_loop)",
                BEFORE,
            )
        raise Malformed(
            f"which branch of its tf.cond {merge.name!r} is taken depends on what is computed",
            f"{BEFORE}, or freeze the graph that inference runs",
        )

    def _is_dead(self, ref: Ref) -> bool:
        """Whether a tensor is on a branch that is not taken."""
        stack = [(self._key(ref), False)]
        while stack:
            key, ready = stack.pop()
            if ready:
                self._dead[key] = self._dies(key)
            elif key not in self._dead:
                self._dead[key] = False  # while it is looked at: a loop does not make it dead
                stack.append((key, True))
                stack.extend((each, False) for each in self._waits_for(key))
        return self._dead[self._key(ref)]

    def _key(self, ref: Ref) -> Ref:
        """The output that lives or dies by itself: that of a Switch, else the first."""
        is_switch = self.node(ref[0]).op in SWITCHES and ref not in self.ends
        return ref if is_switch else (ref[0], 0)

    def _waits_for(self, key: Ref) -> list[Ref]:
        """The tensors that an output dies with."""
        if key in self.ends:
            return []
        node = self.node(key[0])
        controls = [(name, _RUN) for name in node.controls]
        return [self._key(ref) for ref in (*node.operands, *controls)]

    def _dies(self, key: Ref) -> bool:
        node = self.node(key[0])
        dead = [self._dead[each] for each in self._waits_for(key)]
        if node.op in MERGES:
            return bool(dead) and all(dead[: len(node.operands)])
        if any(dead):
            return True
        if node.op not in SWITCHES or key in self.ends or key[1] == _RUN:
            return False
        taken = self.scalar(node.operands[1]) if len(node.operands) > 1 else None
        return taken is not None and bool(taken) != bool(key[1])

    def _inlined(self, call: Node) -> list[Ref]:
        """What the outputs of a function call are, its nodes put into the graph."""
        if call.name in self._results:
            return self._results[call.name]
        name, arguments = self._callee(call), call.operands
        if call.op in CHOICES:
            arguments = arguments[1:]
        function = self.graph.functions.get(name)
        if function is None:
            raise Malformed(f"its operation {call.name!r} calls {name!r}, which is not in it")
        nodes, results = inline(call, function, arguments)
        inlined = len(self.nodes) + len(nodes) - len(self.graph.nodes)
        if inlined > MAX_INLINED or len(call.name) > MAX_NAME:
            raise Malformed(f"its operation {call.name!r} calls functions without end")
        self.nodes.update((node.name, node) for node in nodes)
        self._results[call.name] = results
        return results

    def _callee(self, call: Node) -> str:
        """The name of the function that a call runs."""
        if call.op in CALLS:
            return call.function("f")
        if call.op not in CHOICES:
            return call.op
        taken = self.scalar(call.operands[0]) if call.operands else None
        if taken is None:
            raise Malformed(
                f"which branch of its tf.cond {call.name!r} is taken depends on what is computed",
                f"{BEFORE}, or freeze the graph that inference runs",
            )
        return call.function("then_branch" if taken else "else_branch")
