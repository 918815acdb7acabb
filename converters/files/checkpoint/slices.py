"""Slices of partitioned variables, and the keys they are stored under.

Source: TensorFlow's `core/framework/tensor_slice.proto`, `versions.proto`,
`core/util/saved_tensor_slice_util.cc` and `core/lib/strings/ordered_code.cc`.
"""

from __future__ import annotations

from converters.files.errors import Incomplete, Malformed
from converters.files.shapes import Shape
from converters.files.wire import Message

Slice = tuple[tuple[int, int], ...]  # (start, length) of every axis

_ALL = -1  # the length that stands for a whole axis
_READER_VERSION = 1  # TF_CHECKPOINT_VERSION and kTensorBundleVersion of all TensorFlow so far


def parse_slice(message: Message) -> Slice:
    """Read a TensorSliceProto: an axis without a length is taken whole."""
    extents = message.messages(1)
    return tuple((e.signed(1), e.signed(2)) if 2 in e else (0, _ALL) for e in extents)


def check_version(message: Message) -> None:
    """Check a VersionDef.

    Raises:
        Malformed: if it asks for a reader newer than any TensorFlow known here.
    """
    if message.signed(2) > _READER_VERSION:
        raise Malformed(
            f"it asks for a reader of checkpoint version {message.signed(2)}",
            "save it again with TensorFlow 2.21 or older",
        )


def arrange(shape: Shape, slices: list[Slice]) -> tuple[int, list[tuple[Slice, Shape]]]:
    """Put the slices of a variable in order, and check that they make it up exactly.

    Args:
        shape: shape of the whole variable.
        slices: its slices; they may cut one axis only, as TensorFlow 1.x's partitioners do.

    Returns:
        The axis that is cut (0 where none is), and each slice with its shape, in order.

    Raises:
        Incomplete: if they leave a gap, overlap, or cut more than one axis.
        Malformed: if one is no slice of such a variable, or the whole is there several times.
    """
    boxes = sorted((_box(shape, item), item) for item in slices)
    cut = {axis for box, _ in boxes for axis, dim in enumerate(shape) if box[axis] != (0, dim)}
    if len(cut) > 1:
        raise Incomplete(
            "its slices cut several axes, which is not supported",
            "save it again without a partitioner",
        )
    axis = min(cut, default=0)
    if cut:
        end = 0
        for box, _ in boxes:
            if box[axis][0] != end:
                raise Incomplete("its slices overlap or leave a gap")
            end += box[axis][1]
        if end != shape[axis]:
            raise Incomplete("its slices do not reach its end")
    elif len(boxes) != 1:
        raise Malformed(f"it is stored whole {len(boxes)} times")
    return axis, [(item, tuple(length for _, length in box)) for box, item in boxes]


def slice_key(name: bytes, item: Slice) -> bytes:
    """The table key of a slice of the variable `name` (UTF-8): EncodeTensorNameSlice."""
    text = name.replace(b"\0", b"\0\xff")  # 0xFF would be escaped too, but is never in UTF-8
    parts = [_encode_unsigned(0), text, b"\0\1", _encode_unsigned(len(item))]
    return b"".join(parts + [_encode_signed(number) for extent in item for number in extent])


def _box(shape: Shape, item: Slice) -> Slice:
    """`item` with every length spelled out, checked against `shape`."""
    if len(item) != len(shape):
        raise Malformed(f"a slice has {len(item)} axes, the variable {len(shape)}")
    box = tuple((s, d if n == _ALL else n) for (s, n), d in zip(item, shape, strict=True))
    if any(s < 0 or n < 0 or s + n > d for (s, n), d in zip(box, shape, strict=True)):
        raise Malformed("a slice lies outside its shape")
    return box


def _encode_unsigned(number: int) -> bytes:
    """WriteNumIncreasing: a byte with the length, then the number, big-endian."""
    size = (number.bit_length() + 7) // 8
    return bytes([size]) + number.to_bytes(size, "big")


def _encode_signed(number: int) -> bytes:
    """WriteSignedNumIncreasing: n bytes, the upper n bits of which are inverted sign bits."""
    size = (number if number >= 0 else ~number).bit_length() // 7 + 1
    header = ((1 << size) - 1) << 7 * size
    return (number % (1 << 8 * size) ^ header).to_bytes(size, "big")
