"""What an operation of a GraphDef needs to run on a CPU in float64: its types, and kernels.

Source: TensorFlow's `core/framework/op_def.proto` and `kernel_def.proto`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from fractions import Fraction

import numpy as np

from slim_resnet.frameworks import require

tf = require("tensorflow.compat.v1")
attr_value_pb2 = require("tensorflow.core.framework.attr_value_pb2")
types_pb2 = require("tensorflow.core.framework.types_pb2")
kernels = require("tensorflow.python.framework.kernels")
op_def_registry = require("tensorflow.python.framework.op_def_registry")

_LOW = ("DT_FLOAT", "DT_HALF", "DT_BFLOAT16")
_RAISED = {
    getattr(types_pb2, f"{name}{suffix}"): getattr(types_pb2, f"DT_DOUBLE{suffix}")
    for name in _LOW
    for suffix in ("", "_REF")
}
_LARGEST_DENOMINATOR = 100
_DEVICES = ("CPU", "DEFAULT")


def op_def(kind: str):
    """The OpDef of a kind of operation; None if this TensorFlow does not know it."""
    return op_def_registry.get(kind)


def attributes(node) -> dict:
    """The attributes of a NodeDef by name, defaults filled in, without TensorFlow's own notes."""
    found = {each.name: each.default_value for each in op_def(node.op).attr}
    found |= {name: value for name, value in node.attr.items() if not name.startswith("_")}
    return {name: value for name, value in found.items() if value.WhichOneof("value")}


def raised(attrs: Mapping, fractions: bool = False) -> dict:
    """The same attributes with float64 for float32, float16 and bfloat16.

    Args:
        attrs: name -> AttrValue. A constant of one number becomes what was written in the code: the
            shortest decimal that is the same in its type.
        fractions: whether such a number may be a fraction, as 1 / 0.75 is in a dropout.
    """
    return {name: _raised(value, fractions) for name, value in attrs.items()}


def number(value, as_float: float):
    """The attribute of a constant of one number, with another value in float64."""
    new = attr_value_pb2.AttrValue()
    shape = tf.make_ndarray(value.tensor).shape
    new.tensor.CopyFrom(tf.make_tensor_proto(np.full(shape, as_float)))
    return new


def raised_type(dtype):
    """float64 for float32, float16 and bfloat16; any other type as it is."""
    number = dtype.as_datatype_enum
    return tf.as_dtype(_RAISED.get(number, number))


def _raised(value, fractions: bool):
    kind = value.WhichOneof("value")
    new = attr_value_pb2.AttrValue()
    if kind == "tensor" and value.tensor.dtype in _RAISED:
        array = tf.make_ndarray(value.tensor)
        if array.size == 1:
            one = array.flat[0]
            array = np.full(array.shape, _fraction(one) if fractions else float(str(one)))
        new.tensor.CopyFrom(tf.make_tensor_proto(array.astype(np.float64)))
        return new
    new.CopyFrom(value)
    if kind == "type":
        new.type = _RAISED.get(value.type, value.type)
    elif kind == "list":
        new.list.type[:] = [_RAISED.get(each, each) for each in value.list.type]
    return new


def _fraction(number: np.floating) -> float:
    """A fraction of small numbers that is the same in the type of `number`; else its decimal."""
    decimal = float(str(number))
    near = Fraction(decimal).limit_denominator(_LARGEST_DENOMINATOR)
    is_same = type(number)(near.numerator / near.denominator) == number
    return near.numerator / near.denominator if is_same else decimal


def written(number: float) -> float:
    """What was written in the code where an attribute holds a float32: the shortest decimal."""
    return float(str(np.float32(number)))


def has_kernel(kind: str, attrs: Mapping) -> bool:
    """Whether this TensorFlow has a kernel for the CPU with these types."""
    return any(
        all(_allows(constraint, attrs) for constraint in kernel.constraint)
        for kernel in _kernels(kind)
    )


@functools.cache
def _kernels(kind: str) -> list:
    found = kernels.get_registered_kernels_for_op(kind).kernel
    return [each for each in found if each.device_type in _DEVICES and not each.label]


def _allows(constraint, attrs: Mapping) -> bool:
    value, allowed = attrs.get(constraint.name), constraint.allowed_values.list.type
    kind = value and value.WhichOneof("value")
    if kind == "type":
        return value.type in allowed
    if kind == "list":
        return all(each in allowed for each in value.list.type)
    return True


def types(arguments: Iterable, attrs: Mapping) -> list[int]:
    """The types of an operation's inputs, or outputs, one each.

    Args:
        arguments: of its OpDef.
        attrs: name -> AttrValue.
    """
    found: list[int] = []
    for argument in arguments:
        if argument.type_list_attr:
            found += attrs[argument.type_list_attr].list.type
        else:
            one = argument.type or attrs[argument.type_attr].type
            found += [one] * (attrs[argument.number_attr].i if argument.number_attr else 1)
    return found


def output_index(kind: str, attrs: Mapping, argument: str, index: int) -> int:
    """Which output the `index`-th of an argument of the OpDef is."""
    before = []
    for each in op_def(kind).output_arg:
        if each.name == argument:
            return len(types(before, attrs)) + index
        before.append(each)
    raise KeyError(argument)
