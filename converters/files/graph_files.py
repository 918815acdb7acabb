"""The files that hold a graph: GraphDef, MetaGraphDef and SavedModel, binary or as text.

Source: TensorFlow's `core/protobuf/meta_graph.proto` and `saved_model.proto`.
"""

from __future__ import annotations

import os

from converters.files.errors import Malformed, blame
from converters.files.graphdef import Graph
from converters.files.memory_maps import mapped
from converters.files.metagraph import MetaGraph
from converters.files.textproto import serialize
from converters.files.wire import Buffer, Message

_TEXT = ".pbtxt"
_SERVING = "serve"  # the tag of the graph that a SavedModel serves


def read_graph(path: str) -> Graph:
    """The graph of a `.pb` or `.pbtxt` (GraphDef).

    Raises:
        CheckpointError: it is missing or damaged.
    """
    with blame(path):
        return Graph(path, _content(path, "GraphDef"))


def read_meta(path: str) -> Graph:
    """The graph of a `.meta` (MetaGraphDef) that a Saver left.

    Raises:
        CheckpointError: as `read_graph`.
    """
    with blame(path):
        return _graph_of(path, Message(_content(path, "MetaGraphDef")))


def read_saved_model(path: str) -> Graph:
    """The graph that a `saved_model.pb` or `saved_model.pbtxt` serves (else its first).

    Raises:
        CheckpointError: as `read_graph`.
    """
    with blame(path):
        metas = Message(_content(path, "SavedModel")).messages(2)
        if not metas:
            raise Malformed("it is no SavedModel: it has no graph in it")
        serving = (meta for meta in metas if _SERVING.encode() in meta.message(1).buffers(4))
        return _graph_of(path, next(serving, metas[0]))


def saved_model_in(folder: str) -> str | None:
    """The file of a SavedModel in `folder`, if there is one."""
    names = (os.path.join(folder, name) for name in SAVED_MODEL_NAMES)
    return next((name for name in names if os.path.isfile(name)), None)


SAVED_MODEL_NAMES = ("saved_model.pb", "saved_model.pbtxt")


def _content(path: str, message: str) -> Buffer:
    data = mapped(path)
    is_text = path.endswith(_TEXT) or bytes(data[:1]).isalpha()  # no binary one begins so
    return serialize(data, message) if is_text else data


def _graph_of(path: str, meta: Message) -> Graph:
    graphs = meta.buffers(2)
    if len(graphs) != 1:
        raise Malformed("it has no graph in it", "give the .meta that TensorFlow's Saver wrote")
    return Graph(path, graphs[0], MetaGraph(meta))
