"""The mapping a caller gets from any file that is no TensorFlow checkpoint."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from converters.files.errors import CheckpointError, Malformed, blame

# What a file's arrays may take together: trained weights hardly compress, constants do.
_MAX_EXPANSION = 32
_SLACK = 1 << 20  # bytes


@dataclass(frozen=True)
class Entry:
    """What is known of an array before its values are read.

    Attributes:
        shape: its shape.
        dtype: its type.
        read: gives the array; may raise anything, which is then blamed on the file.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


class SourceFile(Mapping[str, np.ndarray]):
    """The arrays of a file by name, read when asked for; made by `open_source`.

    Iteration is in the order of the names. An array is read-only. A name that is not in the file
    raises KeyError, as in any mapping.

    Args:
        path: what the caller named.
        format: "frozen-graph", "saved-model", "hdf5", "npz", "keras", "torch" or "safetensors".
        files: all the files it is made of.
        entries: name -> what is known of the array.
        metadata: what the file says of itself, where its format has a place for that.
        verify: compares checksums that are not compared as the values are read.

    Raises:
        Malformed: there is nothing in it, or its arrays would take far more than the files do.
    """

    def __init__(
        self,
        path: str,
        format: str,
        files: tuple[str, ...],
        entries: Mapping[str, Entry],
        metadata: Mapping[str, str] | None = None,
        verify: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self.format = format
        self.files = files
        self.metadata = dict(metadata or {})
        self.verify = verify
        self._entries = dict(sorted(entries.items()))
        if not entries:
            raise Malformed("it holds no weights", "give the file that the weights were saved to")
        check_expansion(self.nbytes, sum(os.path.getsize(file) for file in files))

    def __getitem__(self, name: str) -> np.ndarray:
        """The values, read-only.

        Raises:
            CheckpointError: the bytes are damaged.
        """
        entry = self._entries[name]
        with blame_library(self.path, name):
            array = entry.read()
            if (array.shape, array.dtype) != (entry.shape, entry.dtype):
                raise Malformed("its type or shape has changed since it was opened")
        array = array.view()
        array.flags.writeable = False
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __repr__(self) -> str:
        return f"<SourceFile {self.path!r}: {self.format}, {len(self)} arrays>"

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array; reads no values."""
        return self._entries[name].shape

    def dtype(self, name: str) -> np.dtype:
        """The type of an array; reads no values."""
        return self._entries[name].dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(entry.nbytes for entry in self._entries.values())


def check_expansion(nbytes: int, file_size: int) -> None:
    """Raises Malformed if `nbytes` in memory are more than a file of `file_size` justifies."""
    if nbytes > _MAX_EXPANSION * file_size + _SLACK:
        raise Malformed(
            f"it says that it unpacks to {nbytes} bytes, more than {_MAX_EXPANSION} times its size",
            "save it again without compression if you trust it",
        )


@contextmanager
def blame_library(path: str, variable: str | None = None) -> Iterator[None]:
    """`blame`, around libraries that meet damaged files with errors of any type."""
    with blame(path, variable):
        try:
            yield
        except (CheckpointError, Malformed, OSError, ImportError):
            raise
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise Malformed(f"it cannot be read ({text})") from error


def add_entry(entries: dict[str, Entry], name: str, entry: Entry) -> None:
    """Puts an entry under a name that must be free, or raises Malformed."""
    if name in entries:
        raise Malformed(f"it holds two arrays called {name!r}", "give each its own name")
    entries[name] = entry


def variable_name(name: str) -> str:
    """The name of a variable from that of its tensor, which dumps by `variable.name` carry."""
    return name.removesuffix(":0")


def numeric(dtype: np.dtype) -> np.dtype:
    """The type, in the machine's byte order, of an array stored as `dtype`.

    Raises:
        Malformed: it is no type of numbers.
    """
    if dtype.kind not in "biufc":
        raise Malformed(f"it has values of type {dtype}, not numbers", "leave it out of the file")
    return dtype.newbyteorder("=")
