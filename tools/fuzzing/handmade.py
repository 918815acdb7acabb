"""Write protobufs, Snappy streams and tables by hand, whatever they contain."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from converters.files.checkpoint.checksums import masked_crc32c

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")


def varint(number: int) -> bytes:
    number %= 1 << 64
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def message(*fields: tuple[int, int | bytes]) -> bytes:
    """A protobuf message: an int is written as a varint, bytes with their length."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def snappy(data: bytes) -> bytes:
    """Compress greedily, with literals of any size and copies of all three kinds."""
    out, seen, start, at = bytearray(varint(len(data))), {}, 0, 0
    while at + 4 <= len(data):
        earlier = seen.get(data[at : at + 4])
        seen[data[at : at + 4]] = at
        if earlier is None:
            at += 1
            continue
        size = 4
        while size < 64 and at + size < len(data) and data[earlier + size] == data[at + size]:
            size += 1
        out += _literal(data[start:at]) + _copy(at - earlier, size)
        at = start = at + size
    return bytes(out + _literal(data[start:]))


def _literal(data: bytes) -> bytes:
    if not data:
        return b""
    size = len(data) - 1
    if size < 60:
        return bytes([size << 2]) + data
    width = (size.bit_length() + 7) // 8
    return bytes([59 + width << 2]) + size.to_bytes(width, "little") + data


def _copy(offset: int, size: int) -> bytes:
    if size < 12 and offset < 1 << 11:
        return bytes([offset >> 8 << 5 | size - 4 << 2 | 1, offset & 0xFF])
    if offset < 1 << 16:
        return bytes([size - 1 << 2 | 2]) + offset.to_bytes(2, "little")
    return bytes([size - 1 << 2 | 3]) + offset.to_bytes(4, "little")


def table(path, items, compress=None, per_block=8, spoil=lambda block: block) -> None:
    """Write the table that `table_bytes` makes."""
    Path(path).write_bytes(table_bytes(items, compress, per_block, spoil))


def table_bytes(items, compress=None, per_block=8, spoil=lambda block: block) -> bytes:
    """A table of `items` (key, value) in the order given.

    `compress` makes Snappy blocks; `spoil` changes the bytes of a data block before its checksum.
    """
    blocks = [items[i : i + per_block] for i in range(0, len(items), per_block)]
    out, index = bytearray(), []
    for entries in blocks:
        handle = _append(out, spoil(_block(entries)), compress)
        index.append((entries[-1][0], handle))
    meta = _append(out, _block([]), None)
    footer = (meta + _append(out, _block(index), None)).ljust(40, b"\0") + MAGIC
    return bytes(out) + footer


def _append(out: bytearray, block: bytes, compress) -> bytes:
    stored = (compress(block) if compress else block) + bytes([1 if compress else 0])
    handle = varint(len(out)) + varint(len(stored) - 1)
    out += stored + np.uint32(masked_crc32c(stored)).tobytes()
    return handle


def _block(entries) -> bytes:
    out, previous = bytearray(), b""
    for key, value in entries:
        shared = len(os.path.commonprefix([previous, key]))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        previous = key
    return bytes(out) + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")


def shape(*sizes: int) -> bytes:
    """A TensorShapeProto."""
    return message(*((2, message((1, size))) for size in sizes))


def v1_record(name: bytes, cut: bytes, field: int, values: int | bytes) -> bytes:
    """The value of a slice in a V1 table; `field` is that of the TensorProto."""
    return message((2, message((1, name), (2, cut), (3, message((field, values))))))


def v1_items() -> list[tuple[bytes, bytes]]:
    """A V1 checkpoint: n, an int64 scalar; w, float32 [4, 300] in two slices."""
    w = np.arange(1200, dtype=np.float32).reshape(4, 300) // 7
    cuts = [message((1, message((1, 2 * i), (2, 2))), (1, b"")) for i in range(2)]
    contents = message(
        (1, message((1, b"n"), (2, b""), (3, 9), (4, b""))),
        (1, message((1, b"w"), (2, shape(4, 300)), (3, 1), (4, cuts[0]), (4, cuts[1]))),
    )
    items = [(b"", message((1, contents))), (b"\0n\0\1\0", v1_record(b"n", b"", 10, b"\7"))]
    for i, cut in enumerate(cuts):
        key = b"\0w\0\1\1\2" + bytes([0x80 + 2 * i, 0x82, 0x80, 0x7F])  # 2i, 2; 0, -1
        items.append((key, v1_record(b"w", cut, 5, w[2 * i : 2 * i + 2].tobytes())))
    return items
