"""Files that are refused, each in a sentence that begins with the file."""

from __future__ import annotations

import json
import re
import shutil
import zipfile

import h5py
import numpy as np
import pytest

from converters import load_checkpoint
from converters.files import CheckpointError, open_weights


def refuse(path, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        open_weights(path)
    assert str(caught.value).startswith(str(path))
    assert not re.search(r"\n|\.\.$", str(caught.value))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 94217\n" % (b"0" * 64)


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001", ".meta"])
def test_what_git_lfs_has_not_fetched(data, tmp_path, suffix):
    """In a clone any of a checkpoint's files may be a pointer."""
    shutil.copytree(data / "wild/lrn", tmp_path, dirs_exist_ok=True)
    path = tmp_path / f"model.ckpt-100{suffix}"
    path.write_bytes(POINTER)
    with pytest.raises(CheckpointError, match="pointer of Git LFS.*; run git lfs pull") as caught:
        load_checkpoint(tmp_path / "model.ckpt-100", whole_graph=True)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("name", ["net.pb", "net.npz", "net.h5", "net.pt", "net.safetensors"])
def test_single_files_that_git_lfs_has_not_fetched(tmp_path, name):
    (tmp_path / name).write_bytes(POINTER)
    refuse(tmp_path / name, "pointer of Git LFS")


def test_pickles_are_refused(tmp_path):
    np.savez(tmp_path / "d.npz", a=np.array([{}, []], dtype=object))
    refuse(tmp_path / "d.npz", "variable 'a': it is a pickled object")
    np.savez(tmp_path / "e.npz", a=np.array(["text"]))
    refuse(tmp_path / "e.npz", "variable 'a': it has values of type <U4, not numbers")


def zip_with(path, content, name="a.npy"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)


def npy(shape, dtype="<f4", values=b""):
    header = json.dumps({"descr": dtype, "fortran_order": False, "shape": "@"})
    header = header.replace('"@"', repr(shape)).replace("false", "False").encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + values


def test_zip_bombs_are_refused(tmp_path):
    size = 1 << 26
    zip_with(tmp_path / "b.npz", npy((size // 4,), values=bytes(size)))
    assert (tmp_path / "b.npz").stat().st_size < 1 << 17
    refuse(tmp_path / "b.npz", "unpacks to 67.* bytes, more than 32 times its size; save it again")
    zip_with(tmp_path / "b.keras", bytes(size), "model.weights.h5")
    refuse(tmp_path / "b.keras", "more than 32 times its size")
    zip_with(tmp_path / "b.pt", bytes(size), "b/data.pkl")
    refuse(tmp_path / "b.pt", "more than 32 times its size")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy((1 << 60,)), "its shape needs"),
        (npy((-4,)), "impossible shape"),
        (npy((4,), values=bytes(15)), "its shape needs 16 bytes, it takes 15"),
        (npy((4,), values=bytes(17)), "its shape needs 16 bytes, it takes 17"),
        (npy((4,), "nonsense"), "cannot be read"),
        (npy((4,), "<f4", bytes(16)).replace(b"\x01\x00", b"\x09\x00", 1), "version of .npy"),
        (b"", "cannot be read"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 9999, "cannot be read"),
    ],
)
def test_absurd_arrays_in_npz(tmp_path, content, message):
    zip_with(tmp_path / "d.npz", content)
    refuse(tmp_path / "d.npz", message)


def test_two_members_of_one_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("a.npy", npy((0,)))
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.npy", npy((0,)))
    refuse(tmp_path / "d.npz", "holds 2 files called 'a.npy'")


@pytest.mark.parametrize("name", ["d.npz", "d.h5"])
def test_two_arrays_of_one_name(tmp_path, name):
    if name == "d.npz":
        np.savez(tmp_path / name, **{"a": np.ones(1), "a:0": np.ones(1)})
    else:
        with h5py.File(tmp_path / name, "w") as file:
            file["a"] = file["a:0"] = np.ones(1)
    refuse(tmp_path / name, "holds two arrays called 'a'")


def test_zips_of_other_things(tmp_path):
    zip_with(tmp_path / "d.zip", b"text", "readme.txt")
    refuse(tmp_path / "d.zip", "zip of no kind that holds weights")


def test_hdf5_must_hold_its_values(tmp_path):
    path = tmp_path / "d.h5"

    def write(make):
        with h5py.File(path, "w") as file:
            make(file)

    write(lambda f: f.create_dataset("a", (1 << 40,), "f4"))
    refuse(path, "more than 32 times its size")
    write(lambda f: f.create_dataset("a", (1 << 50,), "f4", chunks=(1 << 10,), compression="gzip"))
    refuse(path, "more than 32 times its size")
    write(lambda f: f.create_dataset("a", data=np.zeros(1 << 24), compression="gzip"))
    refuse(path, "more than 32 times its size")
    write(lambda f: f.create_dataset("a", data="text"))
    refuse(path, "values of type object")
    write(lambda f: f.create_dataset("a", data=h5py.Empty("f4")))
    refuse(path, "'/a' is empty")
    write(lambda f: f.create_dataset("a", (3,), "f4", external=[("/etc/hostname", 0, 12)]))
    refuse(path, "in other files")
    write(lambda f: f.__setitem__("a", h5py.SoftLink("/b")))
    refuse(path, "'a' is a link")
    write(lambda f: f.__setitem__("a", h5py.ExternalLink("other.h5", "/b")))
    refuse(path, "'a' is a link")
    write(lambda f: f.create_group("a").__setitem__("b", f["a"]))
    refuse(path, "is in itself")
    write(lambda f: f.create_group("/".join("a" * 99)))
    refuse(path, "nested too deep")
    write(lambda f: None)
    refuse(path, "holds no weights")


def test_virtual_datasets_are_refused(tmp_path):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "a", (4,))
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file.create_virtual_dataset("a", layout)
    refuse(tmp_path / "d.h5", "in other files")


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2"])
def test_safetensors_of_types_that_numpy_lacks(tmp_path, dtype):
    header = json.dumps({"a": {"dtype": dtype, "shape": [1], "data_offsets": [0, 1]}}).encode()
    path = tmp_path / "d.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(1))
    refuse(path, f"tensor 'a' is of type {dtype}, which NumPy lacks; save it as float32")


