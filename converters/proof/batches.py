"""What both sides are fed: seeded images at an even and an odd size, where the network allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from converters.graphs.network import Input
from converters.proof.report import Size

# An even and an odd size: padding mistakes show in one or the other. Networks that cannot take
# these may take the next ones.
IMAGE_SIZES = ((64, 64), (97, 113))
FURTHER_SIZES = (((96, 96), (129, 161)), ((224, 224), (299, 299)), ((128, 128), (256, 256)))
_BATCH_SIZE = 2
_LENGTH = 16  # of an axis that is none of an image's

Batch = dict[str, np.ndarray]


def image_size(inputs: Sequence[Input], batch: Batch) -> Size:
    """Height and width of the first image in a batch."""
    array = batch[inputs[0].name]
    return array.shape[1:3] if array.ndim == 4 else array.shape[1:]


def make_batches(
    inputs: Sequence[Input],
    sizes: Sequence[tuple[int, int]] = IMAGE_SIZES,
    *,
    batch_size: int = _BATCH_SIZE,
    seed: int = 0,
) -> list[Batch]:
    """A batch for each of the sizes, equal ones once.

    Args:
        inputs: what is fed; sizes that they fix are kept.
        sizes: (height, width) in pixels.
        batch_size: images in each.
        seed: of the values: of a standard normal distribution, integers from 0 to 255.
    """
    rng = np.random.default_rng(seed)
    found: dict[tuple, Batch] = {}
    for size in sizes:
        shapes = tuple(_shape(each, size, batch_size) for each in inputs)
        if shapes not in found:
            found[shapes] = {
                each.name: _values(rng, each, shape)
                for each, shape in zip(inputs, shapes, strict=True)
            }
    return list(found.values())


def choices(inputs: Sequence[Input]) -> Iterator[list[Batch]]:
    """Batches to try until the network takes one: the usual sizes, others, each one alone."""
    usual = (IMAGE_SIZES, *FURTHER_SIZES)
    yield from (make_batches(inputs, sizes) for sizes in usual)
    yield from (make_batches(inputs, [size]) for sizes in usual for size in sizes)


def _shape(given: Input, size: tuple[int, int], batch_size: int) -> tuple[int, ...]:
    usual = {0: batch_size}
    if len(given.shape) == 4:
        usual |= {1: size[0], 2: size[1], 3: 3}
    return tuple(
        usual.get(axis, _LENGTH) if length is None else length
        for axis, length in enumerate(given.shape)
    )


def _values(rng: np.random.Generator, given: Input, shape: tuple[int, ...]) -> np.ndarray:
    dtype = np.dtype(given.dtype)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return np.zeros(shape, bool)
    return rng.integers(0, 256, shape).astype(dtype)
