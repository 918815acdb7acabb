"""HDF5 files whose datasets are named by variables, slashes being groups.

Source: the HDF5 file format specification, as h5py reads it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

import h5py
import numpy as np

from converters.files.errors import Malformed
from converters.files.memory_maps import mapped
from converters.files.weights_file import (
    Entry,
    WeightsFile,
    add_entry,
    blame_library,
    check_expansion,
    checked,
    numeric,
    variable_name,
)
from converters.files.wire import Buffer

_MAX_DEPTH = 32  # groups in groups
_HEAP = re.compile(rb"GCOL\x01")  # the signature of a global heap collection, and its version
_HEAP_HEADER = 16  # bytes, of a collection and of each object in it


def open_hdf5(path: str) -> WeightsFile:
    """The datasets of an HDF5 file, by their paths without ":0"; its metadata are its attributes.

    Raises:
        CheckpointError: it is damaged, points to other files, or unpacks to far more than its size.
    """
    entries: dict[str, Entry] = {}
    with blame_library(path), open_file(path) as file:
        for name, dataset in datasets(file):
            add_entry(entries, variable_name(name), dataset_entry(path, dataset))
        told = {name: value for name, value in file.attrs.items() if isinstance(value, str)}
        return WeightsFile(path, "hdf5", (path,), checked(path, (path,), entries), metadata=told)


def open_file(content: str | bytes) -> h5py.File:
    """An HDF5 file, given by its path or its bytes, that the library can be trusted with.

    Raises:
        Malformed: a collection of strings is damaged in a way that the library (HDF5 1.14.6) reads
            without end; what h5py raises of a damaged file passes.
    """
    data = mapped(content) if isinstance(content, str) else memoryview(content)
    for found in re.finditer(_HEAP, data):
        _check_heap(data[found.start() :])
    return _open(content)


def _open(content: str | bytes) -> h5py.File:
    if isinstance(content, str):
        return h5py.File(content, "r")
    return h5py.File(h5py.h5f.open_file_image(content))


def _check_heap(data: Buffer) -> None:
    """`data` begins with a global heap collection: objects of a size, and the space after them."""
    end = min(len(data), int.from_bytes(data[8:16], "little"))
    position = _HEAP_HEADER
    while position + _HEAP_HEADER <= end:
        index = int.from_bytes(data[position : position + 2], "little")
        size = int.from_bytes(data[position + 8 : position + 16], "little")
        if index == 0 and size < _HEAP_HEADER:
            raise Malformed("a collection of its strings is damaged")
        position += _HEAP_HEADER + (size + 7) // 8 * 8 if index else size


def datasets(group: h5py.Group) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every dataset below a group, with its path relative to it.

    Raises:
        Malformed: an object is there twice, nested too deep, or in another file.
    """
    seen = set()
    stack = [("", group, 0)]
    while stack:
        path, item, depth = stack.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in seen or depth > _MAX_DEPTH:
            raise Malformed(f"its object {path!r} is in itself, there twice, or nested too deep")
        seen.add(address)
        if isinstance(item, h5py.Dataset):
            yield path, item
        elif isinstance(item, h5py.Group):
            for name in item:
                if not isinstance(item.get(name, getlink=True), h5py.HardLink):
                    raise Malformed(
                        f"its object {name!r} is a link, which may lead out of the file",
                        "save the arrays themselves",
                    )
                stack.append((f"{path}/{name}" if path else name, item[name], depth + 1))


def dataset_entry(content: str | bytes, dataset: h5py.Dataset) -> Entry:
    """A dataset as an `Entry`, which opens the file again when it is read.

    Args:
        content: the path of the HDF5 file, or its bytes.
        dataset: a dataset in it.

    Raises:
        Malformed: it holds no numbers, has its values elsewhere, or less of them than it says.
    """
    if dataset.is_virtual or dataset.external:
        raise Malformed(
            f"the values of its dataset {dataset.name!r} are in other files",
            "save the arrays themselves",
        )
    if dataset.shape is None:
        raise Malformed(f"its dataset {dataset.name!r} is empty")
    check_expansion(dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size())
    dtype = numeric(dataset.dtype)
    return Entry(dataset.shape, dtype, functools.partial(_read, content, dataset.name, dtype))


def _read(content: str | bytes, name: str, dtype: np.dtype) -> np.ndarray:
    with _open(content) as file:
        return np.asarray(file[name][()]).astype(dtype, copy=False)
