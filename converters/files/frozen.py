"""The weights of a frozen graph: the constants that its layers read as parameters.

Source: TensorFlow's `python/framework/graph_util_impl.py` (`convert_variables_to_constants`), which
turns a variable into a Const of the same name.
"""

from __future__ import annotations

from collections.abc import Iterator

from converters.files.errors import Malformed, blame
from converters.files.graph_files import read_graph
from converters.files.graphdef import Graph, Node
from converters.files.weights_file import Entry, WeightsFile, checked

_FLOATS = frozenset(("float16", "bfloat16", "float32", "float64"))
_BATCH_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
_BATCH_NORM_PARAMETERS = {1: "gamma", 2: "beta", 3: "moving mean", 4: "moving variance"}
# Kind of operation -> which of its inputs are parameters where they are constant.
_LAYERS = {
    "Conv2D": (1,),
    "BiasAdd": (1,),
    "MatMul": (1,),
    **dict.fromkeys(_BATCH_NORMS, tuple(_BATCH_NORM_PARAMETERS)),
}
# What a batch norm that is not fused is made of; its parameters have one axis.
_ARITHMETIC = frozenset(("Add", "AddV2", "Sub", "Mul"))
_REFREEZE = "freeze it again with convert_variables_to_constants alone, not optimized for inference"


def open_frozen(path: str) -> WeightsFile:
    """The weights of a frozen graph, by the names of the variables they were.

    Args:
        path: a `.pb` or `.pbtxt`.

    Raises:
        CheckpointError: it holds none, or the parameters of a batch norm are folded away.
    """
    graph = read_graph(path)
    with blame(path):
        entries = checked(path, (path,), frozen_weights(graph))
        return WeightsFile(path, "frozen-graph", (path,), entries, graph=lambda: graph)


def frozen_weights(graph: Graph) -> dict[str, Entry]:
    """Name of a constant that is a weight -> the array.

    Raises:
        Malformed: as `open_frozen`; the message names the operation.
    """
    _check_batch_norms(graph)
    found: dict[str, Entry] = {}
    variables = False
    for node in _parameters(graph):
        if node.op != "Const":
            variables = True
        elif node.name not in found and (entry := _entry(node)):
            found[node.name] = entry
    if variables and not found:
        raise Malformed(
            "its layers read variables, so the weights are in a checkpoint and not in the graph",
            "give that checkpoint, or freeze the graph",
        )
    return found


def _parameters(graph: Graph) -> Iterator[Node]:
    """The variable or constant behind every parameter of every layer."""
    for node in graph:
        for index in _LAYERS.get(node.op, ()):
            if source := graph.parameter(node, index):
                yield source
        for index in range(2) if node.op in _ARITHMETIC else ():
            source = graph.parameter(node, index)
            if source and len(source.shape or ()) == 1:
                yield source


def _entry(node: Node) -> Entry | None:
    """The array of a Const; None if its type is not that of a weight."""
    with_name = f"in its constant {node.name!r}, "
    try:
        tensor = node.tensor
    except Malformed as error:
        raise Malformed(with_name + str(error), error.remedy) from None
    if tensor.dtype.name not in _FLOATS:
        return None
    return Entry(tensor.shape, tensor.dtype.returned, tensor.read)


def _check_batch_norms(graph: Graph) -> None:
    for node in graph:
        if node.op in _BATCH_NORMS:
            for index, name in _BATCH_NORM_PARAMETERS.items():
                if graph.parameter(node, index) is None:
                    raise Malformed(
                        f"the {name} of its batch norm {node.name!r} is computed, not stored",
                        _REFREEZE,
                    )
        # TensorFlow's optimize_for_inference puts a BiasAdd in the place of a batch norm.
        if node.op == "BiasAdd" and "/BatchNorm/" in node.name:
            raise Malformed(
                f"the batch norm {node.name!r} is folded into the convolution before it", _REFREEZE
            )
