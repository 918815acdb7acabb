"""PyTorch's weights, read without PyTorch: `.safetensors`, and what torch.save writes.

Source: the documentation of safetensors' format and of `torch.save`.
"""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable, Mapping

import numpy as np
from numpy.lib.stride_tricks import as_strided
from safetensors import safe_open

from converters.files import torch_pickle
from converters.files.archive import open_archive, read_member
from converters.files.dtypes import dtype_of
from converters.files.errors import Malformed
from converters.files.memory_maps import mapped
from converters.files.torch_pickle import Storage, TorchTensor
from converters.files.weights_file import Entry, WeightsFile, add_entry, blame_library, checked
from converters.files.wire import Buffer

# safetensors' name of a data type -> NumPy's
_DTYPES = {
    **{f"F{8 * size}": f"f{size}" for size in (2, 4, 8)},
    **{f"{kind.upper()}{8 * size}": f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)},
    "BOOL": "?",
    "BF16": "f4",  # read by `_bfloat16_entries`
}
_BFLOAT16 = dtype_of(14)
# Where a checkpoint of a training keeps the module's state.
_STATES = ("state_dict", "model_state_dict", "model_state", "model", "net")
_MOST_DEPTH = 4  # dictionaries around a module's state

_Read = Callable[[Storage], Buffer]  # the bytes of a storage
_MAGIC = 0x1950A86A20F9469CFC6C  # of torch.save before PyTorch 1.6
_COUNT_SIZE = 8  # bytes of the number of values in a storage, there


def open_safetensors(path: str) -> WeightsFile:
    """The tensors of a `.safetensors` file, by their own names.

    Raises:
        CheckpointError: it is damaged, or has a type that NumPy lacks.
    """
    with blame_library(path):
        file = safe_open(path, framework="np")
        entries = {name: _entry(file, name) for name in file.keys()}  # noqa: SIM118, no mapping
        halves = _bfloat16_entries(path)
        entries = checked(path, (path,), {**entries, **halves})
        return WeightsFile(
            path,
            "safetensors",
            (path,),
            entries,
            metadata=file.metadata(),
            notes=_told(len(halves)),
        )


def open_torch(path: str) -> WeightsFile:
    """The tensors of a file that torch.save wrote: a state_dict, or dictionaries with some.

    Of one state_dict the names are its own, wherever it lies; of several they begin with the keys
    that lead there, "model/conv1.weight". Its metadata are the texts under "metadata" beside one.
    PyTorch is not needed, and no code that the file names is run. The values stay in the file until
    they are asked for.

    Raises:
        CheckpointError: it is damaged, or holds other objects than tensors.
    """
    with blame_library(path):
        loaded, read = _zipped(path) if zipfile.is_zipfile(path) else _in_a_row(path)
        states = _states(loaded)
        entries = {}
        for keys, state in states.items():
            above = keys if len(states) > 1 else ()
            for name, tensor in state.items():
                if isinstance(tensor, TorchTensor):
                    add_entry(entries, "/".join((*above, str(name))), _tensor_entry(tensor, read))
        entries = checked(path, (path,), entries)
        metadata = _texts(loaded["metadata"]) if () not in states and "metadata" in loaded else {}
        notes = _notes(states)
        return WeightsFile(path, "torch", (path,), entries, metadata=metadata, notes=notes)


def _bfloat16_entries(path: str) -> dict[str, Entry]:
    """The arrays of a `.safetensors` file that the library itself does not give to NumPy."""
    content = mapped(path)
    start = 8 + int.from_bytes(content[:8], "little")  # the header's size, the header, the values
    header = json.loads(bytes(content[8:start]))
    found = {}
    for name, told in header.items():
        if told.get("dtype") == "BF16":
            begin, end = (start + offset for offset in told["data_offsets"])
            read = functools.partial(_bfloat16, content[begin:end], tuple(told["shape"]))
            found[name] = Entry(tuple(told["shape"]), _BFLOAT16.returned, read)
    return found


def _bfloat16(data: Buffer, shape: tuple[int, ...]) -> np.ndarray:
    return _BFLOAT16.present(np.frombuffer(data, _BFLOAT16.stored).reshape(shape))


def _entry(file: safe_open, name: str) -> Entry:
    part = file.get_slice(name)
    dtype = _DTYPES.get(part.get_dtype())
    if dtype is None:
        raise Malformed(
            f"its tensor {name!r} is of type {part.get_dtype()}, which NumPy lacks",
            "save it as float32",
        )
    return Entry(tuple(part.get_shape()), np.dtype(dtype), functools.partial(file.get_tensor, name))


