"""Checkpoints that today's TensorFlow writes: every type, partitioned variables, strings."""

from __future__ import annotations

import numpy as np
import pytest

from converters.files import CheckpointError
from converters.files.checkpoint import open_checkpoint

ARRAYS = {
    "float32": np.linspace(-1, 1, 7, dtype=np.float32),
    "float64": np.array([[1e300, -0.0], [np.inf, 5e-324]]),
    "float16": np.array([1.5, -2.25, 65504], np.float16),
    "int8": np.array([-128, -1, 127], np.int8),
    "int16": np.array([-(2**15), -1, 2**15 - 1], np.int16),
    "int32": np.array([-(2**31), -1, 0, 2**31 - 1], np.int32),
    "int64": np.array([-(2**63), -1, 0, 300, 2**63 - 1]),
    "uint8": np.arange(256, dtype=np.uint8),
    "uint16": np.array([0, 2**16 - 1], np.uint16),
    "bool": np.array([True, False, True]),
    "complex64": np.array([1 + 2j, -3j], np.complex64),
    "complex128": np.array([1 + 2j, -3j]),
    "scalar": np.array(3.5, np.float32),
    "empty": np.zeros([0, 3], np.float32),
    "naïve/名": np.ones([2, 1, 2], np.int32),
}
V2_ONLY = {
    "uint32": np.array([0, 2**32 - 1], np.uint32),
    "uint64": np.array([0, 2**64 - 1], np.uint64),
}


def check(weights, arrays):
    weights.verify()
    assert list(weights) == sorted(arrays, key=str.encode)
    for name, array in arrays.items():
        read = weights[name]
        assert read.dtype == array.dtype == weights.dtype(name)
        assert read.shape == array.shape == weights.shape(name)
        assert read.tobytes() == array.tobytes()
        assert not read.flags.writeable


def save_v2(tf, prefix, arrays, slices=None):
    slices = slices or [""] * len(arrays)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=[name for name, _ in arrays],
        shape_and_slices=slices,
        tensors=[tf.convert_to_tensor(array) for _, array in arrays],
    )


def save_v1(tf, path, arrays, slices=None):
    slices = slices or [""] * len(arrays)
    tf.raw_ops.SaveSlices(
        filename=str(path),
        tensor_names=[name for name, _ in arrays],
        shapes_and_slices=slices,
        data=[tf.convert_to_tensor(array) for _, array in arrays],
    )


def test_every_type_in_v2(tf, tmp_path):
    arrays = ARRAYS | V2_ONLY
    save_v2(tf, tmp_path / "m", list(arrays.items()))
    check(open_checkpoint(tmp_path / "m"), arrays)


def test_every_type_in_v1(tf, tmp_path):
    save_v1(tf, tmp_path / "m", list(ARRAYS.items()))
    check(open_checkpoint(tmp_path / "m"), ARRAYS)


def test_bfloat16_comes_as_float32(tf, tmp_path):
    exact = np.array([[1.0, -2.5], [np.inf, 2.0**-133]], np.float32)
    scalar = np.array(-2.5, np.float32)
    tensors = [("b", tf.cast(exact, tf.bfloat16)), ("s", tf.cast(scalar, tf.bfloat16))]
    save_v2(tf, tmp_path / "m", tensors)
    weights = open_checkpoint(tmp_path / "m")
    check(weights, {"b": exact, "s": scalar})
    assert weights.nbytes == 10


@pytest.mark.parametrize("save", [save_v1, save_v2])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_along_any_axis(tf, tmp_path, save, axis):
    whole = np.arange(300 * 7 * 90, dtype=np.float32).reshape(300, 7, 90)
    ends = np.cumsum([0, 4, 1, whole.shape[axis] - 5])
    arrays, slices = [], []
    for start, end in zip(ends[:-1], ends[1:], strict=True):
        spec = ["-"] * 3
        spec[axis] = f"{start},{end - start}"
        arrays.append(("w", np.take(whole, range(start, end), axis)))
        slices.append("300 7 90 " + ":".join(spec))
    save(tf, tmp_path / "m", arrays, slices)
    check(open_checkpoint(tmp_path / "m"), {"w": whole})


