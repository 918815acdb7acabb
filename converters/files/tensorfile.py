"""The mapping a caller gets: variable names to arrays, whatever the format behind it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from converters.files.dtypes import DType
from converters.files.errors import CheckpointError, blame


class Piece(Protocol):
    """Values of a variable that lie together in one file: all of them, or those of a slice."""

    path: str

    def read(self) -> np.ndarray:
        """The values, in the piece's shape, as stored; Malformed or OSError if that fails."""

    def check(self) -> None:
        """Malformed or OSError if the bytes do not match their checksum."""


@dataclass(frozen=True)
class Variable:
    """What is known of a variable before its values are read.

    Attributes:
        dtype: its data type.
        shape: its whole shape.
        axis: the axis along which `pieces` are joined.
        pieces: its values, in order.
    """

    dtype: DType
    shape: tuple[int, ...]
    axis: int
    pieces: tuple[Piece, ...]


class TensorFile(Mapping[str, np.ndarray]):
    """The variables of a checkpoint, read when asked for; made by `open_checkpoint`.

    Iteration is in the order of the file, which is that of the names' bytes. An array is read-only
    and, in a V2 checkpoint, a view of the file that copies nothing (and so may be unaligned); keep
    the file unchanged as long as it is in use. The exceptions, which are copies: partitioned
    variables are joined, bfloat16 becomes float32, big-endian values get the machine's order.

    A name that is not in the checkpoint raises KeyError, as in any mapping.

    Attributes:
        path: the prefix that names the checkpoint, such as "model.ckpt-60".
        format: "tf-v2" or "tf-v1".
        files: all the files it is made of.
    """

    def __init__(
        self, path: str, format: str, files: tuple[str, ...], variables: dict[str, Variable]
    ) -> None:
        self.path = path
        self.format = format
        self.files = files
        self._variables = dict(sorted(variables.items(), key=lambda item: item[0].encode()))

    def __getitem__(self, name: str) -> np.ndarray:
        """The values of a variable, read-only.

        Raises:
            CheckpointError: if the variable holds strings, or its bytes are damaged.
        """
        variable = self._variables[name]
        if not variable.dtype.readable:
            raise CheckpointError(
                f"{self.path}, variable {name!r}: it is a {variable.dtype.name} tensor, which "
                "cannot be read as an array; leave it out."
            )
        arrays = []
        for piece in variable.pieces:
            with blame(piece.path, name):
                arrays.append(variable.dtype.present(piece.read()))
        array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=variable.axis)
        array.flags.writeable = False
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)

    def __contains__(self, name: object) -> bool:
        return name in self._variables

    def __repr__(self) -> str:
        return f"<TensorFile {self.path!r}: {self.format}, {len(self)} variables>"

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a variable; reads no values."""
        return self._variables[name].shape

    def dtype(self, name: str) -> np.dtype:
        """The type of the array of a variable (`object` if it cannot be read); reads no values."""
        return self._variables[name].dtype.returned

    @property
    def nbytes(self) -> int:
        """Bytes of all variables that can be read, as stored."""
        readable = (v for v in self._variables.values() if v.dtype.readable)
        return sum(math.prod(v.shape) * v.dtype.stored.itemsize for v in readable)

    def verify(self, name: str | None = None) -> None:
        """Check the stored checksums of one variable, or of all; strings are not checked.

        Raises:
            CheckpointError: naming the first variable, and the file, whose bytes do not match.
        """
        for each in self._variables if name is None else [name]:
            variable = self._variables[each]
            for piece in variable.pieces if variable.dtype.readable else ():
                with blame(piece.path, each):
                    piece.check()
