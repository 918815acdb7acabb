"""A TensorFlow graph as it lies in a file: nodes, their attributes, and who reads whom.

Source: TensorFlow's `core/framework/graph.proto`, `node_def.proto`, `attr_value.proto` and
`function.proto`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property

import numpy as np

from converters.files.dtypes import dtype_of
from converters.files.errors import Malformed
from converters.files.metagraph import MetaGraph
from converters.files.shapes import Shape, parse_shape
from converters.files.tensors import PartialShape, Tensor, parse_partial_shape, parse_tensor
from converters.files.wire import Buffer, Message, read_varints

# Operations that hand on their first input, as far as a variable's name is concerned.
FORWARDING = frozenset(
    ("Identity", "ReadVariableOp", "Switch", "Merge", "Enter", "StopGradient", "Snapshot", "Cast")
)
VARIABLES = frozenset(("VariableV2", "Variable", "VarHandleOp"))
FUSED_EPSILON = 1e-4  # the default of FusedBatchNorm, which strip_default_attrs leaves out
MAX_CHAIN = 64  # nodes to follow upstream; in a damaged file they may be a ring

Ref = tuple[str, int]  # an output of an operation


class Node:
    """A NodeDef; its inputs and attributes (AttrValue) are decoded when asked for.

    Args:
        message: the NodeDef.

    Attributes:
        name: the operation's name.
        op: the kind of operation, e.g. "Conv2D".
    """

    def __init__(self, message: Message) -> None:
        self._message = message
        self.name = message.string(1)
        self.op = message.string(2)

    def __repr__(self) -> str:
        return f"<Node {self.name!r}: {self.op}>"

    @cached_property
    def input_texts(self) -> tuple[str, ...]:
        """Its inputs as they are written: "NAME", "NAME:1", "^NAME"; functions have others."""
        return tuple(str(buffer, "utf-8", "replace") for buffer in self._message.buffers(3))

    @cached_property
    def operands(self) -> tuple[Ref, ...]:
        """What it reads, in order: (name of an operation, index of its output)."""
        return tuple(parse_ref(text) for text in self.input_texts if not text.startswith("^"))

    @cached_property
    def controls(self) -> tuple[str, ...]:
        """The operations that have to run before it."""
        return tuple(text[1:] for text in self.input_texts if text.startswith("^"))

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The names of the nodes it reads, in order, control inputs left out."""
        return tuple(name for name, _ in self.operands)

    @cached_property
    def attributes(self) -> dict[str, Buffer]:
        """Name of an attribute -> AttrValue."""
        entries = self._message.messages(5)
        return {each.string(1): each.buffers(2)[-1] for each in entries if 2 in each}

    def text(self, name: str, default: str) -> str:
        """A string attribute, e.g. `padding`."""
        return self._attribute(name).string(2) if name in self.attributes else default

    def number(self, name: str, default: float) -> float:
        """A float attribute, as the shortest decimal that is the same float32."""
        if name not in self.attributes:
            return default
        bits = np.uint32(self._attribute(name).unsigned(4) & 0xFFFFFFFF)
        return float(str(bits.view(np.float32)))

    def integer(self, name: str, default: int) -> int:
        """An int attribute, e.g. `axis`."""
        return self._attribute(name).signed(3) if name in self.attributes else default

    def flag(self, name: str, default: bool = False) -> bool:
        """A bool attribute, e.g. `keep_dims`."""
        return bool(self._attribute(name).unsigned(5)) if name in self.attributes else default

    def integers(self, name: str) -> tuple[int, ...]:
        """A list(int) attribute, e.g. `strides`; () where it is absent."""
        packed = b"".join(self._attribute(name).message(1).buffers(3))
        return tuple(read_varints(packed).view(np.int64).tolist())

    def dtype(self, name: str, default: str = "float32") -> str:
        """A type attribute, e.g. `T`, by TensorFlow's name; references as what they refer to."""
        number = self._attribute(name).signed(6)
        return dtype_of(number % 100).name if number else default

    def dtypes(self, name: str) -> tuple[str, ...]:
        """A list(type) attribute, e.g. `component_types`; () where it is absent."""
        packed = b"".join(self._attribute(name).message(1).buffers(6))
        return tuple(dtype_of(int(number) % 100).name for number in read_varints(packed))

    def partial_shape(self, name: str) -> PartialShape | None:
        """A shape attribute; None where it is absent or of unknown rank."""
        return parse_partial_shape(self._attribute(name).message(7)) if self.has(name) else None

    def partial_shapes(self, name: str) -> tuple[PartialShape | None, ...]:
        """A list(shape) attribute, e.g. `output_shapes`; () where it is absent."""
        return tuple(map(parse_partial_shape, self._attribute(name).message(1).messages(7)))

    def function(self, name: str) -> str:
        """The name of the function that an attribute holds, e.g. `then_branch`; "" if none."""
        return self._attribute(name).message(10).string(1)

    def has(self, name: str) -> bool:
        """Whether it has an attribute."""
        return name in self.attributes

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


