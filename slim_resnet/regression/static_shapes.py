"""Integers that a graph computes from the shape of its input alone: what they are, for some inputs.

A graph may compute the target of a Reshape from the image's shape, or hold it as a constant, and
still do the same. So such integers are compared by their values, for a few shapes of the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from slim_resnet.compat import tf

_INTEGERS = ("int32", "int64")
_LARGEST = 64  # elements of what is evaluated
# Where integers may come from; `Shape` is of anything.
_SOURCES = ("Const", "Shape")


def values(graph_def, input_name: str, shapes: Iterable[Sequence[int]]) -> dict[str, list]:
    """Evaluates the integers of a graph that depend on its input's shape, not on its values.

    Args:
        graph_def: the graph.
        input_name: the op of the input, a placeholder.
        shapes: what its shape may be.

    Returns:
        Name of a tensor -> its value for each of `shapes`. The second input of a Reshape has that
        of the reshaped tensor's shape: -1 is filled in. Empty if one of the shapes does not fit.
    """
    runs: list[dict[str, list]] = []
    for shape in shapes:
        graph = _imported(graph_def, input_name, shape)
        if graph is None:
            return {}
        runs.append(_evaluate(graph) | _reshaped(graph))
        if len(runs) == 1:  # the other shapes only need what leads to these
            graph_def = _leading_to(graph_def, graph)
    if not runs:
        return {}
    names = set(runs[0]).intersection(*runs[1:])
    return {name: [run[name] for run in runs] for name in names}


def _imported(graph_def, input_name: str, shape: Sequence[int]):
    """The graph with an input of some shape; None if it does not fit."""
    fixed = type(graph_def)()
    fixed.CopyFrom(graph_def)
    for node in fixed.node:
        if node.name == input_name:
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    with tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(fixed, name="")
        except ValueError:
            return None
    return graph


def _leading_to(graph_def, graph):
    """The part of a graph that computes integers, or changes shapes."""
    wanted = [
        op.name
        for op in graph.get_operations()
        if op.type in ("Shape", "Reshape")
        or op.type != "Const"
        and any(tensor.dtype.name in _INTEGERS for tensor in op.outputs)
    ]
    return tf.graph_util.extract_sub_graph(graph_def, wanted)


def _evaluate(graph) -> dict[str, list]:
    """Every tensor of integers that comes from constants and known shapes."""
    shapes = {
        op.outputs[0]: op.inputs[0].shape.as_list()
        for op in graph.get_operations()
        if op.type == "Shape" and op.inputs[0].shape.is_fully_defined()
    }
    known = {tensor.op for tensor in shapes}
    for op in graph.get_operations():  # each after its inputs
        if _is_small(op) and (op.type == "Const" or _follows_from(op, known)):
            known.add(op)
    found = [
        tensor
        for op in graph.get_operations()
        if op in known and op.type not in _SOURCES
        for tensor in op.outputs
        if tensor.dtype.name in _INTEGERS
    ]
    with tf.Session(graph=graph) as session:
        computed = session.run(found, shapes) if found else []
    results = dict(zip((tensor.name for tensor in found), computed, strict=True))
    results |= {tensor.name: np.array(shape) for tensor, shape in shapes.items()}
    return {name: value.tolist() for name, value in results.items()}


def _is_small(op) -> bool:
    shapes = [tensor.shape for tensor in op.outputs]
    return all(s.is_fully_defined() and s.num_elements() <= _LARGEST for s in shapes)


def _follows_from(op, known: set) -> bool:
    is_pure = not op.op_def.is_stateful
    return is_pure and bool(op.inputs) and {tensor.op for tensor in op.inputs} <= known


def _reshaped(graph) -> dict[str, list]:
    return {
        f"{op.name}{TARGET}": op.outputs[0].shape.as_list()
        for op in graph.get_operations()
        if op.type == "Reshape" and op.outputs[0].shape.is_fully_defined()
    }


TARGET = ":target"  # behind the name of a Reshape
