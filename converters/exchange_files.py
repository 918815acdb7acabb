"""Files of PyTorch and Keras weights, read as slim checkpoints."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable

import h5py
import numpy as np
import safetensors

from slim_resnet import arch as arch_lib
from slim_resnet.arch import Arch
from slim_resnet.frameworks import require

from .checkpoint import CheckpointError
from .exchange import LIBRARIES, Library, from_state
from .metadata import ARCH_KEY
from .naming import table
from .slim_checkpoint import SlimCheckpoint

Arrays = dict[str, np.ndarray]
Metadata = dict[str, str]

# Kind of Keras layer -> its variables in the order in which Keras numbers them in a file.
_KERAS_VARIABLES = {
    "conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}


def load_weights(
    path: str | os.PathLike,
    source: str,
    *,
    arch: str | Arch | None = None,
    convention: str | None = None,
    scope: str | None = None,
) -> SlimCheckpoint:
    """Opens the weights of a PyTorch or Keras model as a slim checkpoint.

    Args:
        path: `.safetensors`, `.pt`, `.pth` or `.bin` of a PyTorch model's state dict; `.keras` or
            `.weights.h5` of our Keras model. Nothing is unpickled but tensors, and Keras is not
            needed.
        source: a key of `exchange.LIBRARIES`.
        arch: the network, a name of the registry (its number of classes is the file's) or an
            `Arch`; None: what the file says of itself, as files written by this project do.
        convention: "slim" or "torchvision"; None: what the file says, else the source's.
        scope: the variable scope to put the network into; None: the one that its graph opens.

    Returns:
        The checkpoint, in memory.

    Raises:
        CheckpointError: the file is missing, broken, or holds other weights.
        ValueError: no `arch` where the file has none, an unknown name or suffix, or a network that
            the source does not have.
    """
    path = os.fspath(path)
    if source not in LIBRARIES:
        raise ValueError(f"unknown source {source!r}: use {', '.join(LIBRARIES)}")
    library = LIBRARIES[source]
    state, metadata = _reader(path, library.column)(path)
    recorded = Arch.from_json(metadata[ARCH_KEY]) if ARCH_KEY in metadata else None
    if isinstance(arch, str):
        arch = _with_classes(arch_lib.get(arch), state, library)
    found = arch or recorded
    if found is None:
        raise ValueError(f"{path}: does not say which network it holds: name its --arch")
    if convention is None:
        convention = recorded.convention if recorded else library.convention
    if convention is not None:
        found = found.replace(convention=convention)
    return from_state(found, state, source, scope, path=path)


def _with_classes(arch: Arch, state: Arrays, library: Library) -> Arch:
    """`arch` with the number of classes of `state`."""
    (row,) = [row for row in table(arch) if row.slim == "logits/weights"]
    weights = state.get(library.name(row))
    if weights is None:
        return arch.replace(num_classes=None)
    return arch.replace(num_classes=library.transform(row).inverse(weights).shape[-1])


def _reader(path: str, column: str) -> Callable[[str], tuple[Arrays, Metadata]]:
    readers = _READERS[column]
    read = next((read for suffix, read in readers.items() if path.endswith(suffix)), None)
    if read is None:
        raise ValueError(f"{path}: a file of {column} weights ends in {', '.join(readers)}")

    def checked(path: str) -> tuple[Arrays, Metadata]:
        try:
            return read(path)
        except FileNotFoundError:
            raise CheckpointError(f"{path}: no such file") from None
        except (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, EOFError,
                pickle.UnpicklingError, zipfile.BadZipFile,
                safetensors.SafetensorError) as error:  # fmt: skip
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise CheckpointError(f"{path}: cannot be read as weights: {reason[0]}") from error

    return checked


def _read_safetensors(path: str) -> tuple[Arrays, Metadata]:
    with safetensors.safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return arrays, file.metadata() or {}


def _read_torch(path: str) -> tuple[Arrays, Metadata]:
    torch = require("torch")
    saved = torch.load(path, map_location="cpu", weights_only=True)
    # Trainings save more beside the weights; the key is the usual one, and ours.
    state = saved.get("state_dict", saved)
    arrays = {name: tensor.detach().numpy() for name, tensor in state.items()}
    metadata = saved.get("metadata", {}) if state is not saved else {}
    return arrays, metadata


def _read_keras(path: str) -> tuple[Arrays, Metadata]:
    with zipfile.ZipFile(path) as archive:
        return _read_keras_weights(io.BytesIO(archive.read("model.weights.h5")))


def _read_keras_weights(path: str | io.BytesIO) -> tuple[Arrays, Metadata]:
    arrays = {}
    with h5py.File(path, "r") as file:
        for member, layer in file["layers"].items():
            names = _variables_of(member)
            for number, value in layer["vars"].items():
                arrays[f"{layer['vars'].attrs['name']}/{names[int(number)]}"] = value[()]
    return arrays, {}


def _variables_of(member: str) -> tuple[str, ...]:
    """The variables of a layer by its name in a file: a kind, and a number from the second on."""
    kind, _, number = member.rpartition("_")
    return _KERAS_VARIABLES.get(kind if number.isdigit() else member, ())


_READERS = {
    "torch": {
        ".safetensors": _read_safetensors,
        ".pt": _read_torch,
        ".pth": _read_torch,
        ".bin": _read_torch,
    },
    "keras": {".keras": _read_keras, ".weights.h5": _read_keras_weights},
}