@pytest.mark.parametrize("save", [save_v1, save_v2])
def test_slices_along_two_axes_are_refused(tf, tmp_path, save):
    quarter = np.zeros([1, 1], np.float32)
    slices = [f"2 2 {i},1:{j},1" for i in range(2) for j in range(2)]
    save(tf, tmp_path / "m", [("w", quarter)] * 4, slices)
    weights = open_checkpoint(tmp_path / "m")
    assert "cannot be read: w (its slices cut several axes" in weights.notes[0]
    with pytest.raises(CheckpointError, match="'w': its slices cut several axes"):
        weights["w"]


@pytest.mark.parametrize("save", [save_v1, save_v2])
@pytest.mark.parametrize(
    ("kept", "reason"), [([0, 2], "leave a gap"), ([0, 1], "do not reach"), ([1, 2], "gap")]
)
def test_slices_that_are_missing(tf, tmp_path, save, kept, reason):
    slices = [f"6 2 {2 * i},2:-" for i in kept]
    save(tf, tmp_path / "m", [("w", np.zeros([2, 2], np.float32))] * len(kept), slices)
    weights = open_checkpoint(tmp_path / "m")
    assert weights.shape("w") == (6, 2)
    with pytest.raises(CheckpointError, match=f"'w': .*{reason}"):
        weights["w"]


@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("version", [1, 2])
def test_partitioners_and_a_sharded_saver(tf, tmp_path, version, sharded):
    v1 = tf.compat.v1
    with tf.Graph().as_default():
        with tf.device("/cpu:0"):
            split = v1.fixed_size_partitioner(3)
            v1.get_variable("p", [10, 5], partitioner=split)
            v1.get_variable("one", [4], partitioner=v1.fixed_size_partitioner(1))
        with tf.device("/cpu:1"):
            v1.get_variable("q", [3, 8], partitioner=v1.fixed_size_partitioner(4, axis=1))
            v1.get_variable("step", initializer=tf.constant(7, tf.int64))
        saver = v1.train.Saver(write_version=version, sharded=sharded)
        with v1.Session(config=v1.ConfigProto(device_count={"CPU": 2})) as session:
            session.run(v1.global_variables_initializer())
            path = saver.save(session, str(tmp_path / "model.ckpt"), global_step=7)
            parts = {v.name: session.run(v) for v in v1.global_variables()}
    expected = {
        "p": np.concatenate([parts[f"p/part_{i}:0"] for i in range(3)]),
        "q": np.concatenate([parts[f"q/part_{i}:0"] for i in range(4)], axis=1),
        "one": parts["one/part_0:0"],
        "step": parts["step:0"],
    }
    for spelling in (path, tmp_path, tmp_path / "model.ckpt-7"):
        weights = open_checkpoint(spelling)
        check(weights, expected)
        assert weights.path == str(tmp_path / "model.ckpt-7")
    assert len(weights.files) == (version == 2) + (2 if sharded else 1)
    for file in weights.files:
        check(open_checkpoint(file), expected)
    check(open_checkpoint(tmp_path, step=7), expected)


def test_strings_are_listed_but_not_read(tf, tmp_path):
    texts = np.array([["a", "bc"], ["", "def"]])
    save_v2(tf, tmp_path / "m", [("t", texts), ("w", np.ones(3))])
    save_v1(tf, tmp_path / "n", [("t", texts), ("w", np.ones(3))])
    for path in ("m", "n"):
        weights = open_checkpoint(tmp_path / path, verify=True)
        assert list(weights) == ["t", "w"]
        assert weights.shape("t") == (2, 2)
        assert weights.dtype("t") == np.dtype(object)
        assert weights.nbytes == 24
        with pytest.raises(CheckpointError, match="'t': it is a string tensor"):
            weights["t"]
        assert weights["w"].tolist() == [1, 1, 1]


def test_object_based_checkpoint(tf, tmp_path):
    path = tf.train.Checkpoint(w=tf.Variable([1.0, 2.0])).save(str(tmp_path / "ckpt"))
    weights = open_checkpoint(path, verify=True)
    assert "_CHECKPOINTABLE_OBJECT_GRAPH" in weights
    assert weights["w/.ATTRIBUTES/VARIABLE_VALUE"].tolist() == [1, 2]
    with pytest.raises(CheckpointError, match="string tensor"):
        weights["_CHECKPOINTABLE_OBJECT_GRAPH"]
