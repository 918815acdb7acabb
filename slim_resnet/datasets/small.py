"""Datasets that need no files: scikit-learn's digits, and images drawn from a seed."""

from __future__ import annotations

import numpy as np

from slim_resnet.datasets.base import Dataset, DatasetError
from slim_resnet.frameworks import require

_DIGITS_TEST = 360  # of 1,797, held out
_SYNTHETIC = {"train": 2048, "test": 512}


def digits(split: str, image_size: int = 16) -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8x8 pixels, every one repeated to `image_size`.

    The 360 test images are drawn with a fixed seed. Three equal channels; not mirrored in training,
    as a mirrored 2 is none.
    """
    if image_size < 8 or image_size % 8:
        raise DatasetError(f"digits are 8x8 pixels: the image size {image_size} is no multiple")
    found = require("sklearn.datasets").load_digits()
    order = np.random.RandomState(0).permutation(len(found.target))
    parts = {"train": order[_DIGITS_TEST:], "test": order[:_DIGITS_TEST]}
    small = np.round(found.images * (255 / 16)).astype(np.uint8)
    train = small[parts["train"]]
    images = np.repeat(np.repeat(small, image_size // 8, axis=1), image_size // 8, axis=2)
    return Dataset(
        "digits",
        split,
        np.repeat(images[parts[split], ..., None], 3, axis=3),
        found.target[parts[split]].astype(np.int64),
        num_classes=10,
        mean=np.full(3, train.mean(), np.float32),
        std=np.full(3, train.std(), np.float32),
        class_names=tuple("0123456789"),
        padding=image_size // 8,  # one pixel of the original
        flip=False,
    )


def synthetic(split: str, image_size: int = 32) -> Dataset:
    """Ten blurred random patterns under noise: 2,048 training and 512 test images, always equal."""
    classes = 10
    labels = np.arange(_SYNTHETIC[split], dtype=np.int64) % classes
    rng = np.random.RandomState(("train", "test").index(split) + 1)
    # Patterns of 4x4 squares, the same in both splits.
    coarse = np.random.RandomState(0).uniform(64, 192, (classes, 4, 4, 3))
    pixel = np.arange(image_size) * 4 // image_size
    patterns = coarse[:, pixel][:, :, pixel].astype(np.float32)
    images = patterns[labels] + 32 * rng.standard_normal((len(labels), *patterns.shape[1:]))
    return Dataset(
        "synthetic",
        split,
        np.clip(np.round(images), 0, 255).astype(np.uint8),
        labels,
        classes,
        mean=np.full(3, 128, np.float32),
        std=np.full(3, 48, np.float32),
        class_names=tuple(f"pattern {i}" for i in range(classes)),
    )
