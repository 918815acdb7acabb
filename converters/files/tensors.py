"""Constants of a graph: TensorProto, its shape, its type and its values.

Source: TensorFlow's `core/framework/tensor.proto` and `Tensor::FromProto` in `tensor.cc`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from converters.files.dtypes import CONTENT, DType, dtype_of, stored_values
from converters.files.errors import Malformed
from converters.files.shapes import Shape, parse_shape
from converters.files.wire import Message, decode

_MAX_SMALL = 64  # elements; a list of paddings or strides is shorter
_STRINGS = 8  # the field of a TensorProto with the values of a string tensor
_MAX_RANK = 32  # what every NumPy can hold
_MAX_SIZE = 2**31  # of an axis
_MAX_REPEATED = 2**24  # values of a constant that is one value, over and over

PartialShape = tuple[int | None, ...]  # None: not known


@dataclass(frozen=True)
class Tensor:
    """A constant whose values are decoded when asked for.

    Attributes:
        dtype: its data type.
        shape: its shape, fully known.
        proto: the TensorProto.
    """

    dtype: DType
    shape: Shape
    proto: Message

    def read(self) -> np.ndarray:
        """The values, in the type a caller gets.

        Raises:
            Malformed: they do not fill the shape, or are no numbers.
        """
        if not self.dtype.readable:
            raise Malformed(f"it is a {self.dtype.name} tensor, which is no array of numbers")
        values = self.dtype.present(stored_values(self.proto, self.dtype))
        size = math.prod(self.shape)
        if values.size == size:
            return values.reshape(self.shape)
        if values.size > size or CONTENT in self.proto:
            raise Malformed(f"it holds {values.size} values, which do not fill {list(self.shape)}")
        if size > _MAX_REPEATED:
            raise Malformed(f"a constant in it is said to have the absurd shape {list(self.shape)}")
        # TensorFlow leaves out the repetitions of the last value, and a tensor of zeros altogether.
        full = np.full(size, values[-1] if values.size else 0, self.dtype.returned)
        full[: values.size] = values
        return full.reshape(self.shape)

    def small(self) -> np.ndarray:
        """As `read`, for what cannot be large, such as paddings."""
        if math.prod(self.shape) > _MAX_SMALL:
            raise Malformed(f"a parameter of an operation has the absurd shape {list(self.shape)}")
        return self.read()

    def texts(self) -> list[str]:
        """The strings of a string tensor, flat.

        Raises:
            Malformed: they are no text.
        """
        return [decode(value) for value in self.proto.buffers(_STRINGS)]


def parse_partial_shape(message: Message) -> PartialShape | None:
    """Read a TensorShapeProto whose axes need not be known; None if not even their number is.

    Raises:
        Malformed: it is beyond what an array can have.
    """
    if message.unsigned(3):
        return None
    sizes = [dim.signed(1) for dim in message.messages(2)]
    if len(sizes) > _MAX_RANK or not all(-1 <= size < _MAX_SIZE for size in sizes):
        raise Malformed(f"a shape in it, {sizes[:_MAX_RANK]}, is absurd")
    return tuple(None if size == -1 else size for size in sizes)


def parse_tensor(message: Message) -> Tensor:
    """Read a TensorProto.

    Raises:
        Malformed: it has no type, or no possible shape.
    """
    return Tensor(dtype_of(message.signed(1)), parse_shape(message.message(2)), message)
