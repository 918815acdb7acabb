"""The batches of a fine-tuning: the same images at the same steps as `slim_resnet.training`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from slim_resnet.datasets import Dataset, Stream
from slim_resnet.frameworks import require
from slim_resnet.training.ordering import images_of_step, share
from slim_resnet.training.placement import ALONE, Placement
from slim_resnet.training.recipe import Recipe

Batch = tuple[np.ndarray, np.ndarray]


def training_batches(
    dataset: Dataset | Stream, recipe: Recipe, placement: Placement = ALONE
) -> Iterator[Batch]:
    """The batch of every step, augmented.

    Images in memory are cropped and mirrored by NumPy, at places drawn from the seed and the step.
    Those on disk are decoded and distorted by TensorFlow, as in slim's training.

    Args:
        dataset: the training split.
        recipe: its steps, batch size, seed and dtype.
        placement: which share of each step's images is this process's.

    Yields:
        (images [batch, height, width, 3] of the recipe's dtype, labels [batch]).

    Raises:
        DatasetError: an image cannot be decoded.
        MissingFrameworkError: images on disk without TensorFlow.
    """
    if isinstance(dataset, Stream):
        yield from _decoded(dataset, recipe, placement)
        return
    for step in range(recipe.steps):
        numbers = images_of_step(dataset, recipe, step, placement)
        images = (dataset.images[numbers].astype(np.float32) - dataset.mean) / dataset.std
        if recipe.augment:
            images = _crop_and_flip(images, dataset, *_draws(dataset, recipe, step, placement))
        yield images.astype(recipe.dtype, copy=False), dataset.labels[numbers]


def _draws(dataset: Dataset, recipe: Recipe, step: int, placement: Placement) -> Batch:
    """Offsets [batch, 2] of the crops and whether to mirror [batch], for this process's images.

    They are drawn for the whole step, so that they do not depend on the number of processes.
    """
    mine, whole = share(recipe, placement)
    # Of three numbers: the orders of the images are drawn from two.
    random = np.random.RandomState([recipe.seed, step, 1])
    offsets = random.randint(2 * dataset.padding + 1, size=(whole, 2))
    flips = random.randint(2, size=whole).astype(bool) & dataset.flip
    return offsets[mine], flips[mine]


def _crop_and_flip(
    images: np.ndarray, dataset: Dataset, offsets: np.ndarray, flips: np.ndarray
) -> np.ndarray:
    """Pads with zeros (the mean), takes a crop of the old size from each image, mirrors some."""
    count, height, width, _ = images.shape
    pad = (dataset.padding, dataset.padding)
    padded = np.pad(images, ((0, 0), pad, pad, (0, 0)))
    rows = offsets[:, :1] + np.arange(height)
    columns = np.arange(width)
    columns = offsets[:, 1:] + np.where(flips[:, None], columns[::-1], columns)
    return padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _decoded(stream: Stream, recipe: Recipe, placement: Placement) -> Iterator[Batch]:
    tf = require("tensorflow.compat.v1")
    from slim_resnet.training import inputs

    batches = inputs.iterate(
        lambda: inputs.training_batches(stream, recipe, tf.constant(0, tf.int64), placement)
    )
    for step in range(recipe.steps):
        try:
            batch = next(batches)
        except tf.errors.OpError:
            inputs.check_decodable(stream, images_of_step(stream, recipe, step, placement))
            raise
        yield batch