def test_bfloat16_of_safetensors_is_read_as_float32(tmp_path):
    """The upper half of a float32, bit for bit."""
    values = np.array([1.0, -2.5, 3.140625, 0.0], np.float32)
    raw = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = json.dumps({"a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}).encode()
    path = tmp_path / "d.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw)
    np.testing.assert_array_equal(open_weights(path)["a"], values)


@pytest.mark.parametrize(
    "suffix", [".npz", ".h5", ".keras", ".pt", ".safetensors", ".pb", ".pbtxt"]
)
def test_files_of_nonsense(tmp_path, suffix):
    for number, content in enumerate(
        (b"", b"nonsense\n" * 99, b"PK\x03\x04", b"\x89HDF\r\n\x1a\n")
    ):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(content)
        refuse(path, "; ")


def test_missing_files(tmp_path):
    for name in ("d.npz", "d.h5", "d.pb", "saved_model.pb", "model.ckpt-1"):
        with pytest.raises(CheckpointError):
            open_weights(tmp_path / name)


def test_parts_that_a_damaged_directory_swallows(tmp_path):
    """The comment of an entry made longer: Python's zipfile takes the next entries for it."""
    path = tmp_path / "d.npz"
    np.savez(path, a=np.ones(1), b=np.ones(1))
    content = bytearray(path.read_bytes())
    first, second = (m.start() for m in re.finditer(b"PK\1\2", content))
    content[first + 32 : first + 34] = (second - first).to_bytes(2, "little")
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["a.npy"]
    refuse(path, "counts 2 parts and lists 1")


def test_strings_that_hdf5_would_read_without_end(tmp_path):
    path = tmp_path / "d.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/conv2d/vars/0", data=np.ones(3))
        file["layers/conv2d/vars"].attrs["name"] = "conv"
    assert list(open_weights(path)) == ["conv/kernel"]
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL") + 16
    content[heap : heap + 16] = bytes(16)  # the first object: no index, no size
    path.write_bytes(content)
    refuse(path, "a collection of its strings is damaged")


def test_damaged_variables_of_a_saved_model(data, tmp_path):
    shutil.copytree(data / "slim_v1/saved_model", tmp_path / "saved")
    values = tmp_path / "saved/variables/variables.data-00000-of-00001"
    content = bytearray(values.read_bytes())
    content[1000] ^= 1
    values.write_bytes(content)
    file = open_weights(tmp_path / "saved")
    with pytest.raises(CheckpointError, match="do not match their checksum"):
        file.verify()
