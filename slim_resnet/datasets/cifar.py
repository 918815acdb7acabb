"""CIFAR-10 and CIFAR-100 as they are distributed, in the binary and in the Python version.

Binary: records of 1 label byte (CIFAR-100: coarse and fine label) and 3,072 bytes of image, channel
by channel, row by row. Python: pickled dicts of the same.

Source: www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from slim_resnet.datasets.base import Dataset, DatasetError, pixels

_PAGE = "www.cs.toronto.edu/~kriz/cifar.html"
_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Version:
    """One distribution: its archive, the folder in it, its files, how a batch file is read.

    `read` takes the file's path, the `_Cifar` and the split, and returns images [N, 3072], labels
    and a note or "".
    """

    archive: str
    folder: str
    files: dict[str, tuple[str, ...]]
    names_file: str
    read: Callable


@dataclass(frozen=True)
class _Cifar:
    """What tells CIFAR-10 from CIFAR-100."""

    name: str
    title: str
    num_classes: int
    label_bytes: int  # the last of them is the label
    labels_key: str
    names_key: str
    batch_size: dict[str, int]
    mean: np.ndarray
    std: np.ndarray
    versions: tuple[_Version, ...] = ()


def cifar10(data_dir: str, split: str) -> Dataset:
    """CIFAR-10, from the folder of either distribution or the folder above it."""
    return _load(_CIFAR10, pathlib.Path(data_dir), split)


def cifar100(data_dir: str, split: str) -> Dataset:
    """CIFAR-100 with its 100 fine labels, likewise."""
    return _load(_CIFAR100, pathlib.Path(data_dir), split)


def _load(cifar: _Cifar, data_dir: pathlib.Path, split: str) -> Dataset:
    version, folder = _find(cifar, data_dir, split)
    parts = [version.read(folder / name, cifar, split) for name in version.files[split]]
    images = np.concatenate([images for images, _, _ in parts])
    return Dataset(
        cifar.name,
        split,
        np.ascontiguousarray(images.reshape(-1, *_SHAPE).transpose(0, 2, 3, 1)),
        np.concatenate([labels for _, labels, _ in parts]),
        cifar.num_classes,
        cifar.mean,
        cifar.std,
        _class_names(cifar, folder / version.names_file),
        notes=tuple(note for _, _, note in parts if note),
    )


def _find(cifar: _Cifar, data_dir: pathlib.Path, split: str) -> tuple[_Version, pathlib.Path]:
    """The version whose files of `split` are all there, and their folder."""
    if not data_dir.is_dir():
        raise DatasetError(f"{data_dir}: no such folder; {_where_from(cifar)}")
    started = []  # (files found, files missing, folder, version), to name what is missing
    for version in cifar.versions:
        for folder in (data_dir, data_dir / version.folder):
            missing = [name for name in version.files[split] if not (folder / name).is_file()]
            if not missing:
                return version, folder
            found = len(version.files[split]) - len(missing)
            started.append((found, missing, folder, version))
    archives = [v.archive for v in cifar.versions if (data_dir / v.archive).is_file()]
    if archives:
        raise DatasetError(f"{data_dir / archives[0]} is not unpacked: tar xzf it there first")
    found, missing, folder, version = max(started, key=lambda entry: entry[0])
    if found:
        raise DatasetError(f"{folder}: {', '.join(missing)} missing, of {_source(cifar, version)}")
    needed = " or ".join(_listed(version.files[split]) for version in cifar.versions)
    raise DatasetError(
        f"{data_dir}: no {cifar.title} here: needs {needed}; {_where_from(cifar)}, and unpack it"
    )


def _listed(files: tuple[str, ...]) -> str:
    return f"{files[0]} to {files[-1]}" if len(files) > 1 else files[0]


def _where_from(cifar: _Cifar) -> str:
    archives = " or ".join(version.archive for version in cifar.versions)
    return f"get {archives} from the dataset's home page, {_PAGE}"


def _source(cifar: _Cifar, version: _Version) -> str:
    return f"{version.archive} from the {cifar.title} home page, {_PAGE}"


def _read_binary(path: pathlib.Path, cifar: _Cifar, split: str):
    record = cifar.label_bytes + _PIXELS
    whole = cifar.batch_size[split]
    raw = np.fromfile(path, np.uint8)
    if raw.size % record or not raw.size:
        raise DatasetError(
            f"{path}: {raw.size:,} bytes, expected {whole * record:,} ({whole:,} records of "
            f"{record:,} bytes): the file is truncated or no {cifar.title} batch; unpack "
            f"{_source(cifar, cifar.versions[0])} again"
        )
    records = raw.reshape(-1, record)
    labels = records[:, cifar.label_bytes - 1].astype(np.int64)
    return records[:, cifar.label_bytes :], *_checked(path, cifar, split, labels)


def _read_python(path: pathlib.Path, cifar: _Cifar, split: str):
    content = _unpickle(path)
    data, labels = content.get("data"), content.get(cifar.labels_key)
    if not isinstance(data, np.ndarray) or labels is None or data.dtype != np.uint8:
        raise DatasetError(
            f"{path}: no 'data' (uint8) and {cifar.labels_key!r} in it: not a {cifar.title} batch"
        )
    if data.shape != (len(labels), _PIXELS):
        raise DatasetError(
            f"{path}: images {data.shape} for {len(labels)} labels, expected "
            f"({len(labels)}, {_PIXELS})"
        )
    return data, *_checked(path, cifar, split, np.array(labels, np.int64))


def _checked(path: pathlib.Path, cifar: _Cifar, split: str, labels: np.ndarray):
    """The labels, and a note when they are fewer than the distribution's."""
    wrong = np.flatnonzero((labels < 0) | (labels >= cifar.num_classes))
    if wrong.size:
        raise DatasetError(
            f"{path}: record {wrong[0]} has the label {labels[wrong[0]]}, {cifar.title} has "
            f"{cifar.num_classes} classes: is it of another dataset?"
        )
    whole = cifar.batch_size[split]
    few = f"{path}: {len(labels):,} images, the distribution's file has {whole:,}"
    return labels, "" if len(labels) == whole else few


