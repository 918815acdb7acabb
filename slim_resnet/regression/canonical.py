"""A TF1 graph without what differs between TensorFlow versions but computes nothing else.

What stays: the ops that the given roots depend on, each with its type, its attributes and its
wiring. What goes: names of one op in several versions (Add and AddV2), reads of variables,
initialisers, identities, annotations, atrous convolution written as batches (see `atrous`), and
arithmetic that is the same for every finite input (see `algebra`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from slim_resnet.arch.parts import CLAMPED_EPSILON
from slim_resnet.compat import tf
from slim_resnet.regression import algebra, atrous
from slim_resnet.regression.forms import Leaf, Node, Output, Value, decimal
from slim_resnet.regression.static_shapes import TARGET

# Later versions of one op: the same computation, with more dtypes or attributes.
OP_ALIASES = {
    "AddV2": "Add",
    "AssignSubVariableOp": "AssignSub",
    "AssignVariableOp": "Assign",
    "FusedBatchNormV2": "FusedBatchNorm",
    "FusedBatchNormV3": "FusedBatchNorm",
    "PadV2": "Pad",
}
VARIABLES = {"VariableV2", "VarHandleOp"}
INPUTS = {"Placeholder", "PlaceholderWithDefault"}
# Ops that hand their input on. ReadVariableOp is the reading that VariableV2 leaves to Identity.
IDENTITIES = {"Identity", "ReadVariableOp"}
# Attributes that say how or where an op runs, or repeat the dtype of an input.
IGNORED_ATTRIBUTES = {
    "U",  # the dtype of a fused batch norm's statistics; the first version had none but float32
    "T",  # the dtype of the inputs, which the leaves compare; AssignSubVariableOp has "dtype"
    "dtype",
    "use_cudnn_on_gpu",
    "use_locking",
    "validate_shape",
}
# A constant of more elements is compared by its checksum: records do not hold its contents.
LARGE_CONSTANT = 1024


@dataclass(frozen=True)
class Canonical:
    """The nodes that `roots` (label -> value) depend on: root by root, each after its inputs."""

    nodes: list[Node]
    roots: dict[str, Value]


def op_type(op) -> str:
    """The type of an op, the same for all its versions."""
    return OP_ALIASES.get(op.type, op.type)


def plain_name(name: str) -> str:
    """The name of an op, without the version that some layers put into it."""
    return re.sub(r"\b(FusedBatchNorm)V\d", r"\1", name)


def canonicalize(
    graph,
    roots: Mapping[str, Any],
    *,
    weights: Collection[str] = (),
    checksums: Mapping[str, int] | None = None,
    static: Mapping[str, list] | None = None,
) -> Canonical:
    """The canonical form of what `roots` depend on.

    Args:
        graph: a `tf.Graph`; one that was imported has had its missing attributes filled in with
            their defaults, which by TensorFlow's compatibility rules keep the old meaning.
        roots: label -> a tensor or an op of `graph`.
        weights: names of constants that stand for the variables of a frozen graph.
        checksums: name -> CRC-32 of large constants whose contents are gone.
        static: what `static_shapes.values` found in the graph.

    Returns:
        The canonical form.

    Raises:
        ValueError: the roots depend on a loop.
    """
    reached = dependencies(getattr(root, "op", root) for root in roots.values())
    ops = [op for op in graph.get_operations() if op in reached]
    folded = atrous.find(ops)
    made: dict[Any, Value] = {}
    for op in ops:
        made[op] = _value(op, made, folded, frozenset(weights), checksums or {}, static or {})
    values = {
        label: _output(root, made) if tf.is_tensor(root) else made[root]
        for label, root in roots.items()
    }
    return Canonical(_needed(made, values.values()), values)


def _value(
    op, made: dict, folded: dict, weights: frozenset, checksums: Mapping, static: Mapping
) -> Value:
    """What `op` stands for, given what its inputs stand for (`made`)."""
    if op.type in IDENTITIES:
        return _input(op, op.inputs[0], made)
    if op.type in VARIABLES or (op.type == "Const" and op.name in weights):
        return _variable(op)
    if op.type in INPUTS:
        return Leaf("input", op.name, op.get_attr("dtype").name)
    if op.type == "Const":
        return _constant(op, checksums)
    if op in folded:
        conv, tensors, attributes = folded[op]
        attributes = {**_attributes(conv), **attributes}
    else:
        conv, tensors, attributes = op, _read_inputs(op), _attributes(op)
    inputs = tuple(
        _static(op, i, tensor, static) or _input(op, tensor, made)
        for i, tensor in enumerate(tensors)
    )
    return algebra.simplified(Node(conv.name, op_type(conv), attributes, inputs))


def _static(op, position: int, tensor, static: Mapping[str, list]) -> Leaf | None:
    """An input whose values follow from the shape of the graph's input, if it is one."""
    is_target = op.type == "Reshape" and position == 1
    runs = static.get(f"{op.name}{TARGET}") if is_target else None
    runs = static.get(tensor.name) if runs is None else runs
    if runs is None:
        return None
    dtype, shape = ("int32" if is_target else tensor.dtype.name), np.shape(runs[0])
    if all(run == runs[0] for run in runs):
        return Leaf("constant", None, dtype, shape, runs[0])
    return Leaf("shape", None, dtype, shape, tuple(runs))


