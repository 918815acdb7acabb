"""A TensorFlow graph as it lies in a file: nodes, their attributes, and who reads whom.

Source: TensorFlow's `core/framework/graph.proto`, `node_def.proto`, `attr_value.proto`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from converters.files.errors import Malformed
from converters.files.shapes import Shape, parse_shape
from converters.files.tensors import Tensor, parse_tensor
from converters.files.wire import Buffer, Message, read_varints

# Operations that hand on their first input, as far as a variable's name is concerned.
FORWARDING = frozenset(
    ("Identity", "ReadVariableOp", "Switch", "Merge", "Enter", "StopGradient", "Snapshot", "Cast")
)
VARIABLES = frozenset(("VariableV2", "Variable", "VarHandleOp"))
MAX_CHAIN = 64  # nodes to follow upstream; in a damaged file they may be a ring


@dataclass(frozen=True)
class Node:
    """A NodeDef; its attributes (AttrValue) are decoded when asked for.

    Attributes:
        name: the operation's name.
        op: the kind of operation, e.g. "Conv2D".
        inputs: the names of the nodes it reads, in order, control inputs left out.
        attributes: name of an attribute -> AttrValue.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, Buffer]

    def text(self, name: str, default: str) -> str:
        """A string attribute, e.g. `padding`."""
        return self._attribute(name).string(2) if name in self.attributes else default

    def number(self, name: str, default: float) -> float:
        """A float attribute, as the shortest decimal that is the same float32."""
        if name not in self.attributes:
            return default
        bits = np.uint32(self._attribute(name).unsigned(4) & 0xFFFFFFFF)
        return float(str(bits.view(np.float32)))

    def integers(self, name: str) -> tuple[int, ...]:
        """A list(int) attribute, e.g. `strides`; () where it is absent."""
        packed = b"".join(self._attribute(name).message(1).buffers(3))
        return tuple(read_varints(packed).view(np.int64).tolist())

    def spatial(self, name: str) -> tuple[int, int]:
        """A list(int) attribute with an entry an axis: those of height and width.

        An absent one is (1, 1), as `dilations` is in graphs of old.
        """
        values = self.integers(name) or (1,) * 4
        if len(values) != 4 or min(values) < 1:
            raise Malformed(f"the attribute {name} of its operation {self.name!r} is no rank-4 one")
        height, width = self.spatial_axes
        return values[height], values[width]

    @property
    def spatial_axes(self) -> tuple[int, int]:
        """The axes of height and width."""
        data_format = self.text("data_format", "NHWC")
        if data_format not in ("NHWC", "NCHW"):
            raise Malformed(f"its operation {self.name!r} has the unknown layout {data_format!r}")
        return data_format.index("H"), data_format.index("W")

    @cached_property
    def tensor(self) -> Tensor:
        """The value of a Const."""
        return parse_tensor(self._attribute("value").message(8))

    @property
    def shape(self) -> Shape | None:
        """The shape of a variable or constant; None for any other node."""
        if self.op == "Const":
            return self.tensor.shape
        return parse_shape(self._attribute("shape").message(7)) if self.op in VARIABLES else None

    def _attribute(self, name: str) -> Message:
        return Message(self.attributes.get(name, b""))


class Graph:
    """The nodes of a GraphDef by name, in the order of the file.

    Args:
        path: the file it came from, for errors.
        data: the serialized GraphDef; constants stay views of it.

    Raises:
        Malformed: it is no such message, or two nodes have one name.
    """

    def __init__(self, path: str, data: Buffer) -> None:
        self.path = path
        definition = Message(data)
        self.has_functions = 1 in definition.message(2)
        self.nodes: dict[str, Node] = {}
        for buffer in definition.buffers(1):
            node = _parse_node(Message(buffer))
            if not node.name or not node.op or node.name in self.nodes:
                raise Malformed(f"its operation {node.name!r} lacks a name or kind, or is twice")
            self.nodes[node.name] = node

    def __repr__(self) -> str:
        return f"<Graph {self.path!r}: {len(self.nodes)} nodes>"

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    @cached_property
    def readers(self) -> dict[str, list[Node]]:
        """Name of a node -> the nodes that read it."""
        readers: dict[str, list[Node]] = {}
        for node in self:
            for name in node.inputs:
                readers.setdefault(name, []).append(node)
        return readers

    def input(self, node: Node, index: int) -> Node | None:
        """The node behind an input of `node`, None where there is none."""
        return self.nodes.get(node.inputs[index]) if index < len(node.inputs) else None

    def source(self, node: Node | None, through: Collection[str] = FORWARDING) -> Node | None:
        """The first node upstream, `node` included, whose operation is not one of `through`."""
        for _ in range(MAX_CHAIN):
            if node is None or node.op not in through:
                return node
            node = self.input(node, 0)
        return None

    def parameter(self, node: Node, index: int) -> Node | None:
        """The variable or constant that an input of `node` reads, None where it is computed."""
        source = self.source(self.input(node, index))
        return source if source and (source.op == "Const" or source.op in VARIABLES) else None

    def constant(self, node: Node, index: int) -> np.ndarray | None:
        """The value of a small constant input of `node`, None where it is computed."""
        source = self.source(self.input(node, index))
        if source is None or source.op != "Const":
            return None
        value = source.tensor.small()
        return value if value.dtype.kind in "iuf" else None


def _parse_node(message: Message) -> Node:
    inputs = (str(buffer, "utf-8", "replace") for buffer in message.buffers(3))
    return Node(
        name=message.string(1),
        op=message.string(2),
        inputs=tuple(text.partition(":")[0] for text in inputs if not text.startswith("^")),
        attributes={a.string(1): a.buffers(2)[-1] for a in message.messages(5) if 2 in a},
    )
