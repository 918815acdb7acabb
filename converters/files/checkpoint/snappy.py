"""Decompress the raw Snappy format (no framing).

Source: Snappy's `format_description.txt`.
"""

from __future__ import annotations

from converters.files.errors import Malformed
from converters.files.wire import Buffer, read_varint


def decompress(data: Buffer) -> bytearray:
    """Decompress one raw Snappy stream.

    The output never grows past 64/3 of the input: the densest element is a copy of 64 bytes
    written in three. A length claimed beyond that is a lie and refused at once.

    Args:
        data: varint of the uncompressed length, then literals and copies.

    Returns:
        The uncompressed bytes.

    Raises:
        Malformed: if the stream breaks the format.
    """
    source = bytes(data)
    length, position = read_varint(source, 0)
    if 3 * length > 64 * (len(source) - position):
        raise Malformed(f"a compressed block claims an impossible {length} bytes")
    try:
        output = _elements(source, position)
    except IndexError:
        raise Malformed("a compressed block is cut short") from None
    if len(output) != length:
        raise Malformed(f"a compressed block holds {len(output)} bytes and claims {length}")
    return output


def _elements(source: bytes, position: int) -> bytearray:
    """Run the literals and copies of `source` from `position` on; IndexError if cut short."""
    output = bytearray()
    end = len(source)
    while position < end:
        tag = source[position]
        kind = tag & 3
        if kind == 0:
            size, position = _literal_size(source, position)
            output += source[position : position + size]
            position += size
            continue
        if kind == 1:
            size, offset = (tag >> 2 & 7) + 4, tag >> 5 << 8 | source[position + 1]
            position += 2
        elif kind == 2:
            size, offset = (tag >> 2) + 1, source[position + 1] | source[position + 2] << 8
            position += 3
        else:
            size = (tag >> 2) + 1
            offset = int.from_bytes(source[position + 1 : position + 5], "little")
            position += 5
        start = len(output) - offset
        if start < 0 or offset == 0:
            raise Malformed("a compressed block copies from before its start")
        if offset >= size:
            output += output[start : start + size]
        else:  # the copy runs into its own output: the last `offset` bytes, over and over
            output += (output[start:] * (size // offset + 1))[:size]
    if position > end:
        raise IndexError
    return output


def _literal_size(source: bytes, position: int) -> tuple[int, int]:
    """Bytes in the literal whose tag is at `position`, and where they start."""
    size, position = (source[position] >> 2) + 1, position + 1
    if size <= 60:
        return size, position
    width = size - 60  # a longer size follows the tag, in one to four bytes
    return int.from_bytes(source[position : position + width], "little") + 1, position + width
