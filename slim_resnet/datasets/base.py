"""What a dataset is: arrays in memory (`Dataset`) or encoded images on disk (`Stream`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

SPLITS = ("train", "test")


class DatasetError(ValueError):
    """A dataset is unknown, or its files are missing, truncated or something else."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """One split, all of it in memory.

    Attributes:
        name: its name in `datasets.NAMES`.
        split: "train" or "test".
        images: uint8 or float32 [N, height, width, 3], values 0 to 255.
        labels: int64 [N].
        num_classes: the number of classes.
        mean, std: float32 [3], per channel over the training split, in units of `images`.
        class_names: one for each class, or () when the files have none.
        padding: pixels around an image before its random crop in training.
        flip: whether a mirrored image is still one of its class.
        notes: what the user should know of the files, one sentence each.
    """

    name: str
    split: str
    images: np.ndarray
    labels: np.ndarray
    num_classes: int
    mean: np.ndarray
    std: np.ndarray
    class_names: tuple[str, ...] = ()
    padding: int = 4
    flip: bool = True
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.images.shape[1:]

    def normalized(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Images `start` to `stop`, mean 0 and standard deviation 1 per channel.

        Returns:
            A float32 array [stop - start, height, width, 3].
        """
        return (self.images[start:stop].astype(np.float32) - self.mean) / self.std

    def batches(self, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Every image once, in order: (normalized images, labels); the last batch may be short."""
        for start in range(0, len(self), batch_size):
            stop = start + batch_size
            yield self.normalized(start, stop), self.labels[start:stop]


@dataclass(frozen=True, eq=False)
class Stream:
    """One split as encoded images on disk, read one by one in any order.

    Attributes:
        name, split, num_classes, mean, std, class_names, flip, notes: as in `Dataset`.
        size: the number of images.
        image_size: height and width that images are brought to, in pixels.
        read: index -> (bytes, label): an encoded image (JPEG, PNG, BMP) and its class; where
            `is_example`, a serialized `tf.train.Example` of slim's layout, and -1.
        where: index -> the file it is in, for errors.
        is_example: see `read`.
    """

    name: str
    split: str
    num_classes: int
    size: int
    image_size: int
    read: Callable[[int], tuple[bytes, np.int64]]
    where: Callable[[int], str]
    is_example: bool
    mean: np.ndarray
    std: np.ndarray
    class_names: tuple[str, ...] = ()
    flip: bool = True
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.size

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (self.image_size, self.image_size, 3)


def pixels(*per_channel: float) -> np.ndarray:
    """Per-channel values published for images from 0 to 1, for images from 0 to 255."""
    return (255 * np.array(per_channel)).astype(np.float32)
