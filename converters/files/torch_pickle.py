"""What torch.save pickled, without PyTorch: tensors and plain values, and no code of the file's.

Source: PyTorch's `torch/serialization.py` and `torch/_utils.py`, Python's `pickletools.py`.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from converters.files.dtypes import DType, dtype_of
from converters.files.errors import Malformed
from converters.files.pickles import check_instructions

# Class of a storage -> TensorFlow's number of the same data type.
_STORAGES = {
    "FloatStorage": 1, "DoubleStorage": 2, "IntStorage": 3, "ByteStorage": 4, "ShortStorage": 5,
    "CharStorage": 6, "ComplexFloatStorage": 8, "LongStorage": 9, "BoolStorage": 10,
    "BFloat16Storage": 14, "ComplexDoubleStorage": 18, "HalfStorage": 19,
}  # fmt: skip
_MAX_RANK = 32


# The classes of what a pickle brings are named tuples: a pickle can set the attributes of others.


class Storage(NamedTuple):
    """A run of values, named by its key in the file."""

    key: str
    dtype: DType
    size: int  # values

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.stored.itemsize


class TorchTensor(NamedTuple):
    """A strided view of a storage; offset and strides count values."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _StorageClass(NamedTuple):
    """What names the type of a storage's values."""

    dtype: int


def load(file: io.BytesIO) -> tuple[object, dict[str, Storage]]:
    """The object of the next pickle in `file`, and the storages in it by their keys.

    Tensors in it are `TorchTensor`s, none of which reaches beyond its storage.

    Raises:
        Malformed: it holds more than tensors and plain values, or is no pickle that torch.save
            writes; what Python's unpickler raises of a damaged one passes.
    """
    start = file.tell()
    check_instructions(file)
    end = file.tell()
    file.seek(start)
    unpickler = _Unpickler(file, end - start)
    loaded = unpickler.load()
    file.seek(end)
    return loaded, unpickler.storages


class _Unpickler(pickle.Unpickler):
    """Knows what a state_dict needs, and nothing else.

    Args:
        file: where the pickle begins.
        size: of the pickle, in bytes.
    """

    def __init__(self, file: io.BytesIO, size: int) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, Storage] = {}
        self._budget = size  # items in dictionaries that are made of lists

    def find_class(self, module: str, name: str) -> object:
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _StorageClass(_STORAGES[name])
        if (module, name) in _BESIDES:
            return _Nothing
        known = {**_FUNCTIONS, ("collections", "OrderedDict"): self._ordered_dict}
        call = known.get((module, name))
        if call is None:
            raise Malformed(
                f"it holds more than tensors ({module}.{name})", "save the state_dict alone"
            )
        return lambda *arguments: call(*arguments)  # a pickle could set attributes of `call`

    def persistent_load(self, pid: object) -> Storage:
        # "storage", class, key, device, number of values and, before PyTorch 1.6, a view
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
            raise Malformed("it refers to something that is no storage of a tensor")
        _, kind, key, _, size = pid[:5]
        if not isinstance(kind, _StorageClass) or not _is_count(size) or any(pid[5:]):
            raise Malformed("a storage in it is of a kind that is not known here")
        storage = Storage(str(key), dtype_of(kind.dtype), size)
        if self.storages.setdefault(storage.key, storage) != storage:
            raise Malformed(f"its storage {storage.key!r} has two types or sizes")
        return storage

    def _ordered_dict(self, items: Iterable = ()) -> OrderedDict:
        found = OrderedDict(items)
        self._budget -= len(found)
        if self._budget < 0:  # one list, made into a dictionary again and again
            raise Malformed("its dictionaries are larger than it is")
        return found


def _tensor(storage: Storage, offset: int, shape: tuple, strides: tuple, *_) -> TorchTensor:
    if not isinstance(storage, Storage):
        raise Malformed("a tensor in it has no storage")
    made = TorchTensor(storage, offset, tuple(shape), tuple(strides))
    if (
        not all(map(_is_count, (made.offset, *made.shape, *made.strides)))
        or len(made.shape) != len(made.strides)
        or len(made.shape) > _MAX_RANK
    ):
        raise Malformed(f"a tensor in it has the impossible shape {made.shape}")
    steps = zip(made.shape, made.strides, strict=True)
    last = made.offset + sum((size - 1) * stride for size, stride in steps)
    if 0 not in made.shape and last >= storage.size:
        raise Malformed(f"a tensor of shape {made.shape} reaches beyond its {storage.size} values")
    return made


def _parameter(tensor: TorchTensor, *_) -> TorchTensor:
    return tensor


def _size(shape: Iterable = ()) -> tuple:
    return tuple(shape)


def _nothing(*_) -> None:
    """What says nothing of a weight."""


class _Nothing:
    """Stands for an object that says nothing of a weight, whatever it is made from."""

    __slots__ = ()

    def __new__(cls, *_) -> _Nothing:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Takes what the object was, and keeps none of it."""


def _is_count(number: object) -> bool:
    return isinstance(number, int) and 0 <= number < 1 << 62


# What trainings keep beside the weights: options, and scores that are NumPy's scalars. None of it
# is made: a `_Nothing` takes its place.
_BESIDES = {
    ("argparse", "Namespace"),
    ("collections", "Counter"),
    ("collections", "defaultdict"),
    ("pathlib", "PosixPath"),
    ("pathlib", "WindowsPath"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),
}
_FUNCTIONS: dict[tuple[str, str], Callable] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): _size,
    ("torch", "device"): _nothing,
}
