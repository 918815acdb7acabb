"""Write safetensors files from arrays of any layout, a slab at a time.

`safetensors.numpy.save_file` wants every array contiguous, and so a second copy of a whole network
in memory before the first byte is written. Here a transposed view of a mapped file is enough.

Source: https://github.com/huggingface/safetensors#format: the length of the header (8 bytes,
little-endian), the header (JSON), the values in C order, little-endian, without gaps.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping

import numpy as np

from converters.recognise.transforms import contiguous

_NAMES = {"f8": "F64", "f4": "F32", "f2": "F16", "i8": "I64", "i4": "I32", "u1": "U8", "i1": "I8"}
_SLAB = 1 << 20  # bytes; it stays in the cache between its filling and its writing
_BATCH = 4 << 20  # bytes that go to the disk together


def write_safetensors(
    tensors: Mapping[str, np.ndarray], path: str | os.PathLike, metadata: Mapping[str, str]
) -> None:
    """Writes what `save_file` would; the arrays need not be contiguous.

    Raises:
        ValueError: an array's type has no place here.
        OSError: the file cannot be written.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    # The widest types first: then every array starts at a multiple of its item's size.
    names = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    end = 0
    for name in names:
        array = tensors[name]
        kind = _NAMES.get(array.dtype.str[1:])
        if kind is None:
            raise ValueError(f"{name}: no safetensors type is known for {array.dtype}")
        start, end = end, end + array.nbytes
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": (start, end)}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        begun = 0
        for slab in itertools.chain.from_iterable(_slabs(tensors[name]) for name in names):
            file.write(slab)
            if file.tell() - begun >= _BATCH:
                _start_to_store(file.fileno(), begun, file.tell() - begun)
                begun = file.tell()


def _slabs(array: np.ndarray) -> Iterator[np.ndarray]:
    """The values in C order, little-endian, in contiguous parts of about `_SLAB` bytes."""
    rows = np.atleast_2d(array)
    step = max(1, _SLAB * len(rows) // max(1, rows.nbytes))
    for start in range(0, len(rows), step):
        slab = contiguous(rows[start : start + step])
        yield slab.astype(slab.dtype.newbyteorder("<"), copy=False)


def _start_to_store(fd: int, start: int, size: int) -> None:
    """Lets the disk take what was written while we go on: a later fsync has less to wait for."""
    if hasattr(os, "posix_fadvise"):  # not on macOS
        os.posix_fadvise(fd, start, size, os.POSIX_FADV_DONTNEED)
