"""Read a table of sorted keys and values: the container of both checkpoint formats.

Source: TensorFlow's `core/lib/io/table_format.txt`, `format.cc` and `block.cc` (from LevelDB).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from converters.files.checkpoint.checksums import masked_crc32c
from converters.files.checkpoint.snappy import decompress
from converters.files.errors import Malformed
from converters.files.wire import Buffer, read_varint

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER_SIZE = 48  # two block handles padded to 40 bytes, and the magic number
_TRAILER_SIZE = 5  # a byte for the compression, and a checksum
_MAX_KEY = 1 << 13  # bytes; a variable name is a few hundred at most
# Keys share prefixes, so a small block can spell out long keys; real ones do so about tenfold.
_MAX_KEY_EXPANSION = 64


class Table:
    """A table in memory; blocks are decoded, and their checksums checked, when needed.

    Args:
        data: the whole file.

    Raises:
        Malformed: here and in every method, if the bytes break the format.
    """

    def __init__(self, data: Buffer) -> None:
        self._data = memoryview(data)
        footer = self._data[-_FOOTER_SIZE:]
        if len(footer) < _FOOTER_SIZE or footer[-8:] != MAGIC:
            raise Malformed(
                "it does not end as a TensorFlow checkpoint does: it is cut short or another format"
            )
        _, position = _read_handle(footer, 0)  # the metaindex block, which TensorFlow leaves empty
        index, _ = _read_handle(footer, position)
        self._last_keys: list[bytes] = []  # of each block: no less than any key in it
        self._handles: list[tuple[int, int]] = []
        for key, value in self._entries(index):
            self._last_keys.append(key)
            self._handles.append(_read_handle(value, 0)[0])
        for handle in self._handles:
            self._check_handle(handle)
        self._cached: tuple[int, dict[bytes, memoryview]] = (-1, {})

    def items(self) -> Iterator[tuple[bytes, memoryview]]:
        """All keys, in strictly rising order, with their values."""
        for index in range(len(self._handles)):
            yield from self._block_items(index)

    def get(self, key: bytes) -> memoryview | None:
        """The value of `key`; None where the table has none."""
        index = bisect_left(self._last_keys, key)
        if index == len(self._handles):
            return None
        if self._cached[0] != index:  # neighbours are asked for together: keep one block
            self._cached = index, dict(self._block_items(index))
        return self._cached[1].get(key)

    def _block_items(self, index: int) -> Iterator[tuple[bytes, memoryview]]:
        """The items of one block, whose keys must lie between its neighbours'."""
        floor = self._last_keys[index - 1] if index else None
        for key, value in self._entries(self._handles[index]):
            if key > self._last_keys[index] or (floor is not None and key <= floor):
                raise Malformed("its keys are out of order")
            yield key, value

    def _entries(self, handle: tuple[int, int]) -> Iterator[tuple[bytes, memoryview]]:
        """Decode one block: entries of a key's shared length, own length and value length."""
        block = memoryview(self._block(handle))
        restarts = int.from_bytes(block[-4:], "little")  # the seek points at the end; not needed
        stop = len(block) - 4 * (restarts + 1)
        if stop < 0:
            raise Malformed("a block in it is cut short")
        position, key, budget = 0, None, _MAX_KEY_EXPANSION * (handle[1] + _TRAILER_SIZE)
        while position < stop:
            shared, position = read_varint(block, position)
            own, position = read_varint(block, position)
            size, position = read_varint(block, position)
            end = position + own + size
            if end > stop or shared > len(key or b"") or shared + own > _MAX_KEY:
                raise Malformed("an entry of a block in it is cut short")
            previous, key = key, (key or b"")[:shared] + bytes(block[position : position + own])
            budget -= len(key)
            if (previous is not None and key <= previous) or budget < 0:
                raise Malformed("its keys are out of order, repeated or absurdly long")
            yield key, block[position + own : end]
            position = end

    def _block(self, handle: tuple[int, int]) -> Buffer:
        """The uncompressed bytes of one block, its checksum checked."""
        self._check_handle(handle)
        offset, size = handle
        stop = offset + size
        stored = int.from_bytes(self._data[stop + 1 : stop + _TRAILER_SIZE], "little")
        if masked_crc32c(self._data[offset : stop + 1]) != stored:
            raise Malformed(f"the checksum of the block at byte {offset} does not match")
        compression = self._data[stop]
        if compression == 0:
            return self._data[offset:stop]
        if compression == 1:
            return decompress(self._data[offset:stop])
        raise Malformed(f"the block at byte {offset} has the unknown compression {compression}")

    def _check_handle(self, handle: tuple[int, int]) -> None:
        if sum(handle) > len(self._data) - _FOOTER_SIZE - _TRAILER_SIZE:
            raise Malformed("a block in it lies past its end")


def _read_handle(data: Buffer, position: int) -> tuple[tuple[int, int], int]:
    """The (offset, size) of a block, in bytes, and the position after it."""
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return (offset, size), position