class _ArraysOnly(pickle.Unpickler):
    """Unpickles containers, numbers, text and NumPy arrays; a pickle could run any code else."""

    _ALLOWED = frozenset(
        (module, name)
        for package in ("numpy.core", "numpy._core")
        for module, name in (
            (f"{package}.multiarray", "_reconstruct"),
            (f"{package}.multiarray", "scalar"),
            (f"{package}.numeric", "_frombuffer"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        )
    )

    def find_class(self, module, name):
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")
        return super().find_class(module, name)


def _unpickle(path: pathlib.Path) -> dict:
    """The dict in a pickle, its keys as text (Python 2 wrote bytes)."""
    try:
        with open(path, "rb") as file:
            content = _ArraysOnly(file, encoding="bytes").load()
        return {k.decode() if isinstance(k, bytes) else k: v for k, v in content.items()}
    except OSError:
        raise
    except Exception as error:  # a broken pickle raises anything
        size = os.path.getsize(path)
        raise DatasetError(
            f"{path}: {size:,} bytes that cannot be unpickled ({error}): truncated, or no CIFAR "
            "batch"
        ) from error


def _class_names(cifar: _Cifar, path: pathlib.Path) -> tuple[str, ...]:
    if not path.is_file():
        return ()
    if path.suffix == ".txt":
        names = path.read_text(encoding="utf-8").split()
    else:
        names = [
            n.decode() if isinstance(n, bytes) else n for n in _unpickle(path)[cifar.names_key]
        ]
    return tuple(names) if len(names) == cifar.num_classes else ()


def _versions(number: int, train: tuple[str, ...], test: str, names: tuple[str, str], folders):
    text, pickled = names
    binary = {"train": tuple(f"{name}.bin" for name in train), "test": (f"{test}.bin",)}
    return (
        _Version(f"cifar-{number}-binary.tar.gz", folders[0], binary, text, _read_binary),
        _Version(
            f"cifar-{number}-python.tar.gz",
            folders[1],
            {"train": train, "test": (test,)},
            pickled,
            _read_python,
        ),
    )


_CIFAR10 = _Cifar(
    "cifar10",
    "CIFAR-10",
    num_classes=10,
    label_bytes=1,
    labels_key="labels",
    names_key="label_names",
    batch_size={"train": 10_000, "test": 10_000},
    mean=pixels(0.49139968, 0.48215841, 0.44653091),
    std=pixels(0.24703223, 0.24348513, 0.26158784),
    versions=_versions(
        10,
        tuple(f"data_batch_{i}" for i in range(1, 6)),
        "test_batch",
        ("batches.meta.txt", "batches.meta"),
        ("cifar-10-batches-bin", "cifar-10-batches-py"),
    ),
)
_CIFAR100 = dataclasses.replace(
    _CIFAR10,
    name="cifar100",
    title="CIFAR-100",
    num_classes=100,
    label_bytes=2,
    labels_key="fine_labels",
    names_key="fine_label_names",
    batch_size={"train": 50_000, "test": 10_000},
    mean=pixels(0.50707516, 0.48654887, 0.44091784),
    std=pixels(0.26733429, 0.25643846, 0.27615047),
    versions=_versions(
        100,
        ("train",),
        "test",
        ("fine_label_names.txt", "meta"),
        ("cifar-100-binary", "cifar-100-python"),
    ),
)
