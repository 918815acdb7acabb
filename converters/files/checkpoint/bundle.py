"""The V2 checkpoint format: an index table, and data shards with the bare bytes of the values.

Source: TensorFlow's `core/protobuf/tensor_bundle.proto` and
`core/util/tensor_bundle/tensor_bundle.cc`.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from converters.files.checkpoint.checksums import masked_crc32c
from converters.files.checkpoint.pieces import Variable
from converters.files.checkpoint.slices import (
    Slice,
    arrange,
    check_version,
    parse_slice,
    slice_key,
)
from converters.files.checkpoint.table import Table
from converters.files.dtypes import DType, dtype_of
from converters.files.errors import Incomplete, Malformed, blame
from converters.files.memory_maps import file_size, mapped
from converters.files.shapes import Shape, parse_shape
from converters.files.wire import Buffer, Message, decode

_BYTE_ORDERS = {0: "|", 1: "S"}  # little: as `stored` says; big: swapped


def open_bundle(prefix: str) -> tuple[tuple[str, ...], dict[str, Variable]]:
    """Opens the V2 checkpoint `prefix`.index with its data shards.

    Returns:
        The files it is made of, and its variables by name.

    Raises:
        CheckpointError: if a file is missing, cut short, or its index is damaged.
    """
    index = prefix + ".index"
    with blame(index):
        items = Table(mapped(index)).items()
        shard_count, byte_order = _parse_header(*next(items, (None, b"")))
        entries = {key: _parse_entry(key, value) for key, value in items}
        shards = [
            _open_shard(f"{prefix}.data-{number:05d}-of-{shard_count:05d}")
            for number in range(shard_count)
        ]
        variables = {}
        for key in entries:
            if not key.startswith(b"\0"):  # those are slices, found from the whole they belong to
                name = decode(key)
                with blame(index, name):
                    variables[name] = _variable(name, key, entries, shards, byte_order)
        _check_disjoint(variables)
    return (index, *(shard.path for shard in shards)), variables


class _Shard:
    """A data file, mapped into memory when first read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = file_size(path)

    @cached_property
    def data(self) -> memoryview:
        data = mapped(self.path)
        if len(data) != self.size:
            raise Malformed("its size has changed since it was opened", "open it again")
        return data


@dataclass(frozen=True)
class _Entry:
    """A BundleEntryProto: where the bytes of a tensor or of a slice lie."""

    dtype: DType
    shape: Shape
    shard: int
    offset: int
    size: int
    checksum: int
    slices: list[Slice]


@dataclass(frozen=True)
class _Blob:
    """The Piece of an entry."""

    entry: _Entry
    shard: _Shard
    byte_order: str

    @property
    def path(self) -> str:
        return self.shard.path

    @property
    def span(self) -> tuple[int, int]:
        """First byte, and the one after the last."""
        return self.entry.offset, self.entry.offset + self.entry.size

    def read(self) -> np.ndarray:
        dtype = self.entry.dtype.stored.newbyteorder(self.byte_order)
        return np.ndarray(self.entry.shape, dtype, self.shard.data, self.entry.offset)

    def check(self) -> None:
        if masked_crc32c(self.shard.data[slice(*self.span)]) != self.entry.checksum:
            raise Malformed("its values do not match their checksum")


def _parse_header(key: bytes | None, value: Buffer) -> tuple[int, str]:
    """The number of shards and the byte order, from a BundleHeaderProto."""
    header = Message(value)
    shard_count = header.signed(1)
    byte_order = _BYTE_ORDERS.get(header.unsigned(2))
    if key != b"" or shard_count < 1 or byte_order is None:
        raise Malformed("it has no valid header")
    check_version(header.message(3))
    return shard_count, byte_order


def _parse_entry(key: bytes, value: Buffer) -> _Entry:
    try:
        message = Message(value)
        return _Entry(
            dtype=dtype_of(message.signed(1)),
            shape=parse_shape(message.message(2)),
            shard=message.signed(3),
            offset=message.signed(4),
            size=message.signed(5),
            checksum=message.unsigned(6),
            slices=[parse_slice(item) for item in message.messages(7)],
        )
    except Malformed as error:
        raise Malformed(f"in its entry {key!r}, {error}", error.remedy) from None


def _open_shard(path: str) -> _Shard:
    with blame(path):
        return _Shard(path)


def _variable(
    name: str, key: bytes, entries: dict[bytes, _Entry], shards: list[_Shard], byte_order: str
) -> Variable:
    """The variable stored under `key`, its pieces checked."""
    entry = entries[key]
    if not entry.slices:
        blobs = (_blob(entry, shards, byte_order),)
        return Variable(name, entry.dtype, entry.shape, pieces=blobs)
    try:
        axis, parts = arrange(entry.shape, entry.slices)
    except Incomplete as error:
        # TensorFlow 1.x leaves optimizer slots of partitioned variables so: the others are whole.
        return Variable(name, entry.dtype, entry.shape, damage=str(error))
    blobs = []
    for item, shape in parts:
        part = entries.get(slice_key(key, item))
        if part is None:
            return Variable(name, entry.dtype, entry.shape, damage="one of its slices is missing")
        if (part.dtype, part.shape, part.slices) != (entry.dtype, shape, []):
            raise Malformed("one of its slices is of another type or shape")
        blobs.append(_blob(part, shards, byte_order))
    return Variable(name, entry.dtype, entry.shape, axis, tuple(blobs))


def _blob(entry: _Entry, shards: list[_Shard], byte_order: str) -> _Blob:
    """The bytes of an entry, once they are known to exist and to suit its shape."""
    if not 0 <= entry.shard < len(shards) or entry.offset < 0 or entry.size < 0:
        raise Malformed("its entry points outside the data files")
    blob = _Blob(entry, shards[entry.shard], byte_order)
    if blob.span[1] > blob.shard.size:
        raise Malformed(
            f"its values end at byte {blob.span[1]} of {os.path.basename(blob.path)}, "
            f"which has only {blob.shard.size}"
        )
    expected = math.prod(entry.shape) * entry.dtype.stored.itemsize
    if entry.dtype.readable and entry.size != expected:
        raise Malformed(f"it takes {entry.size} bytes where its shape and type need {expected}")
    return blob


def _check_disjoint(variables: dict[str, Variable]) -> None:
    """No two blobs share bytes: so all arrays together are no larger than the files."""
    spans = sorted(
        (blob.entry.shard, *blob.span, name)
        for name, variable in variables.items()
        for blob in variable.pieces
        if blob.entry.size
    )
    for (shard, _, end, name), (next_shard, start, _, next_name) in pairwise(spans):
        if shard == next_shard and start < end:
            raise Malformed(f"the values of {name!r} and {next_name!r} overlap")
