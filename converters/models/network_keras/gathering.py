"""Parts of an axis, in any order, of sizes that may not be known."""

from __future__ import annotations

import numpy as np

from converters.models.network_keras.builder import is_tensor, is_unknown, ops
from converters.models.network_keras.sizes import Dim, Sizes


def gathered(sizes: Sizes, value, axis: int, size: Dim, first=0):
    """`size` entries of an axis from `first` on (an integer, or a scalar tensor)."""
    if not is_unknown(size) and not is_tensor(first):
        index = [slice(None)] * len(value.shape)
        index[axis] = slice(first, first + size)
        return value[tuple(index)]
    return ops.take(value, ops.add(sizes.ruler(size), first), axis=axis)


def interleaved(sizes: Sizes, parts: list, axis: int, size: Dim):
    """The first entries of every part, then the second ones, ...

    Args:
        sizes: the model's.
        parts: tensors of one shape.
        axis: on which they meet.
        size: of one part on that axis.
    """
    if len(parts) == 1:
        return parts[0]
    places = sizes.ruler(size * len(parts))
    length = sizes.number(size)
    if is_tensor(places):
        nth = ops.floor_divide(places, len(parts))
        places = ops.add(ops.multiply(ops.mod(places, len(parts)), length), nth)
    else:
        places = np.asarray(places % len(parts) * length + places // len(parts), np.int32)
    return ops.take(ops.concatenate(parts, axis), places, axis=axis)


def broadcast(value, axis: int, rank: int):
    """A vector along one axis of a value of some rank."""
    return ops.reshape(value, tuple(-1 if at == axis else 1 for at in range(rank)))