def _zipped(path: str) -> tuple[object, _Read]:
    """What is in a file of PyTorch 1.6 or later, and what reads the bytes of a storage."""
    archive = open_archive(path)
    pickled = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
    folder = pickled.removesuffix("data.pkl")
    order = f"{folder}byteorder"
    if order in archive.namelist() and read_member(archive, order) != b"little":
        raise Malformed("its values are not little-endian", "save it again on another machine")

    def read(storage: Storage) -> Buffer:
        content = read_member(archive, f"{folder}data/{storage.key}")
        _check_size(storage, len(content))
        return content

    return torch_pickle.load(io.BytesIO(read_member(archive, pickled)))[0], read


def _in_a_row(path: str) -> tuple[object, _Read]:
    """The same of a file of PyTorch before 1.6.

    That is five pickles (a magic number, a version, facts about the machine, the object, the keys
    of its storages); then, for each key, the number of values and the values.
    """
    content = mapped(path)
    file = io.BytesIO(content)
    magic, _, _, (loaded, storages), (keys, _) = (torch_pickle.load(file) for _ in range(5))
    if magic[0] != _MAGIC or not isinstance(keys, list):
        raise Malformed("it is none of torch.save's files", "save the state_dict with torch.save")
    starts, start = {}, file.tell()
    for storage in (storages[key] for key in keys):
        count = int.from_bytes(content[start : start + _COUNT_SIZE], "little")
        _check_size(storage, count * storage.dtype.stored.itemsize)
        starts[storage.key] = start + _COUNT_SIZE
        start = starts[storage.key] + storage.nbytes
    if start > len(content):
        raise Malformed("it is cut short")

    def read(storage: Storage) -> Buffer:
        start = starts[storage.key]
        return content[start : start + storage.nbytes]

    return loaded, read


def _check_size(storage: Storage, size: int) -> None:
    if size != storage.nbytes:
        raise Malformed(f"its storage {storage.key!r} has {size} bytes, not {storage.nbytes}")


def _states(loaded: object) -> dict[tuple[str, ...], Mapping]:
    """The state_dicts in a file by the keys that lead there; () is the file's own."""
    if not isinstance(loaded, Mapping):
        raise Malformed(f"it holds a {type(loaded).__name__}, no state_dict", "save the state_dict")
    found, seen, todo = {}, set(), [((), loaded)]
    while todo:
        keys, state = todo.pop(0)
        if id(state) in seen:
            continue
        seen.add(id(state))
        if _is_state(state):
            found[keys] = state
        if len(keys) < _MOST_DEPTH:
            inner = ((key, value) for key, value in state.items() if isinstance(value, Mapping))
            todo += [((*keys, key), value) for key, value in inner if isinstance(key, str)]
    return found or _plain_state(loaded)


def _plain_state(loaded: Mapping) -> dict[tuple[str, ...], Mapping]:
    """Of names without a module, "weight", the state of a layer alone, only the key tells."""
    if not any(isinstance(value, TorchTensor) for value in loaded.values()):
        for key in _STATES:
            if isinstance(loaded.get(key), Mapping):
                return {(key,): loaded[key]}
    return {(): loaded}


def _is_state(state: Mapping) -> bool:
    """Whether it has tensors named MODULE.PARAMETER, which an optimizer's has not."""
    return any(
        isinstance(name, str) and "." in name and isinstance(tensor, TorchTensor)
        for name, tensor in state.items()
    )


def _notes(states: Mapping[tuple[str, ...], Mapping]) -> tuple[str, ...]:
    """Where the weights lie, if that is not the file itself, and what is read as another type."""
    notes = []
    if states.keys() != {()}:
        below = ", ".join(repr("/".join(keys)) for keys in states)
        notes.append(f"its weights are those below {below}")
    tensors = (t for state in states.values() for t in state.values())
    halves = sum(isinstance(t, TorchTensor) and t.storage.dtype == _BFLOAT16 for t in tensors)
    return (*notes, *_told(halves))


def _told(halves: int) -> tuple[str, ...]:
    """What to say of so many arrays whose type NumPy lacks."""
    return (f"{halves} arrays are bfloat16, read as float32: the same numbers",) if halves else ()


def _texts(metadata: object) -> dict[str, str]:
    """What of another program's `metadata` is text."""
    items = metadata.items() if isinstance(metadata, Mapping) else ()
    return {str(key): value for key, value in items if isinstance(value, str)}


def _tensor_entry(tensor: TorchTensor, read: _Read) -> Entry:
    dtype = tensor.storage.dtype

    def values() -> np.ndarray:
        whole = np.frombuffer(read(tensor.storage), dtype.stored)
        strides = [stride * whole.itemsize for stride in tensor.strides]
        return dtype.present(as_strided(whole[tensor.offset :], tensor.shape, strides))

    return Entry(tensor.shape, dtype.returned, values)
