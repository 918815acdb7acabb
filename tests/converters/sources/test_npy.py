"""`.npy` files of pickled dictionaries: NumPy's own, Python 2's, and hostile ones."""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict

import numpy as np
import pytest

import converters

ARRAYS = {
    "conv1": {
        "weights": np.arange(24, dtype=np.float32).reshape(2, 3, 4, 1),
        "biases": np.arange(3, dtype=">f4"),
    },
    "fc6": OrderedDict(weights=np.asfortranarray(np.arange(6.0).reshape(2, 3))),
    "comment": "not an array",
    "epoch": 3,
}
HEADER = "{'descr': '|O', 'fortran_order': False, 'shape': (), }"


@pytest.mark.parametrize("protocol", range(5))
def test_arrays_of_inner_dictionaries_are_named_by_their_path(protocol, tmp_path):
    path = _write(tmp_path, pickle.dumps(np.array(ARRAYS, object), protocol))
    file = converters.open_weights(path)
    assert list(file) == ["conv1/biases", "conv1/weights", "fc6/weights"]
    np.testing.assert_array_equal(file["conv1/weights"], ARRAYS["conv1"]["weights"])
    np.testing.assert_array_equal(file["conv1/biases"], [0, 1, 2])
    np.testing.assert_array_equal(file["fc6/weights"], ARRAYS["fc6"]["weights"])
    assert file.dtype("conv1/biases") == np.float32  # in the machine's byte order


def test_what_numpy_saves(tmp_path):
    np.save(tmp_path / "net.npy", ARRAYS)
    assert len(converters.open_weights(tmp_path / "net.npy")) == 3


def test_what_python_2_wrote(tmp_path):
    """Texts and values as byte strings (BINSTRING), which Python 3 never writes."""
    values = np.array([1.5, -2.0, 3e-9], np.float32)
    raw = values.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        b"(K\x01(K\x03tcnumpy\ndtype\n(U\x02f4K\x00K\x01tR"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbI00\n"
        b"T" + struct.pack("<i", len(raw)) + raw + b"tb"
    )
    path = _write(tmp_path, b"\x80\x02}U\x05conv1}U\x06biases" + array + b"ss.")
    np.testing.assert_array_equal(converters.open_weights(path)["conv1/biases"], values)


class _Call:
    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": _Call()}, "more than arrays in dictionaries .posix.system."),
        ({"a": [1]}, "it holds no weights"),
        ({3.5: np.zeros(1)}, "a key in it is float"),
        (3, "no dictionary of arrays"),
        ({"w": np.zeros(1), "x": np.array([1, "b"], object)}, "its x is an array of objects"),
        ({"a": np.array(["x"])}, "a type in it is none of numbers|not numbers"),
    ],
)
def test_what_is_no_dictionary_of_arrays_is_refused(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = _write(tmp_path, pickle.dumps(content, 2))
    with pytest.raises(converters.CheckpointError, match=message):
        converters.open_weights(path)
    assert not (tmp_path / "ran").exists()


def test_lists_are_named_by_their_places(tmp_path):
    """As in vgg16.npy: a list of weights and biases a layer."""
    np.save(tmp_path / "vgg.npy", {"conv1_1": [np.ones((3, 3, 3, 2)), np.zeros(2)]})
    file = converters.open_weights(tmp_path / "vgg.npy")
    assert {name: file.shape(name) for name in file} == {
        "conv1_1/0": (3, 3, 3, 2),
        "conv1_1/1": (2,),
    }


def test_one_array_has_no_names(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(converters.CheckpointError, match="without the names of variables"):
        converters.open_weights(tmp_path / "a.npy")


def test_a_cut_or_boundless_pickle(tmp_path):
    whole = pickle.dumps(ARRAYS, 2)
    for content in (whole[:-20], whole[:40], b"\x80\x02r\xff\xff\xff\x7f.", b""):
        with pytest.raises(converters.CheckpointError, match="net.npy"):
            converters.open_weights(_write(tmp_path, content))


def test_depth_is_bounded(tmp_path):
    inner: dict = {"w": np.zeros(1)}
    for _ in range(50):
        inner = {"d": inner}
    with pytest.raises(converters.CheckpointError, match="no dictionary of arrays"):
        converters.open_weights(_write(tmp_path, pickle.dumps(inner, 2)))


def test_caffe_weights_as_npy_are_the_checkpoint(data, tmp_path):
    """As caffe-tensorflow's converter writes them: a dictionary a layer."""
    ckpt = converters.open_weights(data / "schemes" / "caffe_tensorflow" / "model.ckpt")
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name in ckpt:
        layer, _, part = name.rpartition("/")
        layers.setdefault(layer, {})[part] = np.array(ckpt[name])
    np.save(tmp_path / "resnet50.npy", layers)
    found = converters.load_checkpoint(tmp_path / "resnet50.npy")
    assert found.scheme.name == "caffe"
    for name, array in found.weights().items():
        origin = found.file.origins[found.full_name(name)]
        np.testing.assert_array_equal(array.reshape(ckpt.shape(origin)), ckpt[origin])


def _write(folder, content: bytes):
    header = HEADER.ljust(117).encode() + b"\n"
    path = folder / "net.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content)
    return path
