"""`WeightsFile`: the contract of everything that holds weights, whatever its format."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from converters.files.errors import CheckpointError, Malformed, blame
from converters.files.graphdef import Graph

# What a file's arrays may take together: trained weights hardly compress, constants do.
_MAX_EXPANSION = 32
_SLACK = 1 << 20  # bytes


def _nothing() -> None:
    """The check of a format that compares its checksums as values are read, or has none."""


def _no_graph() -> None:
    """The graph of a file that has none."""


@dataclass(frozen=True)
class Entry:
    """What is known of an array before its values are read.

    Attributes:
        shape: its shape.
        dtype: its type; `object` where it cannot be read as an array.
        read: gives the array; may raise anything, which is then blamed on the file.
        check: compares its checksum where reading does not; raises as `read`.
        stored: its type in the file, where that is another.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]
    check: Callable[[], None] = _nothing
    stored: np.dtype | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the values, as stored; 0 where they cannot be read."""
        itemsize = (self.stored or self.dtype).itemsize
        return 0 if self.dtype.hasobject else math.prod(self.shape) * itemsize


class WeightsFile(Mapping[str, np.ndarray]):
    """The arrays of a file by name, read when asked for; made by `open_weights`.

    Iteration is in the order of the names. An array is read-only, and a view of the file where its
    format allows that (keep the file unchanged as long as it is in use). A name that is not in the
    file raises KeyError, as in any mapping.

    Args:
        path: what names the file: of a checkpoint its prefix, such as "model.ckpt-60".
        format: "tf-v1", "tf-v2", "frozen-graph", "saved-model", "hdf5", "npz", "npy", "keras",
            "torch", "safetensors" or "memory".
        files: all the files it is made of.
        entries: name -> what is known of the array.
        metadata: what the file says of itself, where its format has a place for that.
        graph: reads the graph that the file holds, or that lies beside it; None where there is
            none.
        notes: what a user should know of how it was read, a sentence each.
        origins: name -> the name in the file, where `renamed` gave another.
        dropped: the names in the file of what `renamed` left out.
    """

    def __init__(
        self,
        path: str,
        format: str,
        files: tuple[str, ...],
        entries: Mapping[str, Entry],
        *,
        metadata: Mapping[str, str] | None = None,
        graph: Callable[[], Graph | None] = _no_graph,
        notes: tuple[str, ...] = (),
        origins: Mapping[str, str] | None = None,
        dropped: tuple[str, ...] = (),
    ) -> None:
        self.path = path
        self.format = format
        self.files = files
        self.metadata = dict(metadata or {})
        self.graph = graph
        self.notes = notes
        self.origins = dict(origins or {})
        self.dropped = dropped
        self._entries = dict(sorted(entries.items()))

    @classmethod
    def of_arrays(cls, path: str, arrays: Mapping[str, np.ndarray]) -> WeightsFile:
        """Arrays in memory; `path` says where they came from."""
        entries = {
            name: Entry(array.shape, array.dtype, lambda array=array: array)
            for name, array in arrays.items()
        }
        return cls(path, "memory", (), entries)

    def __getitem__(self, name: str) -> np.ndarray:
        """The values, read-only.

        Raises:
            CheckpointError: the bytes are damaged, or cannot be read as an array.
        """
        entry = self._entries[name]
        with blame_library(self.path, name):
            array = entry.read()
            if (array.shape, array.dtype) != (entry.shape, entry.dtype):
                raise Malformed("its type or shape has changed since it was opened")
        array = np.asarray(array).view()
        array.flags.writeable = False
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __repr__(self) -> str:
        return f"<WeightsFile {self.path!r}: {self.format}, {len(self)} variables>"

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array; reads no values."""
        return self._entries[name].shape

    def dtype(self, name: str) -> np.dtype:
        """The type of an array (`object` if it cannot be read as one); reads no values."""
        return self._entries[name].dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays that can be read."""
        return sum(entry.nbytes for entry in self._entries.values())

    def verify(self, name: str | None = None) -> None:
        """Compares the stored checksums of one array, or of all.

        Raises:
            CheckpointError: naming the first array, and the file, whose bytes do not match.
        """
        for each in self._entries if name is None else [name]:
            entry = self._entries[each]
            with blame_library(self.path, each):
                entry.check()

    def renamed(
        self,
        origins: Mapping[str, str],
        views: Mapping[str, Callable[[np.ndarray], np.ndarray]],
        *,
        notes: tuple[str, ...] = (),
        dropped: tuple[str, ...] = (),
    ) -> WeightsFile:
        """The same file under other names.

        Args:
            origins: new name -> name here; what is not in it is left out.
            views: new name -> what changes the layout of the array, where that changes.
            notes: more of them.
            dropped: the names here that are left out on purpose.

        Raises:
            ValueError: a view does not fit its array; the message begins with the new name.
        """
        entries = {
            name: _viewed(self._entries[origin], views.get(name))
            for name, origin in origins.items()
        }
        return WeightsFile(
            self.path,
            self.format,
            self.files,
            entries,
            metadata=self.metadata,
            graph=self.graph,
            notes=(*self.notes, *notes),
            origins=origins,
            dropped=dropped,
        )


def _viewed(entry: Entry, view: Callable[[np.ndarray], np.ndarray] | None) -> Entry:
    if view is None:
        return entry
    # A view of one zero has the shape and takes no memory.
    shape = view(np.broadcast_to(np.float32(0), entry.shape)).shape
    return replace(entry, shape=shape, read=lambda: view(entry.read()))


def checked(path: str, files: tuple[str, ...], entries: Mapping[str, Entry]) -> Mapping[str, Entry]:
    """`entries`, of a file whose arrays may be compressed.

    Raises:
        Malformed: there is nothing in it, or its arrays would take far more than the files do.
    """
    if not entries:
        raise Malformed("it holds no weights", "give the file that the weights were saved to")
    nbytes = sum(entry.nbytes for entry in entries.values())
    check_expansion(nbytes, sum(os.path.getsize(file) for file in files))
    return entries


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
