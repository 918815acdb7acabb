"""Sizes that are not known before the model runs, and how Keras's operations compute them.

Keras knows no symbolic sizes: what has a size that is computed is made by gathering along a ruler,
a vector 0, 1, 2, ... of that length, which itself comes from an axis of some tensor. Sizes are
the sums of `converters.graphs.sizes`, so that equal ones can be told.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from converters.graphs.sizes import Atoms, Size
from slim_resnet.frameworks import require

keras = require("keras")
ops = keras.ops

Dim = "int | Size"


class Unsized(ValueError):
    """A size that Keras cannot compute."""


class Sizes(Atoms):
    """The unknown sizes of one model."""

    def __init__(self) -> None:
        super().__init__()
        self._what: list[Hashable] = []
        self._tensors: dict[str, object] = {}
        self._rulers: dict[Size, object] = {}

    def size(self, what: Hashable) -> Size:
        found = super().size(what)
        if found.terms[0][0] == len(self._what):
            self._what.append(what)
        return found

    def axis(self, name: str, tensor, axis: int) -> Size:
        """The size of an axis of a tensor, which has the name of the value."""
        self._tensors[name] = tensor
        return self.size(("axis", name, axis))

    def ruler(self, size: Dim):
        """0, 1, 2, ... of a length: an array, or a tensor where it is not known.

        Raises:
            Unsized: Keras has no operation for it.
        """
        if not isinstance(size, Size):
            return np.arange(size, dtype=np.int32)
        if size not in self._rulers:
            self._rulers[size] = _counted(self._marks(size))
        return self._rulers[size]

    def number(self, size: Dim):
        """A size as a scalar: an integer, or a tensor where it is not known."""
        if not isinstance(size, Size):
            return size
        total = size.constant
        for atom, factor in size.terms:
            total = ops.add(ops.multiply(self._number(atom), factor), total)
        return total

    def _number(self, atom: int):
        what, *of = self._what[atom]
        if what == "product":
            return ops.multiply(*map(self.number, of))
        if what == "quotient":
            return ops.floor_divide(*map(self.number, of))
        return ops.sum(ops.ones_like(self._atom_marks(atom)))

    def _marks(self, size: Size):
        """Any vector of a length."""
        if min(factor for _, factor in size.terms) < 0:
            raise Unsized("a difference of sizes that are not known")
        parts = [self._atom_marks(atom) for atom, factor in size.terms for _ in range(factor)]
        marks = ops.concatenate(parts) if len(parts) > 1 else parts[0]
        if size.constant > 0:
            return ops.pad(marks, ((0, size.constant),))
        return marks[-size.constant :] if size.constant else marks

    def _atom_marks(self, atom: int):
        what, *of = self._what[atom]
        return _MARKS[what](self, *of)

    def _axis_marks(self, name: str, axis: int):
        tensor = self._tensors[name]
        index = tuple(slice(None) if at == axis else 0 for at in range(len(tensor.shape)))
        return ops.zeros_like(tensor[index], dtype="int32")

    def _product_marks(self, one: Size, other: Size):
        column, row = (self._marks(size) for size in (one, other))
        return ops.reshape(ops.add(ops.expand_dims(column, 1), row), (-1,))

    def _quotient_marks(self, size: Size, by: Dim):
        if isinstance(by, Size):
            raise Unsized("a ratio of sizes that are not known")
        return self._marks(size)[by - 1 :: by]


_MARKS = {
    "axis": Sizes._axis_marks,
    "product": Sizes._product_marks,
    "quotient": Sizes._quotient_marks,
}


def _counted(marks):
    """0, 1, 2, ... of the length of a vector."""
    return ops.subtract(ops.cumsum(ops.ones_like(marks, dtype="int32")), 1)


def unknown(sizes: Sequence[Dim]) -> list[int]:
    """The places of the sizes that are not known."""
    return [place for place, size in enumerate(sizes) if isinstance(size, Size)]
