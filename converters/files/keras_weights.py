"""Keras 3's `.keras` (a zip with config.json and model.weights.h5) and `.weights.h5`.

Source: Keras's `saving/saving_lib.py`: the weights of a layer are numbered datasets in a group
`layers/CLASS_N/vars`, the attribute `name` of which is the layer's name (early versions lack it,
there config.json has the names, in the order of the numbers).
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping

from converters.files.archive import open_archive, read_member
from converters.files.errors import Malformed
from converters.files.hdf5 import dataset_entry, datasets, open_file
from converters.files.metadata_keys import KERAS_CONFIG_KEY, KERAS_METADATA
from converters.files.weights_file import Entry, WeightsFile, add_entry, blame_library, checked

_MODEL = "model.weights.h5"
_CONFIG = "config.json"
# Class of a layer, in snake case -> how its weights are called, by number.
_KERNEL = ("kernel", "bias")
_WEIGHTS = {
    "conv2d": _KERNEL,
    "dense": _KERNEL,
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}
_DATASET = re.compile(r"(?:.*/)?layers/(?P<group>(?P<kind>[^/]+?)(?:_\d+)?)/vars/(?P<number>\d+)")


def open_keras(path: str) -> WeightsFile:
    """The weights in a `.keras` file, named LAYER/WEIGHT.

    Its metadata are the model's configuration (`KERAS_CONFIG_KEY`), and ours where we wrote it.

    Raises:
        CheckpointError: it is damaged, or unpacks to far more than its size.
    """
    with blame_library(path):
        archive = open_archive(path)
        if _MODEL not in archive.namelist():
            raise Malformed(f"it has no {_MODEL} in it", "save the model with model.save")
        content = read_member(archive, _MODEL)
        config = read_member(archive, _CONFIG)
        entries = checked(path, (path,), _entries(content, _names(config)))
        told = {KERAS_CONFIG_KEY: config.decode(), **_metadata(archive)}
        return WeightsFile(path, "keras", (path,), entries, metadata=told)


def open_keras_weights(path: str) -> WeightsFile:
    """The weights in a `.weights.h5` file, named LAYER/WEIGHT.

    Raises:
        CheckpointError: it is damaged, or does not tell the names of its layers.
    """
    with blame_library(path):
        return WeightsFile(path, "keras", (path,), checked(path, (path,), _entries(path, {})))


def _metadata(archive: zipfile.ZipFile) -> dict[str, str]:
    """What this project wrote into a `.keras` file beside Keras's own parts."""
    if KERAS_METADATA not in archive.namelist():
        return {}
    found = json.loads(read_member(archive, KERAS_METADATA))
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise Malformed(f"its {KERAS_METADATA} is not one text for each name")
    return found


def _entries(content: str | bytes, names: Mapping[str, str]) -> dict[str, Entry]:
    """The weights of an HDF5 file; `names` are those of layers whose groups lack the attribute."""
    entries: dict[str, Entry] = {}
    with open_file(content) as file:
        for path, dataset in datasets(file):
            match = _DATASET.fullmatch(path)
            if match is None:
                continue  # the optimizer's, and counters of the model's
            layer = dataset.parent.attrs.get("name", names.get(match["group"]))
            if not isinstance(layer, str):
                raise Malformed(
                    f"it does not tell the name of its layer {match['group']!r}",
                    "save the whole model as .keras",
                )
            name = f"{layer}/{_weight(match['kind'], int(match['number']))}"
            add_entry(entries, name, dataset_entry(content, dataset))
    return entries


def _weight(kind: str, number: int) -> str:
    """What the weight `number` of a layer of class `kind` is called; unknown ones by number."""
    known = _WEIGHTS.get(kind, ())
    return known[number] if number < len(known) else str(number)


def _names(config: bytes) -> dict[str, str]:
    """Group of a layer in the weights' file -> the layer's name, by the model's configuration."""
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for layer in json.loads(config)["config"].get("layers", ()):
        kind = _snake_case(layer["class_name"])
        count = counts[kind] = counts.get(kind, -1) + 1
        names[f"{kind}_{count}" if count else kind] = layer["config"]["name"]
    return names


def _snake_case(name: str) -> str:
    """The name of a class as Keras writes it: BatchNormalization -> batch_normalization."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
