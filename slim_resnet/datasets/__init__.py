"""Labelled images from disk or from nowhere, as NumPy arrays or as a stream of encoded files.

    train = datasets.load("cifar10", "/data/cifar", split="train")
    train.images, train.labels, train.num_classes, train.mean, train.std

Importing this package imports no framework.
"""

from __future__ import annotations

import difflib
import os

from slim_resnet.datasets.base import SPLITS, Dataset, DatasetError, Stream
from slim_resnet.datasets.cifar import cifar10, cifar100
from slim_resnet.datasets.small import digits, synthetic
from slim_resnet.datasets.streams import image_folder, tfrecord

__all__ = ["NAMES", "SPLITS", "Dataset", "DatasetError", "Stream", "load"]

_LOADERS = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "digits": digits,
    "synthetic": synthetic,
    "image-folder": image_folder,
    "tfrecord": tfrecord,
}
_ON_DISK = {"cifar10", "cifar100", "image-folder", "tfrecord"}

NAMES = tuple(_LOADERS)


def load(
    name: str,
    data_dir: str | os.PathLike | None = None,
    split: str = "train",
    *,
    image_size: int | None = None,
) -> Dataset | Stream:
    """Opens one split of a dataset.

    Args:
        name: one of `NAMES`.
        data_dir: the folder that holds its files (`digits` and `synthetic` have none).
        split: "train" or "test".
        image_size: height and width in pixels, where the dataset has none of its own: `digits` (a
            multiple of 8), `synthetic`, `image-folder`, `tfrecord`; None: the loader's default.

    Returns:
        A `Dataset`, all images in memory; for `image-folder` and `tfrecord` a `Stream`, which
        `slim_resnet.training.inputs` decodes.

    Raises:
        DatasetError: unknown name or split; files are missing, truncated or something else.
        MissingFrameworkError: `digits` without scikit-learn.
    """
    if name not in _LOADERS:
        near = difflib.get_close_matches(name, NAMES, n=2) or NAMES
        raise DatasetError(f"unknown dataset {name!r}: did you mean {' or '.join(near)}?")
    if split not in SPLITS:
        raise DatasetError(f"unknown split {split!r}: use {' or '.join(SPLITS)}")
    options = {"split": split}
    if name in _ON_DISK:
        if data_dir is None:
            raise DatasetError(f"{name} lies on disk: say where with --data-dir (data_dir)")
        options["data_dir"] = os.fspath(data_dir)
    if image_size is not None:
        if name in ("cifar10", "cifar100"):
            raise DatasetError(f"the images of {name} are 32x32: leave the image size out")
        options["image_size"] = image_size
    return _LOADERS[name](**options)
