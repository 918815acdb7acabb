"""The V1 checkpoint format: one table (or one a shard) with the values as protobufs.

Source: TensorFlow's `core/util/saved_tensor_slice.proto` and `core/util/tensor_slice_reader.cc`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from converters.files.checkpoint.pieces import Variable
from converters.files.checkpoint.slices import (
    Slice,
    arrange,
    check_version,
    parse_slice,
    slice_key,
)
from converters.files.checkpoint.table import Table
from converters.files.dtypes import DType, dtype_of, stored_values
from converters.files.errors import Incomplete, Malformed, blame
from converters.files.memory_maps import mapped
from converters.files.shapes import Shape, parse_shape
from converters.files.wire import Message


def open_v1(prefix: str, files: list[str]) -> dict[str, Variable]:
    """Opens the V1 checkpoint that is made of `files`.

    Returns:
        Its variables by name.

    Raises:
        CheckpointError: if a file is missing, cut short, or its table of contents is damaged.
    """
    listings: dict[str, list[_Listing]] = {}
    for path in files:
        with blame(path):
            for listing in _read_listings(path):
                listings.setdefault(listing.name, []).append(listing)
    variables = {}
    for name, parts in listings.items():
        with blame(prefix, name):
            variables[name] = _variable(name, parts)
    return variables


@dataclass(frozen=True)
class _Listing:
    """A SavedSliceMeta: what one file says it holds of a variable."""

    path: str
    table: Table
    name: str
    dtype: DType
    shape: Shape
    slices: list[Slice]


@dataclass(frozen=True)
class _Record:
    """The Piece of a slice: a SavedSlice in a table."""

    listing: _Listing
    item: Slice
    shape: Shape

    @property
    def path(self) -> str:
        return self.listing.path

    def read(self) -> np.ndarray:
        name = self.listing.name
        value = self.listing.table.get(slice_key(name.encode(), self.item))
        if value is None:
            raise Malformed("its values are missing")
        saved = Message(value).message(2)
        if saved.string(1) != name:
            raise Malformed(f"its values are marked as those of {saved.string(1)!r}")
        values = stored_values(saved.message(3), self.listing.dtype)
        if values.size != math.prod(self.shape):
            raise Malformed(f"it holds {values.size} values, which do not fill {list(self.shape)}")
        return values.reshape(self.shape)

    def check(self) -> None:
        self.read()  # the checksum is that of the block, and is always checked


def _read_listings(path: str) -> list[_Listing]:
    """The table of contents of one file: its value under the empty key."""
    table = Table(mapped(path))
    contents = Message(table.get(b"") or b"")
    if 1 not in contents:
        raise Malformed(
            "it is a table, but not a V1 checkpoint", "give the checkpoint's own file or prefix"
        )
    meta = contents.message(1)
    check_version(meta.message(2))
    return [_parse_listing(path, table, message) for message in meta.messages(1)]


def _parse_listing(path: str, table: Table, message: Message) -> _Listing:
    name = message.string(1)
    with blame(path, name):
        return _Listing(
            path=path,
            table=table,
            name=name,
            dtype=dtype_of(message.signed(3)),
            shape=parse_shape(message.message(2)),
            slices=[parse_slice(item) for item in message.messages(4)],
        )


def _variable(name: str, parts: list[_Listing]) -> Variable:
    """Join what the files say of one variable."""
    dtype, shape = parts[0].dtype, parts[0].shape
    if any((part.dtype, part.shape) != (dtype, shape) for part in parts):
        raise Malformed("the files disagree about its type or shape")
    owners = {item: part for part in parts for item in part.slices}
    try:
        axis, ordered = arrange(shape, [item for part in parts for item in part.slices])
    except Incomplete as error:  # see `bundle`
        return Variable(name, dtype, shape, damage=str(error))
    pieces = tuple(_Record(owners[item], item, size) for item, size in ordered)
    return Variable(name, dtype, shape, axis, pieces)
