"""Changes of layout between slim's arrays and others': values move and never change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TILE = 64  # with more columns at once, reads down a column push each other out of the cache


@dataclass(frozen=True)
class Transform:
    """A change of layout that moves values and never changes them.

    First the two spatial dimensions of a 1x1 kernel are dropped if `squeeze`, then the axes are
    permuted; `inverse` undoes both, bit for bit.
    """

    permutation: tuple[int, ...] | None = None
    squeeze: bool = False

    def __call__(self, array: np.ndarray) -> np.ndarray:
        if self.squeeze:
            array = array.reshape(array.shape[2:])
        return array if self.permutation is None else array.transpose(self.permutation)

    def inverse(self, array: np.ndarray) -> np.ndarray:
        if self.permutation is not None:
            array = array.transpose(np.argsort(self.permutation))
        return array.reshape(1, 1, *array.shape) if self.squeeze else array


IDENTITY = Transform()
HWIO_TO_OIHW = Transform(permutation=(3, 2, 0, 1))
CONV_TO_LINEAR = Transform(squeeze=True, permutation=(1, 0))  # [1, 1, in, out] -> [out, in]
CONV_TO_DENSE = Transform(squeeze=True)  # [1, 1, in, out] -> [in, out]
DENSE_TO_LINEAR = Transform(permutation=(1, 0))  # [in, out] -> [out, in]


@dataclass(frozen=True)
class Regroup:
    """A change of layout that splits or merges axes too, as reversible as a `Transform`.

    Attributes:
        shape: of the array that it takes.
        split: the same values seen with other axes.
        permutation: of the axes of `split`.
        merged: the permuted values seen with other axes: the shape of its result.
    """

    shape: tuple[int, ...]
    split: tuple[int, ...]
    permutation: tuple[int, ...]
    merged: tuple[int, ...]

    def __call__(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(self.split).transpose(self.permutation).reshape(self.merged)

    def inverse(self, array: np.ndarray) -> np.ndarray:
        permuted = array.reshape([self.split[axis] for axis in self.permutation])
        return permuted.transpose(np.argsort(self.permutation)).reshape(self.shape)


def contiguous(array: np.ndarray) -> np.ndarray:
    """A C-contiguous array of the same values; a transposed one is copied tile by tile.

    NumPy copies a transposed matrix row by row, which fetches each cache line once per item.
    """
    if array.ndim < 2 or array.flags.c_contiguous:
        return np.asarray(array, order="C")
    made = np.empty(array.shape, array.dtype)
    for start in range(0, array.shape[1], _TILE):
        made[:, start : start + _TILE] = array[:, start : start + _TILE]
    return made
