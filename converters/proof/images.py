"""The images that a proof runs on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from converters.files.errors import CheckpointError
from converters.graphs.network import Input

Size = tuple[int, int]
Batch = dict[str, np.ndarray]

# An even and an odd size: padding mistakes show in one or the other.
IMAGE_SIZES: tuple[Size, ...] = ((64, 64), (97, 113))

# For networks that those are too small for.
LARGER_SIZES: tuple[Size, ...] = ((128, 128), (193, 161), (320, 320))

# What networks are made for that take one size only, and do not say so: the classifiers of slim, of
# CIFAR and MNIST, NASNet, and multiples of what networks divide by.
FIXED_SIZES: tuple[Size, ...] = tuple(
    (size, size) for size in (224, 299, 32, 28, 227, 331, 231, 256, 128, 96, 512, 321, 513)
)

_LARGEST_WHOLE = 256  # whole numbers are pixels


def batches(
    inputs: Sequence[Input], sizes: Iterable[Size], *, batch_size: int = 2, seed: int = 0
) -> dict[Size, Batch]:
    """Random values for the inputs of a network, for images of several sizes.

    Args:
        inputs: of the network. Sizes that its graph fixes are taken, the batch's too.
        sizes: (height, width) where they are free.
        batch_size: images at a time, where it is free.
        seed: of the values: from a standard normal distribution, whole numbers 0 to 255.

    Returns:
        (height, width) -> name of an input -> array, images [batch, height, width, channels]; once
        for each size that is possible, so only one where all are fixed.

    Raises:
        CheckpointError: the graph does not tell another size that is needed.
    """
    found: dict[Size, Batch] = {}
    for size in sizes:
        rng = np.random.default_rng(seed)
        shapes = {each.name: _shape(each, size, batch_size) for each in inputs}
        known = next((shape[1:3] for shape in shapes.values() if len(shape) == 4), size)
        if known not in found:
            found[known] = {
                each.name: _values(rng, shapes[each.name], each.dtype) for each in inputs
            }
    return found


def _shape(fed: Input, size: Size, batch_size: int) -> tuple[int, ...]:
    free = {
        4: (batch_size, *size, 3),
        3: (*size, 3) if fed.shape[-1] in (1, 3, 4) else (batch_size, *size),
    }.get(len(fed.shape), (batch_size, *fed.shape[1:]))
    if None in free:
        raise CheckpointError(
            f"the graph does not tell the shape {list(fed.shape)} of its input {fed.name!r}, so it "
            "cannot be run: choose inputs whose shape is known"
        )
    return tuple(
        dim if known is None else known for known, dim in zip(fed.shape, free, strict=True)
    )


def _values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    kind = np.dtype("float32" if dtype == "bfloat16" else dtype)
    if kind.kind == "f":  # float32's, so that each side has the same in its own type
        return rng.standard_normal(shape).astype(np.float32).astype(kind)
    if kind == np.bool_:
        return np.zeros(shape, kind)
    return rng.integers(0, min(_LARGEST_WHOLE, np.iinfo(kind).max), shape).astype(kind)
