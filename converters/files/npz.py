"""NumPy's `.npz`: a zip of `.npy` files, as `np.savez` writes it; nothing is ever unpickled.

Source: `numpy.lib.format` and the documentation of `numpy.savez`.
"""

from __future__ import annotations

import functools
import io
import math
import zipfile

import numpy as np

from converters.files.archive import open_archive, read_member
from converters.files.errors import Malformed
from converters.files.npy import Header, read_header
from converters.files.weights_file import (
    Entry,
    WeightsFile,
    add_entry,
    blame_library,
    checked,
    numeric,
    variable_name,
)

_SUFFIX = ".npy"
_MAX_HEADER = 10_000  # bytes; NumPy's own limit


def open_npz(path: str) -> WeightsFile:
    """The arrays of a `.npz`, by their names without ":0".

    Raises:
        CheckpointError: it is damaged, holds pickled objects, or unpacks to far more than its size.
    """
    entries: dict[str, Entry] = {}
    with blame_library(path):
        archive = open_archive(path)
        for member in archive.namelist():
            name = variable_name(member.removesuffix(_SUFFIX))
            with blame_library(path, name):
                add_entry(entries, name, _entry(archive, member))
        return WeightsFile(path, "npz", (path,), checked(path, (path,), entries))


def _entry(archive: zipfile.ZipFile, member: str) -> Entry:
    with archive.open(member) as file:
        header = _header(io.BytesIO(file.read(_MAX_HEADER)))
    size = math.prod(header.shape) * header.dtype.itemsize
    taken = archive.getinfo(member).file_size - header.start
    if size != taken:
        raise Malformed(f"its shape needs {size} bytes, it takes {taken}")
    read = functools.partial(_read, archive, member, header)
    return Entry(header.shape, numeric(header.dtype), read)


def _header(file: io.BytesIO) -> Header:
    header = read_header(file)
    if header.dtype.hasobject:
        raise Malformed("it is a pickled object, which could run code", "save it as an array")
    return header


def _read(archive: zipfile.ZipFile, member: str, header: Header) -> np.ndarray:
    values = np.frombuffer(read_member(archive, member), header.dtype, offset=header.start)
    array = values.reshape(header.shape, order="F" if header.fortran else "C")
    return array.astype(numeric(header.dtype), copy=False)
