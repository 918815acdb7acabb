"""Write V2 checkpoints that a plain `tf.compat.v1.train.Saver` restores, with NumPy alone.

Source: TensorFlow's `core/protobuf/tensor_bundle.proto` and `core/lib/io/table_builder.cc`.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np

from converters.files.checkpoint.checksums import masked_crc32c
from converters.files.checkpoint.table import MAGIC
from converters.files.dtypes import number_of
from converters.files.wire import encode_varint
from slim_resnet.files import atomic_folder, sync

_BLOCK_SIZE = 1 << 18  # bytes of keys and values in a block, as TensorFlow cuts them
_HEADER = b"\x08\x01\x1a\x02\x08\x01"  # BundleHeaderProto: one shard, little-endian, version 1


def write_bundle(prefix: str | os.PathLike, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes a checkpoint `prefix`.index and `prefix`.data-00000-of-00001, whole or not at all.

    Args:
        prefix: the path, without suffix; its folder must exist.
        tensors: variable name -> array of a number type, each written as it is asked for.

    Raises:
        ValueError: an array's type has no place in a checkpoint.
        OSError: the files cannot be written.
    """
    prefix = pathlib.Path(prefix)
    data_name = f"{prefix.name}.data-00000-of-00001"
    # An index must never stand beside another checkpoint's data, so it goes first and comes last:
    # "data" sorts before "index", and files move in that order.
    with atomic_folder(prefix.parent) as folder:
        entries = [(b"", _HEADER)]
        with open(folder / data_name, "wb") as data:
            for name in sorted(tensors, key=str.encode):
                entries.append((name.encode(), _write_tensor(data, name, tensors[name])))
        (folder / f"{prefix.name}.index").write_bytes(_table(entries))
        for path in folder.iterdir():
            sync(path)  # here, so that there is no index for a moment only
        prefix.with_name(f"{prefix.name}.index").unlink(missing_ok=True)


def _write_tensor(data, name: str, array: np.ndarray) -> bytes:
    """Appends an array to the data file; returns its BundleEntryProto."""
    array = np.asarray(array)
    number = number_of(array.dtype)
    if number is None:
        raise ValueError(f"{name}: a checkpoint cannot hold arrays of type {array.dtype}")
    raw = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    offset = data.tell()
    data.write(raw)
    shape = b"".join(_message(2, _number(1, size)) for size in array.shape)
    return (
        _number(1, number)
        + _message(2, shape)
        + (_number(4, offset) if offset else b"")
        + (_number(5, len(raw)) if raw else b"")
        + b"\x35"  # field 6, four bytes
        + masked_crc32c(raw).to_bytes(4, "little")
    )


def _table(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A LevelDB-style table of sorted entries; every key is spelled out."""
    out = bytearray()
    handles = []

    def add(block: bytes) -> bytes:
        handle = encode_varint(len(out)) + encode_varint(len(block))
        out.extend(block + b"\0")  # not compressed
        out.extend(masked_crc32c(block + b"\0").to_bytes(4, "little"))
        return handle

    block: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in entries:
        block.append((key, value))
        size += len(key) + len(value)
        if size >= _BLOCK_SIZE:
            handles.append((block[-1][0], add(_block(block))))
            block, size = [], 0
    if block:
        handles.append((block[-1][0], add(_block(block))))
    metaindex = add(_block([]))
    index = add(_block(handles))
    return bytes(out) + (metaindex + index).ljust(40, b"\0") + MAGIC


def _block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A block in which every entry is a restart point, so that none shares another's prefix."""
    body = bytearray()
    restarts = []
    for key, value in entries:
        restarts.append(len(body))
        body += b"\0" + encode_varint(len(key)) + encode_varint(len(value)) + key + value
    restarts = restarts or [0]
    return bytes(body) + np.array([*restarts, len(restarts)], "<u4").tobytes()


def _number(field: int, value: int) -> bytes:
    return encode_varint(field << 3) + encode_varint(value)


def _message(field: int, content: bytes) -> bytes:
    return encode_varint(field << 3 | 2) + encode_varint(len(content)) + content
