"""`.npy` files of dictionaries of arrays, as caffe-tensorflow and others pickled them.

Of a pickle only its data is made: dictionaries, lists, texts, numbers, and NumPy arrays of numbers.

Source: `numpy.lib.format`, NumPy's `ndarray.__reduce__` and Python's `pickletools.py`.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib import format as npy

from converters.files.errors import Malformed
from converters.files.memory_maps import mapped
from converters.files.pickles import check_instructions
from converters.files.weights_file import (
    Entry,
    WeightsFile,
    add_entry,
    blame_library,
    checked,
    numeric,
    variable_name,
)

_MAX_DEPTH = 8  # of dictionaries in dictionaries
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def open_npy(path: str) -> WeightsFile:
    """The arrays of a pickled dictionary; those of inner dictionaries, and of lists, are named
    OUTER/INNER and OUTER/0.

    Raises:
        CheckpointError: it is damaged, holds one array without names, or anything else than
            arrays, texts, numbers, lists and dictionaries.
    """
    entries: dict[str, Entry] = {}
    with blame_library(path):
        for name, array in _arrays(_pickled(io.BytesIO(bytes(mapped(path))))):
            entry = Entry(array.shape, numeric(array.dtype), lambda array=array: array)
            add_entry(entries, variable_name(name), entry)
        return WeightsFile(path, "npy", (path,), checked(path, (path,), entries))


@dataclass(frozen=True)
class Header:
    """What an `.npy` file says before its values, which begin at `start`."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    start: int


def read_header(file: io.BytesIO) -> Header:
    """The header that `file` begins with.

    Raises:
        Malformed: it is of a version that no array of numbers needs, or has an impossible shape.
    """
    read = _HEADERS.get(npy.read_magic(file))
    if read is None:
        raise Malformed("it is of a version of .npy that no array of numbers needs")
    shape, fortran, dtype = read(file)
    if min(shape, default=0) < 0:
        raise Malformed(f"it has the impossible shape {list(shape)}")
    return Header(shape, fortran, dtype, file.tell())


def _pickled(file: io.BytesIO) -> object:
    """What the one item of an array of objects holds."""
    header = read_header(file)
    if not header.dtype.hasobject:
        raise Malformed(
            "it is one array (.npy), without the names of variables", "save them as .npz"
        )
    if header.shape not in ((), (1,)):
        raise Malformed(f"it is an array {list(header.shape)} of objects, not one dictionary")
    check_instructions(file)
    file.seek(header.start)
    found = _Unpickler(file, encoding="latin1").load()  # as Python 2 wrote texts, and bytes
    array = found if isinstance(found, _Array) else None
    return array.values[0] if array and isinstance(array.values, list) else found


# A pickle can set the attributes of other classes, and here it does: by `__setstate__` alone.


class _DType:
    """A data type of numbers as NumPy pickles it; `of` is None for objects."""

    __slots__ = ("of",)

    def __init__(self, name: object, *_: object) -> None:
        text = name.decode("ascii") if isinstance(name, bytes) else name
        if not isinstance(text, str) or len(text) > 4:
            raise Malformed("a type in it is none of numbers")
        self.of = None if text.startswith("O") else np.dtype(text)
        if self.of is not None:
            numeric(self.of)

    def __setstate__(self, state: tuple) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if self.of is not None:
            self.of = self.of.newbyteorder(order)


class _Array:
    """An array as NumPy pickles it: made empty, then given its state."""

    __slots__ = ("values",)

    def __init__(self, *_: object) -> None:
        self.values: np.ndarray | list | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _DType):
            raise Malformed("an array in it has no type")
        if dtype.of is None:
            self.values = data if isinstance(data, list) and len(data) == 1 else None
            return
        raw = data.encode("latin1") if isinstance(data, str) else data
        array = np.frombuffer(raw, dtype.of).reshape(shape, order="F" if fortran else "C")
        self.values = array.astype(numeric(dtype.of), copy=False)


class _Scalar(NamedTuple):
    """One number as NumPy pickles it."""

    dtype: object
    raw: object


def _encoded(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise Malformed(f"it has bytes in the encoding {encoding!r}")
    return text.encode("latin1")


_KNOWN = {
    **{
        (f"numpy.{core}.multiarray", name): made
        for core in ("core", "_core")
        for name, made in {"_reconstruct": _Array, "scalar": _Scalar}.items()
    },
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encoded,
    ("collections", "OrderedDict"): dict,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        known = _KNOWN.get((module, name))
        if known is None:
            raise Malformed(
                f"it holds more than arrays in dictionaries ({module}.{name})",
                "save the arrays with numpy.savez",
            )
        return lambda *arguments: known(*arguments)  # a pickle could set attributes of `known`

    def persistent_load(self, pid: object) -> object:
        raise Malformed("it refers to something outside it")


def _arrays(found: object, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays in dictionaries and lists, by their path; numbers and texts are left out."""
    if depth > _MAX_DEPTH or not isinstance(found, (dict, list, tuple)):
        raise Malformed("it is no dictionary of arrays", "save the arrays with numpy.savez")
    items = found.items() if isinstance(found, dict) else enumerate(found)
    for key, value in items:
        name = prefix + _name(key)
        if isinstance(value, (dict, list)) or type(value) is tuple:
            yield from _arrays(value, f"{name}/", depth + 1)
        elif isinstance(value, _Array):
            if not isinstance(value.values, np.ndarray):
                raise Malformed(f"its {name} is an array of objects", "save arrays of numbers")
            yield name, value.values


def _name(key: object) -> str:
    """A key of a dictionary, or the place in a list, as a part of a variable's name."""
    if isinstance(key, bytes):
        return key.decode("latin1")
    if isinstance(key, (str, int)):
        return str(key)
    raise Malformed(f"a key in it is {type(key).__name__}, not a text")
