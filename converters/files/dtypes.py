"""TensorFlow's data types, as data, and the values that a TensorProto holds of them.

Source: TensorFlow's `core/framework/types.proto` (the numbers) and `tensor.proto` (the fields).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converters.files.errors import Malformed
from converters.files.wire import Message, read_varints

CONTENT = 4  # the field of a TensorProto that holds stored bytes, of any type


@dataclass(frozen=True)
class DType:
    """One data type.

    Attributes:
        name: TensorFlow's name.
        stored: how the bytes of a value lie in a file; `object` where they cannot be read.
        field: the field of a TensorProto that carries such values.
        packed_as_stored: whether that field holds the stored bytes; if not, it holds varints.
    """

    name: str
    stored: np.dtype
    field: int = 0
    packed_as_stored: bool = False

    @property
    def readable(self) -> bool:
        """Whether arrays of this type can be read: it is a number, not a string or the like."""
        return self.stored != np.dtype(object)

    @property
    def returned(self) -> np.dtype:
        """The NumPy type of the arrays a caller gets: bfloat16, which NumPy lacks, as float32."""
        return np.dtype(np.float32) if self.name == "bfloat16" else self.stored.newbyteorder("=")

    def present(self, array: np.ndarray) -> np.ndarray:
        """`array` of stored values (either byte order) as an array of the returned type."""
        if self.name == "bfloat16":  # the upper half of a float32
            array = np.left_shift(array, 16, dtype=np.uint32, casting="unsafe")
            return np.asarray(array).view(np.float32)
        return array.astype(self.returned, copy=False)


_READABLE = {
    1: DType("float32", np.dtype("<f4"), 5, True),
    2: DType("float64", np.dtype("<f8"), 6, True),
    3: DType("int32", np.dtype("<i4"), 7),
    4: DType("uint8", np.dtype("u1"), 7),
    5: DType("int16", np.dtype("<i2"), 7),
    6: DType("int8", np.dtype("i1"), 7),
    8: DType("complex64", np.dtype("<c8"), 9, True),
    9: DType("int64", np.dtype("<i8"), 10),
    10: DType("bool", np.dtype("?"), 11),
    14: DType("bfloat16", np.dtype("<u2"), 13),
    17: DType("uint16", np.dtype("<u2"), 7),
    18: DType("complex128", np.dtype("<c16"), 12, True),
    19: DType("float16", np.dtype("<f2"), 13),
    22: DType("uint32", np.dtype("<u4"), 16),
    23: DType("uint64", np.dtype("<u8"), 17),
}
_UNREADABLE = {7: "string", 20: "resource", 21: "variant"}


def dtype_of(number: int) -> DType:
    """The type of a DataType number; one unknown here is listed, but not readable.

    Raises:
        Malformed: if it is not a type at all.
    """
    if number <= 0:
        raise Malformed("it has no data type")
    name = _UNREADABLE.get(number, f"type {number}")
    return _READABLE.get(number) or DType(name, np.dtype(object))


def number_of(dtype: np.dtype) -> int | None:
    """The number of the data type whose values are stored as `dtype` (any byte order), if any."""
    little = np.dtype(dtype).newbyteorder("<")
    return next(
        (n for n, d in _READABLE.items() if d.stored == little and d.name == little.name), None
    )


def stored_values(proto: Message, dtype: DType) -> np.ndarray:
    """The values of a TensorProto, flat, as stored; as many as it holds, whatever its shape.

    Raises:
        Malformed: the last one is cut short.
    """
    if CONTENT in proto or dtype.packed_as_stored:
        data = b"".join(proto.buffers(CONTENT if CONTENT in proto else dtype.field))
        if len(data) % dtype.stored.itemsize:
            raise Malformed("its values are cut short")
        return np.frombuffer(data, dtype.stored)
    numbers = read_varints(b"".join(proto.buffers(dtype.field)))
    return numbers.astype(f"<u{dtype.stored.itemsize}").view(dtype.stored)
