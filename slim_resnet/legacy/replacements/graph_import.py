"""`tf.train.import_meta_graph` and `tf.import_graph_def`, for graphs that TensorFlow 1.x wrote.

Today's refuse two things that 1.15 took: `_output_shapes`, annotations of a training graph that
today's gradients contradict, and operations of tf.contrib, even where nothing runs them.
"""

from __future__ import annotations

import os
import sys

from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.python.framework import op_def_registry

from slim_resnet.compat import tf


def import_meta_graph(meta_graph_or_file, clear_devices=False, import_scope=None, **kwargs):
    """`tf.train.import_meta_graph`; operations that are gone are left out, and said.

    Args:
        meta_graph_or_file: a MetaGraphDef, or the path of one.
        clear_devices: see TensorFlow's.
        import_scope: see TensorFlow's.
        **kwargs: see TensorFlow's.

    Returns:
        A Saver, or None where the graph has no variables.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no MetaGraph.
    """
    meta = _meta_graph(meta_graph_or_file)
    mended, gone = _mended(meta.graph_def)
    meta.graph_def.CopyFrom(mended)
    for collection in meta.collection_def.values():
        nodes = collection.node_list.value
        nodes[:] = [name for name in nodes if _op_name(name) not in gone]
    return tf.train.import_meta_graph(meta, clear_devices, import_scope, **kwargs)


def import_graph_def(graph_def, *args, **kwargs):
    """`tf.import_graph_def`; operations that are gone are left out, and said."""
    return tf.import_graph_def(_mended(graph_def)[0], *args, **kwargs)


def _meta_graph(given):
    """A copy that may be changed."""
    meta = tf.MetaGraphDef()
    if isinstance(given, tf.MetaGraphDef):
        meta.CopyFrom(given)
        return meta
    with open(os.fspath(given), "rb") as file:
        content = file.read()
    try:
        meta.ParseFromString(content)
    except DecodeError:
        try:
            text_format.Parse(content, meta)
        except (text_format.ParseError, UnicodeDecodeError):
            raise ValueError(f"{given} is no MetaGraph") from None
    return meta


def _mended(graph_def):
    """A copy without what today's TensorFlow refuses, and the names of what was left out."""
    mended = tf.GraphDef()
    mended.CopyFrom(graph_def)
    for node in (*mended.node, *(n for f in mended.library.function for n in f.node_def)):
        node.attr.pop("_output_shapes", None)
    defined = {function.signature.name for function in mended.library.function}
    unknown = {
        node.name: node.op
        for node in mended.node
        if node.op not in defined and op_def_registry.get(node.op) is None
    }
    gone = _dependents(mended, set(unknown))
    if gone:
        kept = [node for node in mended.node if node.name not in gone]
        del mended.node[:]
        mended.node.extend(kept)
        kinds = ", ".join(sorted(set(unknown.values())))
        print(
            f"slim_resnet.legacy: the graph has operations that TensorFlow lacks today ({kinds}); "
            f"they and {len(gone) - len(unknown)} that depend on them are left out",
            file=sys.stderr,
        )
    return mended, gone


def _dependents(graph_def, names: set[str]) -> set[str]:
    """`names`, and every operation that depends on one of them."""
    consumers: dict[str, list[str]] = {}
    for node in graph_def.node:
        for value in node.input:
            consumers.setdefault(_op_name(value), []).append(node.name)
    found, queue = set(names), list(names)
    while queue:
        new = [name for name in consumers.get(queue.pop(), ()) if name not in found]
        found.update(new)
        queue += new
    return found


def _op_name(value: str) -> str:
    """The operation of "^name", "name:0" or "name"."""
    return value.removeprefix("^").partition(":")[0]