def _input(op, tensor, made: dict) -> Value:
    if tensor.op not in made:
        raise ValueError(f"{op.name} is part of a loop; graphs with loops cannot be compared")
    return _output(tensor, made)


def _output(tensor, made: dict) -> Value:
    value = made[tensor.op]
    if isinstance(value, Output) and len(tensor.op.outputs) > 1:
        return Output(value.node, tensor.value_index)
    return value


def _read_inputs(op) -> list:
    """The inputs that the op's result depends on."""
    inputs = list(op.inputs)
    # In training mode the statistics are those of the batch, and with a factor of 1 the given ones
    # have no part in the output either. TF 1.15 passes empty constants, later ones the variables.
    if op_type(op) == "FusedBatchNorm" and op.get_attr("is_training"):
        blends = "exponential_avg_factor" in op.node_def.attr
        if not blends or op.get_attr("exponential_avg_factor") == 1:
            return inputs[:3]
    # Pad has no third input: it pads with zeros.
    if op.type == "PadV2" and tf.get_static_value(inputs[2]) == 0:
        return inputs[:2]
    return inputs


def _variable(op) -> Leaf:
    shape = op.outputs[0].shape if op.type == "Const" else tf.TensorShape(op.get_attr("shape"))
    known = None if shape.rank is None else tuple(shape.as_list())
    return Leaf("variable", op.name, op.get_attr("dtype").name, known)


def _constant(op, checksums: Mapping) -> Leaf:
    shape = tuple(op.outputs[0].shape.as_list())
    dtype = op.get_attr("dtype").name
    if op.outputs[0].shape.num_elements() <= LARGE_CONSTANT:
        value = decimal(tf.make_ndarray(op.get_attr("value"))).tolist()
    elif op.name in checksums:
        value = checksums[op.name]
    else:
        value = zlib.crc32(tf.make_ndarray(op.get_attr("value")).tobytes())
    return Leaf("constant", None, dtype, shape, value)


def _attributes(op) -> dict[str, Any]:
    """The attributes that decide what `op` computes; a leading _ marks an annotation."""
    names = sorted(n for n in op.node_def.attr if n[0] != "_" and n not in IGNORED_ATTRIBUTES)
    attributes = {name: _plain(op.get_attr(name)) for name in names}
    if op_type(op) == "FusedBatchNorm":
        # A recorded CLAMPED_EPSILON may have been any smaller one: those count as it. In float64,
        # where nothing is fused, the numbers tell them apart.
        attributes["epsilon"] = max(attributes["epsilon"], CLAMPED_EPSILON)
    return attributes


def _plain(value):
    """An attribute's value as something that compares and prints well."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, tf.DType):
        return value.name
    if isinstance(value, float):
        return float(decimal(np.array(value, np.float32)))
    return value


def dependencies(ops) -> set:
    """`ops` and every op that they depend on."""
    reached, queue = set(), list(ops)
    while queue:
        op = queue.pop()
        if op not in reached:
            reached.add(op)
            queue += [tensor.op for tensor in op.inputs]
    return reached


def _needed(made: dict, values) -> list[Node]:
    """The nodes that `values` depend on: value by value, each one's in the order of creation."""
    nodes = dict.fromkeys(v.node for v in made.values() if isinstance(v, Output))
    order = {node: position for position, node in enumerate(nodes)}
    needed: dict[Node, None] = {}
    for value in values:
        new, queue = set(), [value]
        while queue:
            item = queue.pop()
            if isinstance(item, Output) and item.node not in needed and item.node not in new:
                new.add(item.node)
                queue += item.node.inputs
        needed |= dict.fromkeys(sorted(new, key=order.__getitem__))
    return list(needed)
