"""HDF5 and .npz dumps, and the files that converters.formats writes, read back exactly."""

from __future__ import annotations

import json
import zipfile

import h5py
import numpy as np
import pytest

from converters.files import CheckpointError, graph_for, open_weights
from converters.files.metadata_keys import KERAS_CONFIG_KEY
from converters.models.naming import table

# File -> whose names it has, and its format.
EXPORTED = {
    "net.safetensors": ("torch", "safetensors"),
    "net.pt": ("torch", "torch"),
    "net.keras": ("keras", "keras"),
    "net.weights.h5": ("keras", "keras"),
}


@pytest.mark.parametrize("name", EXPORTED)
def test_exported(exports, recorded, name):
    found = open_weights(exports / name)
    world, format = EXPORTED[name]
    weights = recorded.weights()
    rows = table(recorded.arch)
    for row in rows:
        expected = getattr(row, f"to_{world}")(weights[row.slim])
        key = getattr(row, world)
        assert found.shape(key) == expected.shape
        assert found.dtype(key) == expected.dtype
        assert np.array_equal(found[key], expected)
        assert not found[key].flags.writeable
    rest = set(found) - {getattr(row, world) for row in rows}
    assert all(key.endswith("num_batches_tracked") for key in rest)
    assert (found.format, found.files) == (format, (str(exports / name),))
    assert graph_for(exports / name) is None


def test_keras_names_from_the_configuration(exports, tmp_path):
    """Early versions of Keras 3 wrote no names into the weights' file."""
    with zipfile.ZipFile(exports / "net.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
        config = archive.read("config.json")
    weights = tmp_path / "model.weights.h5"
    with h5py.File(weights, "r+") as file:
        file.visititems(lambda _, item: item.attrs.pop("name", None) and None)
    with pytest.raises(CheckpointError, match="does not tell the name of its layer"):
        open_weights(weights)
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        archive.write(weights, "model.weights.h5")
        archive.writestr("config.json", config)
    old, new = open_weights(tmp_path / "old.keras"), open_weights(exports / "net.keras")
    assert list(old) == list(new)
    assert all(np.array_equal(old[name], new[name]) for name in new)


def test_torch_states(exports, tmp_path):
    import torch

    state = torch.load(exports / "net.pt", weights_only=True)["state_dict"]
    state["bn1.weight"] = state["bn1.weight"].bfloat16()
    for number, saved in enumerate((state, {"model": state, "epoch": 3})):
        torch.save(saved, tmp_path / f"{number}.pt")
        found = open_weights(tmp_path / f"{number}.pt")
        assert set(found) == set(state)
        assert found["bn1.weight"].tolist() == state["bn1.weight"].tolist()
    for number, saved in enumerate(([1, 2], {"epoch": 3}, torch.nn.Linear(1, 1))):
        torch.save(saved, tmp_path / f"bad{number}.pt")
        with pytest.raises(CheckpointError, match="; save the state_dict|holds no weights"):
            open_weights(tmp_path / f"bad{number}.pt")


def test_metadata(exports, tmp_path):
    import torch

    key = "slim_resnet.arch"
    files = ("net.pt", "net.safetensors", "net.keras")
    torch_pt, safetensors, keras = (open_weights(exports / name).metadata for name in files)
    assert torch_pt[key] == safetensors[key] == keras[key]
    assert json.loads(keras.pop(KERAS_CONFIG_KEY))["class_name"] == "Functional"
    assert keras == torch_pt
    state = {"w": torch.ones(1)}
    for metadata, texts in (({"a": "b", "c": 3}, {"a": "b"}), (None, {}), ([4], {})):
        torch.save({"state_dict": state, "metadata": metadata}, tmp_path / "a.pt")
        assert open_weights(tmp_path / "a.pt").metadata == texts


def test_torch_files_before_1_6(tmp_path):
    """torchvision's weights of 2019 are such files."""
    import torch

    weights = torch.nn.Conv2d(3, 64, 7).weight
    path = tmp_path / "old.bin"
    torch.save({"w": weights}, path, _use_new_zipfile_serialization=False)
    assert not zipfile.is_zipfile(path)
    assert np.array_equal(open_weights(path)["w"], weights.detach())
    content = path.read_bytes()
    for size in (1, 40, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(CheckpointError, match="old.bin: it "):
            open_weights(path)


# -- dumps ----------------------------------------------------------------------------------------


def write_npz(path, arrays):
    np.savez(path, **arrays)


def write_small_npz(path, arrays):
    np.savez_compressed(path, **arrays)


def write_hdf5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def write_small_hdf5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip" if array.ndim else None)


WRITERS = [
    ("d.npz", write_npz),
    ("d.npz", write_small_npz),
    ("d.h5", write_hdf5),
    ("d.hdf5", write_small_hdf5),
]


@pytest.mark.parametrize(("name", "write"), WRITERS)
@pytest.mark.parametrize("suffix", ["", ":0"])
def test_dumps(model_arrays, tmp_path, name, write, suffix):
    path = tmp_path / name
    write(path, {key + suffix: array for key, array in model_arrays.items()})
    found = open_weights(path)
    assert found.format == ("npz" if name == "d.npz" else "hdf5")
    assert set(found) == set(model_arrays)
    for key, array in model_arrays.items():
        assert found[key].tobytes() == array.tobytes()
        assert found.shape(key) == array.shape
    assert found.nbytes == sum(array.nbytes for array in model_arrays.values())


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_kinds_of_arrays(tmp_path, name, write):
    arrays = {
        "a/scalar": np.int64(7) * np.ones((), np.int64),
        "a/big": np.arange(6, dtype=">f4").reshape(2, 3),
        "a/fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "a/half": np.ones(3, np.float16),
        "a/none": np.ones((0, 4), np.float32),
    }
    write(tmp_path / name, arrays)
    found = open_weights(tmp_path / name)
    for key, array in arrays.items():
        assert np.array_equal(found[key], array)
        assert found[key].dtype == found.dtype(key) == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("name", ["d.npz", "d.h5", "d.pb", "d.pbtxt", "d.keras", "d.pt", "d.zip"])
def test_the_content_decides(exports, tmp_path, name):
    """A zip or HDF5 file is what it holds, whatever its name says."""
    (tmp_path / name).write_bytes((exports / "net.keras").read_bytes())
    assert open_weights(tmp_path / name).format == "keras"
