"""Files of PyTorch and Keras weights, read as slim checkpoints."""

from __future__ import annotations

import os

import numpy as np

from converters.files import CheckpointError, open_weights
from converters.formats.libraries import LIBRARIES, Library, from_state
from converters.models.naming import table
from converters.recognise.recognised import Recognised
from converters.recognise.recorded import recorded_arch
from slim_resnet import arch as arch_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import CUSTOM

Arrays = dict[str, np.ndarray]

# Column of `naming.table` -> suffixes of the files with its names, and their formats in `sources`.
_FILES = {
    "torch": ((".safetensors", ".pt", ".pth", ".bin"), ("safetensors", "torch")),
    "keras": ((".keras", ".weights.h5"), ("keras",)),
}


def load_weights(
    path: str | os.PathLike,
    source: str,
    *,
    arch: str | Arch | None = None,
    convention: str | None = None,
    scope: str | None = None,
) -> Recognised:
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
        CheckpointError: the file is missing, broken, holds other weights, or does not say which
            network's they are where `arch` does not either.
        ValueError: an unknown name or suffix, or a network that the source does not have.
    """
    path = os.fspath(path)
    if source not in LIBRARIES:
        raise ValueError(f"unknown source {source!r}: use {', '.join(LIBRARIES)}")
    library = LIBRARIES[source]
    state, metadata = _read(path, library.column)
    recorded = recorded_arch(path, metadata, len(state))
    if isinstance(arch, str):
        arch = _with_classes(arch_lib.get(arch), state, library)
    found = arch or recorded
    if found is None:
        raise CheckpointError(f"{path}: does not say which network it holds: name its --arch")
    if convention is None:
        convention = recorded.convention if recorded else library.convention
    if convention not in (None, CUSTOM):
        found = found.replace(convention=convention)
    return from_state(found, state, source, scope, path=path)


def _with_classes(arch: Arch, state: Arrays, library: Library) -> Arch:
    """`arch` with the number of classes of `state`."""
    (row,) = [row for row in table(arch) if row.slim == "logits/weights"]
    weights = state.get(library.name(row))
    if weights is None:
        return arch.replace(num_classes=None)
    return arch.replace(num_classes=library.transform(row).inverse(weights).shape[-1])


def _read(path: str, column: str) -> tuple[Arrays, dict[str, str]]:
    """The arrays in a file of weights, and what it says of itself."""
    suffixes, formats = _FILES[column]
    if not path.endswith(suffixes):
        raise ValueError(f"{path}: a file of {column} weights ends in {', '.join(suffixes)}")
    if not os.path.exists(path):
        raise CheckpointError(f"{path}: no such file")
    try:
        file = open_weights(path)
        if file.format not in formats:
            raise CheckpointError(f"{path}: it is of the format {file.format}.")
        # Copies: a mapped file could change after it was checked.
        return {name: np.array(value) for name, value in file.items()}, file.metadata
    except CheckpointError as error:
        reason = str(error).removeprefix(path).lstrip(":, ")
        raise CheckpointError(f"{path}: cannot be read as weights: {reason}") from error
