"""PyTorch's weights: `.safetensors`, read without torch, and what torch.save writes.

Source: the documentation of safetensors' format and of `torch.save`.
"""

from __future__ import annotations

import functools
import pickle
import zipfile
from collections.abc import Mapping

import numpy as np
from safetensors import safe_open

from converters.checkpoint.errors import Malformed
from converters.sources.archive import open_archive
from converters.sources.source_file import Entry, SourceFile, blame_library
from slim_resnet.frameworks import require

# safetensors' name of a data type -> NumPy's
_DTYPES = {
    **{f"F{8 * size}": f"f{size}" for size in (2, 4, 8)},
    **{f"{kind.upper()}{8 * size}": f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)},
    "BOOL": "?",
}
# Where a checkpoint of a training keeps the module's state.
_STATES = ("state_dict", "model_state_dict", "model")


def open_safetensors(path: str) -> SourceFile:
    """The tensors of a `.safetensors` file, by their own names.

    Raises:
        CheckpointError: it is damaged, or has a type that NumPy lacks.
    """
    with blame_library(path):
        file = safe_open(path, framework="np")
        entries = {name: _entry(file, name) for name in file.keys()}  # noqa: SIM118, no mapping
        return SourceFile(path, "safetensors", (path,), entries, file.metadata())


def open_torch(path: str) -> SourceFile:
    """The tensors of a file that torch.save wrote: a state_dict, or a dict with one.

    Its metadata are the texts under "metadata" beside the state_dict. The values stay in the file
    until they are asked for, but in one of PyTorch before 1.6; no pickled code is run.

    Raises:
        CheckpointError: it is damaged, or holds other objects than tensors.
        MissingFrameworkError: PyTorch is not installed.
    """
    torch = require("torch")
    with blame_library(path):
        loaded = _load(torch, path)
        state = _state(loaded)
        entries = {n: _tensor(torch, t) for n, t in state.items() if torch.is_tensor(t)}
        metadata = {} if state is loaded else _texts(loaded.get("metadata"))
        return SourceFile(path, "torch", (path,), entries, metadata)


def _entry(file: safe_open, name: str) -> Entry:
    part = file.get_slice(name)
    dtype = _DTYPES.get(part.get_dtype())
    if dtype is None:
        raise Malformed(
            f"its tensor {name!r} is of type {part.get_dtype()}, which NumPy lacks",
            "save it as float32",
        )
    return Entry(tuple(part.get_shape()), np.dtype(dtype), functools.partial(file.get_tensor, name))


def _load(torch, path: str) -> object:
    """What torch.save wrote: a zip, or before PyTorch 1.6 a row of pickles, which cannot be mapped.

    Raises:
        Malformed: a checksum of the zip does not match, or torch will not unpickle it; what else
            torch raises passes.
    """
    zipped = zipfile.is_zipfile(path)
    damaged = open_archive(path).testzip() if zipped else None  # torch compares no checksum
    if damaged:
        raise Malformed(f"the checksum of its part {damaged!r} does not match")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError:  # its text advises to run whatever the file says
        raise Malformed(
            "it holds more than tensors, or is none of torch.save's files", "save the state_dict"
        ) from None


def _state(loaded: object) -> Mapping:
    nested = (loaded.get(key) for key in _STATES) if isinstance(loaded, Mapping) else ()
    state = next((state for state in nested if isinstance(state, Mapping)), loaded)
    if not isinstance(state, Mapping):
        raise Malformed(f"it holds a {type(state).__name__}, no state_dict", "save the state_dict")
    return state


def _texts(metadata: object) -> dict[str, str]:
    """What of another program's `metadata` is text."""
    items = metadata.items() if isinstance(metadata, Mapping) else ()
    return {str(key): value for key, value in items if isinstance(value, str)}


def _tensor(torch, tensor) -> Entry:
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:  # which NumPy lacks
        return Entry(tuple(tensor.shape), np.dtype(np.float32), lambda: tensor.float().numpy())
    array = tensor.numpy()
    return Entry(array.shape, array.dtype, lambda: array)
