"""Graphs written by today's TensorFlow that TensorFlow 1.15 loads, too.

An older TensorFlow refuses an operation with an attribute that it does not know. Attributes that
came after 1.15 have defaults that mean what operations did before, and a default never changes: so
a graph without its defaults is the same graph to every TensorFlow (what `strip_default_attrs` of
`saved_model.Builder` does). A few attributes that are no part of the computation go as well.
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Iterable, Mapping

from slim_resnet.frameworks import require

registry = require("tensorflow.python.framework.op_def_registry")
saved_model_pb2 = require("tensorflow.core.protobuf.saved_model_pb2")

# Attributes newer than 1.15, by operation, that change no result whatever they are.
_HINTS = {
    "VarHandleOp": ("debug_name", "allowed_devices"),
    "AssignVariableOp": ("validate_shape",),  # a check while the graph runs
    "MatMul": ("grad_a", "grad_b"),
    "BatchMatMul": ("grad_x", "grad_y"),
    "BatchMatMulV2": ("grad_x", "grad_y"),
}
# The statistics that it factors in are not read at inference.
_HINTS_AT_INFERENCE = dict.fromkeys(
    ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), ("exponential_avg_factor",)
)
_HINTS_ANYWHERE = ("_output_shapes",)


def make_loadable(message) -> None:
    """Changes a graph, in place, so that TensorFlow 1.15 loads it; it computes what it did.

    An operation that is newer than 1.15 stays what it is.

    Args:
        message: a `GraphDef`, `MetaGraphDef` or `SavedModel`.
    """
    _MAKERS[message.DESCRIPTOR.name](message)


def make_saved_model_loadable(folder: str | os.PathLike) -> None:
    """The same for a SavedModel in a folder; its variables are readable as they are."""
    path = pathlib.Path(folder, "saved_model.pb")
    message = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    make_loadable(message)
    path.write_bytes(message.SerializeToString(deterministic=True))


def _saved_model(saved_model) -> None:
    for meta_graph in saved_model.meta_graphs:
        _meta_graph(meta_graph)


def _meta_graph(meta_graph) -> None:
    _graph(meta_graph.graph_def)
    meta_graph.meta_info_def.stripped_default_attrs = True


def _graph(graph_def) -> None:
    # Fields newer than 1.15, which its parser of text refuses.
    graph_def.ClearField("debug_info")
    _nodes(graph_def.node)
    for function in graph_def.library.function:
        _nodes(function.node_def)


_MAKERS = {"GraphDef": _graph, "MetaGraphDef": _meta_graph, "SavedModel": _saved_model}


def _nodes(nodes: Iterable) -> None:
    for node in nodes:
        node.ClearField("experimental_type")
        node.ClearField("experimental_debug_info")
        for name in [name for name in node.attr if _is_needless(node, name)]:
            del node.attr[name]


def _is_needless(node, name: str) -> bool:
    """Whether an attribute says nothing, or nothing that the computation depends on."""
    if name in _HINTS_ANYWHERE or name in _HINTS.get(node.op, ()):
        return True
    if node.attr[name] == _defaults(node.op).get(name):
        return True
    is_inference = "is_training" in node.attr and not node.attr["is_training"].b
    return is_inference and name in _HINTS_AT_INFERENCE.get(node.op, ())


@functools.cache
def _defaults(kind: str) -> Mapping[str, object]:
    """The defaults of an operation's attributes; none where this TensorFlow does not know it."""
    definition = registry.get(kind)
    attributes = definition.attr if definition else ()
    return {each.name: each.default_value for each in attributes if each.HasField("default_value")}
