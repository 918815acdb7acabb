"""Encoded images on disk: a folder for each class, or slim's TFRecords. Read in any order."""

from __future__ import annotations

import bisect
import itertools
import os
import pathlib
import struct

import numpy as np

from slim_resnet.datasets.base import DatasetError, Stream, pixels

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
# What the splits are called on disk, the first that is there.
_SPLIT_NAMES = {"train": ("train", "training"), "test": ("test", "validation", "val")}
# Of ImageNet, as torchvision and the model garden have it.
_MEAN, _STD = pixels(0.485, 0.456, 0.406), pixels(0.229, 0.224, 0.225)


def image_folder(data_dir: str, split: str, image_size: int = 224) -> Stream:
    """`data_dir`/train/CLASS/*.jpg (.png, .bmp) and `data_dir`/test (or validation, val)."""
    folder = _split_folder(data_dir, split)
    # The training images say what classes there are: another split may lack one.
    known = folder if split == "train" else _split_folder(data_dir, "train", default=folder)
    classes = sorted(path.name for path in known.iterdir() if path.is_dir())
    found = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in _SUFFIXES
    ]
    if not found:
        raise DatasetError(f"{folder}: no {', '.join(_SUFFIXES)} below a folder of a class")

    def read(index: int) -> tuple[bytes, np.int64]:
        path, label = found[index]
        return path.read_bytes(), np.int64(label)

    return Stream(
        "image-folder", split, len(classes), len(found), image_size, read,
        where=lambda index: str(found[index][0]),
        is_example=False, mean=_MEAN, std=_STD, class_names=tuple(classes),
    )  # fmt: skip


def _split_folder(data_dir: str, split: str, default: pathlib.Path | None = None) -> pathlib.Path:
    names = _SPLIT_NAMES[split]
    folder = next((p for name in names if (p := pathlib.Path(data_dir, name)).is_dir()), default)
    if folder is None:
        raise DatasetError(
            f"{data_dir}: no folder {' or '.join(names)}: an image folder holds "
            f"{names[0]}/CLASS/*.jpg"
        )
    return folder


def tfrecord(data_dir: str, split: str, image_size: int = 224) -> Stream:
    """slim's TFRecords: files named after their split, labels.txt with lines "0:airplane".

    Each record is a `tf.train.Example` with image/encoded, image/format and image/class/label.
    """
    names = _SPLIT_NAMES[split]
    folder = pathlib.Path(data_dir)
    files = next((found for name in names if (found := _named(folder, name))), [])
    if not files:
        raise DatasetError(f"{data_dir}: no TFRecord file with {' or '.join(names)} in its name")
    classes = _labels(folder / "labels.txt")
    offsets = [_offsets(path) for path in files]
    ends = list(itertools.accumulate(map(len, offsets)))

    def find(index: int) -> tuple[int, int]:
        """The number of the file, and of the record in it."""
        number = bisect.bisect_right(ends, index)
        return number, index - ends[number] + len(offsets[number])

    def read(index: int) -> tuple[bytes, np.int64]:
        number, record = find(index)
        return _record(files[number], offsets[number][record]), np.int64(-1)

    def where(index: int) -> str:
        number, record = find(index)
        return f"{files[number]}, record {record}"

    return Stream(
        "tfrecord", split, max(classes) + 1, ends[-1], image_size, read, where,
        is_example=True, mean=_MEAN, std=_STD,
        class_names=tuple(classes.get(i, "") for i in range(max(classes) + 1)),
    )  # fmt: skip


def _named(folder: pathlib.Path, split: str) -> list[pathlib.Path]:
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    return sorted(
        path
        for path in folder.iterdir()
        if split in path.name and path.is_file() and path.suffix != ".txt"
    )


def _labels(path: pathlib.Path) -> dict[int, str]:
    """Class -> name, from slim's labels.txt."""
    if not path.is_file():
        raise DatasetError(
            f"{path} is missing: slim's download_and_convert_data.py writes it, with lines "
            "'0:airplane'"
        )
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        found = {int(k): v for k, _, v in (line.partition(":") for line in lines if line.strip())}
    except ValueError as error:
        raise DatasetError(f"{path}: its lines are not like '0:airplane' ({error})") from error
    if not found or min(found) < 0:
        raise DatasetError(f"{path}: no line like '0:airplane' in it")
    return found


# A record: length (8 bytes), its checksum (4), the bytes, their checksum (4).
_HEADER, _FOOTER = 12, 4


def _offsets(path: pathlib.Path) -> np.ndarray:
    """Where each record of a TFRecord file begins."""
    size = os.path.getsize(path)
    found, offset = [], 0
    with open(path, "rb") as file:
        while offset < size:
            file.seek(offset)
            header = file.read(_HEADER)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == _HEADER else size
            end = offset + _HEADER + length + _FOOTER
            if end > size:
                raise DatasetError(
                    f"{path}: record {len(found)} at byte {offset:,} ends at {end:,}, the file at "
                    f"{size:,}: it is truncated, compressed or no TFRecord file"
                )
            found.append(offset)
            offset = end
    if not found:
        raise DatasetError(f"{path}: it is empty")
    return np.array(found, np.int64)


def _record(path: pathlib.Path, offset: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(offset)
        (length,) = struct.unpack("<Q", file.read(_HEADER)[:8])
        return file.read(length)