class Function:
    """A FunctionDef: a graph of its own, called by operations of others.

    Args:
        message: the FunctionDef.

    Attributes:
        name: by which it is called.
        arguments: the names of its arguments.
        results: for each of its outputs, what it returns, as the nodes of a function write their
            inputs: "ARGUMENT", "NODE:OUTPUT:INDEX".
    """

    def __init__(self, message: Message) -> None:
        self._message = message
        signature = message.message(1)
        self.name = signature.string(1)
        self.arguments = tuple(argument.string(1) for argument in signature.messages(2))
        returned = {each.string(1): each.string(2) for each in message.messages(4)}
        outputs = (output.string(1) for output in signature.messages(3))
        self.results = tuple(returned.get(name, "") for name in outputs)

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Its nodes by name."""
        return parse_nodes(self._message, 3)


class Graph:
    """The nodes of a GraphDef by name, in the order of the file.

    Args:
        path: the file it came from, for errors.
        data: the serialized GraphDef; constants stay views of it.
        meta: what the MetaGraphDef around it says of it.
        averages_move: whether its training, if it has one, ran the updates of moving averages.

    Attributes:
        definition: the serialized GraphDef, as TensorFlow takes it.

    Raises:
        Malformed: it is no such message, or two nodes have one name.
    """

    def __init__(
        self,
        path: str,
        data: Buffer,
        meta: MetaGraph | None = None,
        *,
        averages_move: bool = True,
    ) -> None:
        self.path = path
        self.averages_move = averages_move
        self.meta = meta or MetaGraph(Message(b""))
        self.definition = data
        definition = Message(data)
        self._library = definition.message(2)
        self.has_functions = 1 in self._library
        self.nodes: dict[str, Node] = parse_nodes(definition, 1)

    def __repr__(self) -> str:
        return f"<Graph {self.path!r}: {len(self.nodes)} nodes>"

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def without_updates(self) -> Graph:
        """The same graph, of a training that never ran the updates of its moving averages."""
        return Graph(self.path, self.definition, self.meta, averages_move=False)

    @cached_property
    def functions(self) -> Mapping[str, Function]:
        """The functions of its library by name."""
        functions = map(Function, self._library.messages(1))
        return {function.name: function for function in functions}

    @property
    def signatures(self):
        """The signatures of a SavedModel or Hub module by name; see `MetaGraph.signatures`."""
        return self.meta.signatures

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


def parse_ref(text: str) -> Ref:
    """(name, index of the output) of "NAME" or "NAME:1"."""
    name, _, index = text.partition(":")
    return name, int(index) if index.isascii() and index.isdigit() and len(index) < 9 else 0


def parse_nodes(message: Message, field: int) -> dict[str, Node]:
    """The nodes in a field of a message, by name.

    Raises:
        Malformed: one has no name or kind, or two have one name.
    """
    nodes: dict[str, Node] = {}
    for each in message.messages(field):
        node = Node(each)
        if not node.name or not node.op or node.name in nodes:
            raise Malformed(f"its operation {node.name!r} lacks a name or kind, or is twice")
        nodes[node.name] = node
    return nodes
