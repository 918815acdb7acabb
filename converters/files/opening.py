"""From a path to the reader of what it is: by its content where that tells, else by its suffix."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable

from converters.files.archive import open_archive
from converters.files.checkpoint import CheckpointError, graph_beside, open_checkpoint
from converters.files.checkpoint.state import resolve, v1_files
from converters.files.errors import Malformed
from converters.files.graph_files import (
    SAVED_MODEL_NAMES,
    read_graph,
    read_saved_model,
    saved_model_in,
)
from converters.files.graphdef import Graph
from converters.files.memory_maps import mapped
from converters.files.weights_file import WeightsFile, blame_library

_GRAPHS = (".pb", ".pbtxt")


def open_weights(path: str | os.PathLike[str], *, step: int | None = None) -> WeightsFile:
    """Opens whatever holds weights; its values are read when asked for.

    Args:
        path: a TensorFlow checkpoint (prefix, file or folder), a frozen graph (`.pb`, `.pbtxt`), a
            SavedModel (folder or file), HDF5, `.npz`, `.npy` (of a dictionary), `.keras`,
            `.weights.h5`, `.safetensors`, `.pt`, `.pth` or `.bin`.
        step: which checkpoint of a folder; None: its latest.

    Returns:
        A mapping of names, as the file has them, to arrays.

    Raises:
        CheckpointError: it is missing, damaged, or of no format known here.
    """
    path = os.fsdecode(path)
    reader = _reader(path)
    if reader is None:
        return open_checkpoint(path, step=step)
    if step is not None:
        raise CheckpointError(f"{path}: only a folder of checkpoints has steps; give no step.")
    return reader(path)


def graph_for(path: str | os.PathLike[str], *, step: int | None = None) -> Graph | None:
    """The graph at `path`, where its weights are not wanted; None where there is none.

    It is the file itself (a frozen graph, a SavedModel), or the `.meta` beside a checkpoint.

    Raises:
        CheckpointError: there is one, and it is damaged.
    """
    path = os.fsdecode(path)
    saved_model = _saved_model(path)
    if saved_model:
        return read_saved_model(saved_model)
    if path.endswith(_GRAPHS):
        return read_graph(path)
    if _reader(path) is not None:
        return None
    stem, _ = v1_files(resolve(path, step))
    return graph_beside(stem)


def _reader(path: str) -> Callable[[str], WeightsFile] | None:
    """The function that opens a file; None for a TensorFlow checkpoint."""
    if _saved_model(path):
        return _imported("saved_model.open_saved_model")
    if not os.path.isfile(path):
        return None
    with blame_library(path):
        start = bytes(mapped(path)[:8])
        for magic, choose in _BY_CONTENT.items():
            if start.startswith(magic):
                return _imported(choose(path))
        for magic, (what, remedy) in _NO_WEIGHTS.items():
            if start.startswith(magic):
                raise Malformed(f"it is {what}", remedy)
    return next((_imported(r) for suffix, r in _BY_SUFFIX.items() if path.endswith(suffix)), None)


def _imported(reader: str) -> Callable[[str], WeightsFile]:
    """A function of this package by "module.function": not every reader needs every library."""
    module, _, function = reader.partition(".")
    return getattr(importlib.import_module(f"{__package__}.{module}"), function)


def _saved_model(path: str) -> str | None:
    """The file of the SavedModel that `path` means, if it means one."""
    return path if os.path.basename(path) in SAVED_MODEL_NAMES else saved_model_in(path)


def _zip_reader(path: str) -> str:
    names = open_archive(path).namelist()
    for ending, reader in _BY_MEMBER.items():
        if any(name.endswith(ending) for name in names):
            return reader
    raise Malformed("it is a zip of no kind that holds weights", "give a .npz, .keras or .pt file")


def _hdf5_reader(path: str) -> str:
    from converters.files.hdf5 import open_file  # h5py is not needed for every reader

    with open_file(path) as file:
        return "keras_weights.open_keras_weights" if "layers" in file else "hdf5.open_hdf5"


_BY_CONTENT = {
    b"\x89HDF\r\n\x1a\n": _hdf5_reader,
    b"PK\x03\x04": _zip_reader,
    b"\x93NUMPY": lambda _: "npy.open_npy",
    # torch.save's before PyTorch 1.6
    b"\x80\x02\x8a\x0al\xfc\x9cF": lambda _: "torch_files.open_torch",
}
# What people give by mistake: how it begins -> what it is, and what to do.
_NO_WEIGHTS = {
    b"\x1f\x8b": ("a gzip archive", "unpack it and give the checkpoint in it"),
    b"BZh": ("a bzip2 archive", "unpack it and give the checkpoint in it"),
    b"\xfd7zXZ": ("an xz archive", "unpack it and give the checkpoint in it"),
    b"\x89PNG": ("a picture (PNG)", "give the file that the weights were saved to"),
    b"\xff\xd8\xff": ("a picture (JPEG)", "give the file that the weights were saved to"),
    b"%PDF": ("a PDF document", "give the file that the weights were saved to"),
}
_BY_MEMBER = {
    "model.weights.h5": "keras_weights.open_keras",
    "/data.pkl": "torch_files.open_torch",
    ".npy": "npz.open_npz",
}
# Those whose content does not tell, and what names a damaged file of the others.
_BY_SUFFIX = {
    ".safetensors": "torch_files.open_safetensors",
    ".pbtxt": "frozen.open_frozen",
    ".pb": "frozen.open_frozen",
    ".npz": "npz.open_npz",
    ".keras": "keras_weights.open_keras",
    ".h5": "hdf5.open_hdf5",
    ".hdf5": "hdf5.open_hdf5",
    ".pt": "torch_files.open_torch",
    ".pth": "torch_files.open_torch",
    ".bin": "torch_files.open_torch",
}
