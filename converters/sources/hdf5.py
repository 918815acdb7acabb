"""HDF5 files whose datasets are named by variables, slashes being groups.

Source: the HDF5 file format specification, as h5py reads it.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator

import h5py
import numpy as np

from converters.checkpoint.errors import Malformed
from converters.sources.source_file import (
    Entry,
    SourceFile,
    add_entry,
    blame_library,
    check_expansion,
    numeric,
    variable_name,
)

_MAX_DEPTH = 32  # groups in groups


def open_hdf5(path: str) -> SourceFile:
    """The datasets of an HDF5 file, by their paths without ":0".

    Raises:
        CheckpointError: it is damaged, points to other files, or unpacks to far more than its size.
    """
    entries: dict[str, Entry] = {}
    with blame_library(path), h5py.File(path, "r") as file:
        for name, dataset in datasets(file):
            add_entry(entries, variable_name(name), dataset_entry(path, dataset))
        return SourceFile(path, "hdf5", (path,), entries)


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


def dataset_entry(content: str | io.BytesIO, dataset: h5py.Dataset) -> Entry:
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


def _read(content: str | io.BytesIO, name: str, dtype: np.dtype) -> np.ndarray:
    with h5py.File(content, "r") as file:
        return np.asarray(file[name][()]).astype(dtype, copy=False)
