"""The protobuf wire format: a tiny reader, bounds-checked, and the encoding of a number.

Source: the protobuf encoding guide; the messages read with it are TensorFlow's
`tensor_bundle.proto`, `saved_tensor_slice.proto`, `tensor_shape.proto` and `tensor_slice.proto`.
"""

from __future__ import annotations

import numpy as np

from converters.files.errors import Malformed

Buffer = bytes | bytearray | memoryview

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES = 10


def read_varint(data: Buffer, position: int) -> tuple[int, int]:
    """Read an unsigned base-128 varint of at most 64 bits.

    Args:
        data: the bytes to read from.
        position: index of the varint's first byte.

    Returns:
        The value and the position after it.

    Raises:
        Malformed: if it runs past the end of `data` or past 64 bits.
    """
    if position < len(data) and data[position] < 0x80:  # the most frequent case
        return data[position], position + 1
    value = 0
    for index, byte in enumerate(data[position : position + _MAX_VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value >> 64:
                break
            return value, position + index + 1
    raise Malformed("a number in it is cut short or longer than 64 bits")


def read_varints(data: Buffer) -> np.ndarray:
    """Decode back-to-back varints (a packed repeated field), vectorised.

    Args:
        data: nothing but varints.

    Returns:
        uint64 array [count].

    Raises:
        Malformed: if the last one is cut short or one is longer than ten bytes.
    """
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets < 0x80)
    if len(octets) and (not len(ends) or ends[-1] != len(octets) - 1):
        raise Malformed("a list of numbers in it is cut short")
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    lengths = ends - starts + 1
    values = np.zeros(len(ends), np.uint64)
    longest = int(lengths.max(initial=0))
    if longest > _MAX_VARINT_BYTES:
        raise Malformed("a number in it is longer than 64 bits")
    for index in range(longest):
        rows = np.flatnonzero(lengths > index)
        digits = (octets[starts[rows] + index] & 0x7F).astype(np.uint64)
        values[rows] |= digits << np.uint64(7 * index)
    return values


def encode_varint(value: int) -> bytes:
    """The bytes from which `read_varint` reads `value`, which is not negative."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Message:
    """One parsed protobuf message, its fields by number.

    Args:
        data: the serialized message; field values are views of it, not copies.

    Raises:
        Malformed: if `data` is not a well-formed message.
    """

    def __init__(self, data: Buffer) -> None:
        self._fields: dict[int, list[int | memoryview]] = {}
        view = memoryview(data)
        position = 0
        while position < len(view):
            tag, position = read_varint(view, position)
            value, position = _read_value(view, position, tag & 7)
            self._fields.setdefault(tag >> 3, []).append(value)

    def unsigned(self, field: int) -> int:
        """The last value of an unsigned or fixed-width field; 0 where it is absent."""
        value = self._fields.get(field, [0])[-1]
        if not isinstance(value, int):
            raise Malformed(f"field {field} of a record in it holds bytes, not a number")
        return value

    def signed(self, field: int) -> int:
        """The last value of an int32 or int64 field; 0 where it is absent."""
        value = self.unsigned(field)
        return value - (1 << 64) if value >> 63 else value

    def buffers(self, field: int) -> list[memoryview]:
        """Every value of a length-delimited field."""
        values = self._fields.get(field, [])
        if not all(isinstance(value, memoryview) for value in values):
            raise Malformed(f"field {field} of a record in it holds a number, not bytes")
        return values

    def messages(self, field: int) -> list[Message]:
        """Every value of a field of messages."""
        return [Message(value) for value in self.buffers(field)]

    def message(self, field: int) -> Message:
        """The last value of a field of messages; an empty message where it is absent."""
        return Message(self._last_buffer(field))

    def string(self, field: int) -> str:
        """The last value of a string field; "" where it is absent."""
        return decode(self._last_buffer(field))

    def __contains__(self, field: int) -> bool:
        return field in self._fields

    def _last_buffer(self, field: int) -> Buffer:
        return (self.buffers(field) or [b""])[-1]


def decode(text: Buffer) -> str:
    """UTF-8 bytes as text.

    Raises:
        Malformed: if they are not UTF-8.
    """
    try:
        return str(text, "utf-8")
    except UnicodeDecodeError:
        raise Malformed("a name in it is not UTF-8 text") from None


def _read_value(view: memoryview, position: int, kind: int) -> tuple[int | memoryview, int]:
    """The value at `position` of wire type `kind`, and the position after it."""
    if kind == _VARINT:
        return read_varint(view, position)
    if kind == _BYTES:
        size, position = read_varint(view, position)
    elif kind in _FIXED_SIZES:
        size = _FIXED_SIZES[kind]
    else:
        raise Malformed(f"a record in it has the unknown wire type {kind}")
    stop = position + size
    if stop > len(view):
        raise Malformed("a record in it is cut short")
    value = view[position:stop]
    return (value if kind == _BYTES else int.from_bytes(value, "little")), stop
