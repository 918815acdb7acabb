"""Which axis of TensorFlow lies where in torch: images are channels-first, all else is as it was.

A value of rank 4 or 5 is an image, [batch, height, width, channels] in TensorFlow and [batch,
channels, height, width] here; this holds for every such value, whatever its axes mean, so that one
rule places them all. Values of other ranks have TensorFlow's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

_IMAGE_RANKS = (4, 5)
T = TypeVar("T")


def is_image(rank: int) -> bool:
    """Whether a value of this rank is held channels-first."""
    return rank in _IMAGE_RANKS


def held_order(rank: int) -> tuple[int, ...]:
    """TensorFlow's axes in the order in which torch holds them: (0, 3, 1, 2) for images."""
    if is_image(rank):
        return (0, rank - 1, *range(1, rank - 1))
    return tuple(range(rank))


def dim(axis: int, rank: int) -> int:
    """torch's dimension that holds TensorFlow's `axis`, which counts from the front."""
    return held_order(rank).index(axis % rank)


def dims(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """The same of several axes, in torch's order."""
    return tuple(sorted(dim(axis, rank) for axis in axes))


def held(values: Sequence[T]) -> tuple[T, ...]:
    """One value for each of TensorFlow's axes -> one for each of torch's dimensions."""
    return tuple(values[axis] for axis in held_order(len(values)))


def permutation(found: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...] | None:
    """What `Tensor.permute` must be given to bring axes from one order to another.

    Args:
        found: labels of the axes as they lie.
        wanted: the same labels as they should lie.

    Returns:
        For each dimension of the result the one that it comes from; None where nothing moves.
    """
    order = tuple(list(found).index(label) for label in wanted)
    return None if order == tuple(range(len(order))) else order


def to_held(rank: int) -> tuple[int, ...] | None:
    """The permutation from TensorFlow's order to torch's; None where they are the same."""
    return permutation(range(rank), held_order(rank))


def from_held(rank: int) -> tuple[int, ...] | None:
    """The permutation from torch's order to TensorFlow's; None where they are the same."""
    return permutation(held_order(rank), range(rank))
