"""Variables of a checkpoint, whole or in pieces, as entries of a `WeightsFile`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from converters.files.dtypes import DType
from converters.files.errors import Malformed, blame
from converters.files.weights_file import Entry


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
        name: its name.
        dtype: its data type.
        shape: its whole shape.
        axis: the axis along which `pieces` are joined.
        pieces: its values, in order.
        damage: why its values cannot be read; "" if they can.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    axis: int = 0
    pieces: tuple[Piece, ...] = ()
    damage: str = ""

    def entry(self) -> Entry:
        """Read when asked for: partitioned variables are joined, bfloat16 becomes float32."""
        returned = np.dtype(object) if self.damage else self.dtype.returned
        return Entry(self.shape, returned, self._read, self._check, self.dtype.stored)

    def _read(self) -> np.ndarray:
        if not self.dtype.readable:
            raise Malformed(
                f"it is a {self.dtype.name} tensor, which cannot be read as an array",
                "leave it out",
            )
        if self.damage:
            raise Malformed(self.damage, "leave it out, or take another checkpoint")
        arrays = []
        for piece in self.pieces:
            with blame(piece.path, self.name):
                arrays.append(self.dtype.present(piece.read()))
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=self.axis)

    def _check(self) -> None:
        for piece in self.pieces if self.dtype.readable else ():
            with blame(piece.path, self.name):
                piece.check()
