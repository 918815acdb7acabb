"""Reading what `tools/record_legacy.py` recorded on an old machine.

That script is one file that runs under Python 2.7 with NumPy alone and so cannot import this
project; the rules for seeded values are written in both, and a test holds them together.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

FORMAT = 1


class RecordError(ValueError):
    """A file is not a record that this project reads."""


@dataclass(frozen=True)
class Record:
    """What a legacy graph is and computes.

    Attributes:
        path: the file it was read from.
        info: everything that is not an array; the recorder's docstring describes it.
        arrays: member name -> array.
    """

    path: str
    info: dict
    arrays: dict[str, np.ndarray]

    @property
    def cases(self) -> list[str]:
        """The runs that were recorded, e.g. "float64|97x65"."""
        return self.info["cases"]

    @property
    def names(self) -> list[str]:
        """The end points, in the order of the legacy graph."""
        return [entry["name"] for entry in self.info["end_points"]]

    def end_points(self, case: str) -> dict[str, np.ndarray]:
        """End point -> its recorded samples in `case`, in the order of the legacy graph."""
        samples = self.arrays[f"{case}|samples"]
        found = {}
        for entry in self.info["end_points"]:
            start = entry["offsets"][case]
            count = min(math.prod(entry["shapes"][case]), self.info["samples"])
            found[entry["name"]] = samples[start : start + count]
        return found

    def shapes(self, case: str) -> dict[str, tuple[int, ...]]:
        """End point -> shape of the whole tensor in `case`."""
        return {e["name"]: tuple(e["shapes"][case]) for e in self.info["end_points"]}

    def stats(self, case: str) -> dict[str, np.ndarray]:
        """End point -> float64 (mean, standard deviation, minimum, maximum) of all of it."""
        return dict(zip(self.names, self.arrays[f"{case}|stats"], strict=True))

    def images(self, case: str) -> np.ndarray:
        """The images of `case` [batch, height, width, channels], in the dtype of the case."""
        dtype, size = case.split("|")
        height, width = map(int, size.split("x"))
        shape = (self.info["batch_size"], height, width, self.info["channels"])
        images = seeded_images(shape)
        if zlib.crc32(images.tobytes()) != self.info["images_crc32"][size]:
            raise RecordError(
                f"{self.path}: this NumPy draws other {size} images than the recorder"
            )
        return images.astype(dtype)


def read_record(path: str | os.PathLike) -> Record:
    """Reads a record.

    Raises:
        RecordError: the file is missing, broken, or of another format.
    """
    path = os.fspath(path)
    try:
        with np.load(path, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
        info = json.loads(arrays.pop("record.json").tobytes())
        if info["format"] != FORMAT:
            raise RecordError(f"{path}: has format {info['format']}, this reads {FORMAT}")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, RecordError):
            raise
        raise RecordError(
            f"{path}: not a record of tools/record_legacy.py: {error or type(error).__name__}"
        ) from error
    return Record(path, info, arrays)


def take_samples(values: np.ndarray, count: int) -> np.ndarray:
    """The elements that a record keeps of `values`: at most `count`, evenly spread."""
    flat = values.ravel()
    if flat.size <= count:
        return flat
    return flat[np.linspace(0, flat.size - 1, count).astype(int)]


def seeded_value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 value that the rule "seeded-v1" gives the variable `name`."""
    rng = _generator(name)
    last = name.rpartition("/")[2]
    if len(shape) >= 2:
        value = rng.standard_normal(shape) * np.sqrt(2.0 / math.prod(shape[:-1]))
    elif last == "moving_variance":
        value = rng.uniform(0.5, 1.5, shape)
    elif last == "gamma":
        value = rng.uniform(0.5, 1.0, shape)
    else:
        value = 0.1 * rng.standard_normal(shape)
    return np.asarray(value).astype(np.float32)


def seeded_images(shape: tuple[int, int, int, int]) -> np.ndarray:
    """The float32 images [batch, height, width, channels] of a record."""
    _, height, width, _ = shape
    return _generator(f"images|{height}x{width}").uniform(-1, 1, shape).astype(np.float32)


def _generator(name: str) -> np.random.RandomState:
    # RandomState, because NumPy promises that its streams never change.
    return np.random.RandomState(zlib.crc32(name.encode()))
