"""From the operations of a graph to layers, one by one; `patterns` then makes several into one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from converters.files.errors import Malformed
from converters.files.graphdef import VARIABLES, Graph, Node, Ref
from converters.graphs.building import Builder
from converters.graphs.drafts import CONSTANT, INPUT, VARIABLE, Value, ancestors
from converters.graphs.inference import BEFORE, LOOPS
from converters.graphs.layouts import TO_NHWC
from converters.graphs.operations import OPERATIONS, Operation
from converters.graphs.pipelines import (
    NUMBERS,
    PLACEHOLDERS,
    dtype_of,
    hands_over,
    is_shared_out,
    layout_of,
    shape_of,
)
from converters.graphs.rewriting import Rewriting, Step
from converters.graphs.variables import Variables

_T = TypeVar("_T")
_SEVERAL = 3  # operations that an error recommends
_DAMAGE = (IndexError, KeyError, OverflowError, TypeError, ValueError, ZeroDivisionError)


class Raising:
    """Raises what outputs need.

    Args:
        graph: the graph.
        ends: the tensors that are fed; without them placeholders, and what a pipeline hands over.

    Attributes:
        inputs: what turned out to be fed.
    """

    def __init__(self, graph: Graph, ends: frozenset[Ref] = frozenset()) -> None:
        self.builder = Builder(graph.nodes)
        self.rewriting = Rewriting(graph, ends)
        self.inputs: dict[Ref, Value] = {}
        self.notes: dict[str, None] = self.rewriting.notes
        self._graph = graph
        self._ends = ends
        self._variables = Variables(graph)
        self._values: dict[Ref, Value] = {}

    def raised(self, ref: Ref) -> Value:
        """The value of a tensor.

        Raises:
            Malformed: an operation that it needs is damaged, or not known here.
        """
        target = self._advised(self.rewriting.target, ref)
        stack: list[tuple[Ref, Step | None]] = [(target, None)]
        begun: set[Ref] = set()
        while stack:
            current, step = stack.pop()
            if current in self._values:
                continue
            if step is not None:
                self._raise(current, step, stack)
                continue
            leaf = self._leaf(current)
            if leaf is not None:
                self._values[current] = leaf
                continue
            if current in begun:
                raise Malformed(f"its operation {current[0]!r} reads itself")
            begun.add(current)
            step = self._advised(self.rewriting.step, current)
            stack.append((current, step))
            stack.extend((each, None) for each in reversed(step.inputs))
        return self._values[target]

    def _advised(self, look: Callable[[Ref], _T], ref: Ref) -> _T:
        """`look(ref)`; an error recommends outputs before it."""
        try:
            return look(ref)
        except Malformed as error:
            if not error.remedy.startswith(BEFORE):
                raise
            before = f"{BEFORE}, such as {', '.join(self._layers_before(ref[0]))}"
            raise Malformed(str(error), error.remedy.replace(BEFORE, before)) from error

    def _layers_before(self, name: str) -> list[str]:
        """The nearest operations upstream that a layer can be made of."""
        found, seen, queue = [], {name}, deque([name])
        while queue and len(found) < _SEVERAL:
            node = self._graph.nodes.get(queue.popleft())
            if node is None:
                continue
            shape = shape_of(self._graph, (node.name, 0))
            if node.name != name and node.op in OPERATIONS and shape and len(shape) > 1:
                found.append(node.name)
            queue.extend(each for each in node.inputs if each not in seen)
            seen.update(node.inputs)
        return found

    def _raise(self, ref: Ref, step: Step, stack: list[tuple[Ref, Step | None]]) -> None:
        """The layer of an operation whose inputs are raised; `stack` holds those that need it."""
        inputs = tuple(self._values[each] for each in step.inputs)
        handler = OPERATIONS.get(step.kind)
        if handler is None:
            needing = (each for each, waiting in reversed(stack) if waiting is not None)
            raise self._unknown(step, inputs, needing)
        name = step.node.name
        operation = Operation(
            step.node, name, inputs, self.builder, self.rewriting.averages.decay, step.rate
        )
        try:
            values = handler(operation)
        except _DAMAGE as error:
            raise Malformed(
                f"its operation {name!r} ({step.kind}) has impossible inputs ({error})"
            ) from error
        except Malformed as error:
            raise Malformed(str(error), self._advice(inputs)) from error
        for index, value in enumerate([values] if isinstance(values, Value) else values):
            self._values[name, index] = value
        if ref not in self._values:
            raise Malformed(f"the output {ref[1]} of its {step.kind} {name!r} is none of a layer's")

    def _unknown(self, step: Step, inputs: tuple[Value, ...], by: Iterable[Ref]) -> Malformed:
        text = f"its operation {step.node.name!r} is a {step.kind}, which no layer here does"
        if step.kind in LOOPS or step.kind.startswith("TensorArray"):
            text = f"its operation {step.node.name!r} ({step.kind}) belongs to a loop"
        nodes = self._graph.nodes
        images = (name for name, index in by if name in nodes and self._is_image((name, index)))
        image = next(images, None)
        after = f", or inputs after it, such as {image}" if image else ""
        return Malformed(text, self._advice(inputs) + after)

    def _is_image(self, ref: Ref) -> bool:
        return len(shape_of(self._graph, ref) or ()) == 4

    def _advice(self, inputs: Iterable[Value]) -> str:
        """What to do about an operation that cannot be raised."""
        found = []
        for draft in reversed(ancestors(inputs)):
            value = draft.value
            if draft.operations and value.rank > 1 and not value.static and not draft.is_shape:
                found.append(draft.name)
        if not found:
            return "choose outputs that do not need it"
        return f"choose outputs before it, such as {', '.join(found[:_SEVERAL])}"

    def _leaf(self, ref: Ref) -> Value | None:
        """The value of a tensor that is not computed from others."""
        if ref in self._ends:
            return self._input(ref)
        node = self.rewriting.view.node(ref[0])
        if node.op in VARIABLES:
            return self._variable(node)
        if node.op == "Const":
            return self._constant(node)
        flag = self.rewriting.view.flag(node)
        if flag is not None:
            dtype = node.dtype("dtype").replace("bfloat16", "float32")
            return self.builder.constant(node.name, np.array(flag, dtype))
        if node.op in PLACEHOLDERS:
            return self._input(ref)
        if node.name not in self._graph.nodes:
            return None
        if node.op not in OPERATIONS or is_shared_out(self._graph, node):
            return self._input(ref) if hands_over(self._graph, ref) else None
        return None

    def _variable(self, node: Node) -> Value:
        stored = self._variables.stored(node.name)
        return self.builder.leaf(
            node.name, VARIABLE, self._variables.shape(node), node.dtype("dtype"),
            read=stored.read, variables=(stored.name,),
            trainable=bool(self._variables.trainable(node.name)), is_whole=stored.region is None,
        )  # fmt: skip

    def _constant(self, node: Node) -> Value:
        tensor = node.tensor
        dtype = tensor.dtype.returned.name if tensor.dtype.readable else tensor.dtype.name
        dtype = dtype.replace("float16", "float32")
        return self.builder.leaf(
            node.name, CONSTANT, tensor.shape, dtype, read=lambda _: tensor.read().astype(dtype)
        )

    def _input(self, ref: Ref) -> Value:
        """The value of what is fed; its batch may be any."""
        shape = shape_of(self._graph, ref)
        if shape is None:
            shape = self._found_shape(ref)
        layout = layout_of(self._graph, ref) if len(shape) == 4 else "NHWC"
        sizes = [
            self.builder.atoms.size((ref, axis)) if size is None else size
            for axis, size in enumerate(shape)
        ]
        if len(shape) == 4 or (shape and shape[0] in (None, self.builder.batch[1])):
            batch, known = self.builder.batch
            sizes[0], self.builder.batch = batch, (batch, shape[0] or known)
        if layout == "NCHW":
            sizes = [sizes[axis] for axis in TO_NHWC]
        name = ref[0] if ref[1] == 0 else f"{ref[0]}:{ref[1]}"
        dtype = (dtype_of(self._graph, ref) or "float32").replace("bfloat16", "float32")
        if dtype not in NUMBERS:
            raise Malformed(f"its input {name!r} is fed with {dtype}s", "choose inputs after it")
        value = self.builder.leaf(name, INPUT, tuple(sizes), dtype, layout=layout)
        self.inputs[ref] = value
        return value

    def _found_shape(self, ref: Ref) -> tuple[int | None, ...]:
        """The shape of an input that the graph does not tell: as it is computed."""
        if ref in self._ends:
            try:
                value = Raising(self._graph, self._ends - {ref}).raised(ref)
            except Malformed:
                pass
            else:
                sizes = value.known_shape
                return sizes if value.layout == "NHWC" else tuple(sizes[i] for i in (0, 3, 1, 2))
        if any(reader.op == "Conv2D" for reader in self._graph.readers.get(ref[0], ())):
            return (None,) * 4
        raise Malformed(f"the shape of its input {ref[0]!r} is not known", "choose inputs after it")
