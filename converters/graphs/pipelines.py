"""Where a graph is fed: placeholders, and what an input pipeline hands over.

Source: TensorFlow's `core/ops/data_flow_ops.cc`, `dataset_ops.cc`, `array_ops.cc`.
"""

from __future__ import annotations

from collections import deque

from converters.files.graphdef import VARIABLES, Graph, Node, Ref
from converters.files.tensors import PartialShape
from converters.graphs.inference import LOOPS

PLACEHOLDERS = frozenset(("Placeholder", "PlaceholderV2", "PlaceholderWithDefault"))
ITERATORS = frozenset(("IteratorGetNext", "IteratorGetNextSync", "OneShotIterator"))
DEQUEUES = {
    "QueueDequeue": False, "QueueDequeueV2": False, "QueueDequeueMany": True,
    "QueueDequeueManyV2": True, "QueueDequeueUpTo": True, "QueueDequeueUpToV2": True,
}  # fmt: skip
# Attributes with the type of an operation's output, the most telling first.
_TYPES = ("dtype", "DstT", "out_type", "T", "Tparams", "Tidx")
_RANDOM = ("Random", "StatelessRandom", "TruncatedNormal")
_MAX_SEEN = 400  # nodes looked at to tell a layout
NUMBERS = frozenset(
    ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8",
     "uint16", "bool")
)  # fmt: skip


def is_shared_out(graph: Graph, node: Node) -> bool:
    """Whether an operation shares a batch out to towers."""
    if node.op not in ("Split", "SplitV") or node.integer("num_split", 1) < 2:
        return False
    axis = graph.source(graph.input(node, 0 if node.op == "Split" else 2))
    return axis is not None and axis.op == "Const" and axis.tensor.small().ravel().tolist() == [0]


def hands_over(graph: Graph, ref: Ref) -> bool:
    """Whether a tensor comes out of an input pipeline: it depends on no variable and no feed.

    A batch that is shared out to towers is taken for one.
    """
    start = graph.nodes[ref[0]]
    shared = is_shared_out(graph, start)
    seen, stack = {ref[0]}, [ref[0]]
    if start.op in LOOPS or dtype_of(graph, ref) not in NUMBERS:
        return False
    while stack:
        node = graph.nodes.get(stack.pop())
        if node is None or node.op in VARIABLES or (_is_image(node) and not shared):
            return False
        if node.op.startswith(_RANDOM):
            continue
        fresh = [name for name in node.inputs if name not in seen]
        seen.update(fresh)
        stack.extend(fresh)
    return not start.op.startswith(_RANDOM)


def _is_image(node: Node) -> bool:
    if node.op not in PLACEHOLDERS:
        return False
    shape = node.partial_shape("shape")
    return shape is not None and len(shape) >= 3


def dtype_of(graph: Graph, ref: Ref) -> str:
    """The type of a tensor; "" if it cannot be told."""
    name, index = ref
    node = graph.nodes[name]
    types = node.dtypes("output_types") if node.op in ITERATORS else ()
    types = types or node.dtypes("component_types")
    if index < len(types):
        return types[index]
    return next((node.dtype(attribute) for attribute in _TYPES if node.has(attribute)), "")


def shape_of(graph: Graph, ref: Ref) -> PartialShape | None:
    """The static shape of a tensor; None if the graph does not say even its rank."""
    name, index = ref
    node = graph.nodes[name]
    if node.op in PLACEHOLDERS:
        return node.partial_shape("shape")
    for shapes in (node.partial_shapes("output_shapes"), node.partial_shapes("_output_shapes")):
        if index < len(shapes) and shapes[index] is not None:
            return shapes[index]
    if node.op in DEQUEUES:
        queue = graph.source(graph.input(node, 0))
        shapes = queue.partial_shapes("shapes") if queue is not None else ()
        if index < len(shapes) and shapes[index] is not None:
            return (None, *shapes[index]) if DEQUEUES[node.op] else shapes[index]
    return None


def layout_of(graph: Graph, ref: Ref) -> str:
    """Whether the graph takes a tensor of rank 4 for NHWC or NCHW: what the first layer says."""
    seen = {ref[0]}
    queue = deque(reader for reader in graph.readers.get(ref[0], ()) if ref in reader.operands)
    while queue and len(seen) < _MAX_SEEN:
        node = queue.popleft()
        if node.name in seen:
            continue
        seen.add(node.name)
        layout = _says(graph, node)
        if layout:
            return layout
        queue.extend(graph.readers.get(node.name, ()))
    return "NHWC"


def _says(graph: Graph, node: Node) -> str | None:
    """The layout that an operation takes its input for, if it tells."""
    if node.op == "Transpose":
        permutation = graph.constant(node, 1)
        values = None if permutation is None else tuple(permutation.ravel().tolist())
        return {(0, 2, 3, 1): "NCHW", (0, 3, 1, 2): "NHWC"}.get(values)
    if node.has("data_format"):
        layout = node.text("data_format", "NHWC")
        return layout if layout in ("NHWC", "NCHW") else None
    return None
