"""Shapes of arrays, as TensorFlow's files have them.

Source: TensorFlow's `core/framework/tensor_shape.proto`.
"""

from __future__ import annotations

import math

from converters.files.errors import Malformed
from converters.files.wire import Message

Shape = tuple[int, ...]

_MAX_RANK = 32  # what every NumPy can hold
_MAX_BYTES = 2**62  # of the widest type, in an array of this shape
_WIDEST = 16


def parse_shape(message: Message) -> Shape:
    """Read a TensorShapeProto.

    Raises:
        Malformed: if it is unknown, negative, or beyond what an array can have.
    """
    shape = tuple(dim.signed(1) for dim in message.messages(2))
    if message.unsigned(3) or min(shape, default=0) < 0:
        raise Malformed(f"its shape {list(shape)} is not fully known")
    # Axes of length 0 must not hide absurd ones: NumPy refuses those too.
    if len(shape) > _MAX_RANK or math.prod(dim or 1 for dim in shape) * _WIDEST > _MAX_BYTES:
        raise Malformed("its shape is too large for any array")
    return shape
