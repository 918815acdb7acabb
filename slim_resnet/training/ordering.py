"""Which images make up the batch of a step. NumPy only.

The order is a permutation drawn for each epoch, so that a step's images are a function of the seed
and the number of the step, whatever framework trains and wherever it began.
"""

from __future__ import annotations

import functools

import numpy as np

from slim_resnet.datasets import Dataset, Stream
from slim_resnet.training.placement import ALONE, Placement
from slim_resnet.training.recipe import Recipe


def images_of_step(
    dataset: Dataset | Stream, recipe: Recipe, step: int, placement: Placement = ALONE
) -> np.ndarray:
    """The numbers of the images that make up a step's batch, int64 [batch]."""
    return order(len(dataset), recipe.seed, positions(step, recipe, placement))


def order(size: int, seed: int, positions: np.ndarray) -> np.ndarray:
    """The images at `positions` of an endless row of epochs, each with an order of its own.

    Args:
        size: images in an epoch.
        seed: of the orders.
        positions: int64 [n], from 0.

    Returns:
        int64 [n], from 0 to `size` - 1.
    """
    found = np.empty_like(positions)
    for epoch in np.unique(positions // size):
        here = positions // size == epoch
        found[here] = _permutation(size, seed, int(epoch))[positions[here] % size]
    return found


def positions(step: int, recipe: Recipe, placement: Placement) -> np.ndarray:
    """Where the batch of this worker lies in the endless row of epochs, int64 [batch]."""
    mine, whole = share(recipe, placement)
    return int(step) * whole + np.arange(mine.start, mine.stop, dtype=np.int64)


def share(recipe: Recipe, placement: Placement) -> tuple[slice, int]:
    """This worker's images among those of a step, and how many a step has."""
    begin = placement.worker * recipe.batch_size if placement.synchronous else 0
    return slice(begin, begin + recipe.batch_size), placement.images_per_step(recipe.batch_size)


@functools.lru_cache(maxsize=4)
def _permutation(size: int, seed: int, epoch: int) -> np.ndarray:
    # RandomState's numbers never change from one NumPy to the next.
    return np.random.RandomState([seed, epoch]).permutation(size)
