"""Checkpoints of real TensorFlow 1.15: all formats, all spellings of a path, the mapping."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from converters.files import CheckpointError
from converters.files.checkpoint import open_checkpoint

FOLDERS = ["slim_v1/v2", "slim_v1/v1", "slim_v1/sharded", "slim_v2/v2", "resnext_cifar"]


def same(one, other) -> bool:
    return (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )


@pytest.mark.parametrize("folder", FOLDERS)
def test_equals_tensorflows_reader(data, tf, folder):
    ours = open_checkpoint(data / folder, verify=True)
    theirs = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(data / folder)))
    assert set(ours) == set(theirs.get_variable_to_shape_map())
    for name in ours:
        expected = np.asarray(theirs.get_tensor(name))
        assert same(ours[name], expected)
        assert ours.shape(name) == expected.shape
        assert ours.dtype(name) == expected.dtype


@pytest.mark.parametrize("folder", ["slim_v1/v1", "slim_v1/sharded"])
def test_formats_agree(data, folder):
    one, other = open_checkpoint(data / "slim_v1/v2"), open_checkpoint(data / folder)
    assert list(one) == list(other)
    assert all(same(one[name], other[name]) for name in one)
    assert one.nbytes == other.nbytes == sum(array.nbytes for array in one.values())


@pytest.mark.parametrize(
    "path",
    [
        "v2",
        "v2/",
        "v2/checkpoint",
        "v2/model.ckpt-60",
        "v2/model.ckpt-60.index",
        "v2/model.ckpt-60.meta",
        "v2/model.ckpt-60.data-00000-of-00001",
        "sharded/model.ckpt-60.data-00002-of-00003",
        "v1",
        "v1/checkpoint",
        "v1/model.ckpt-60",
        "v1/model.ckpt-60.meta",
    ],
)
def test_every_spelling_of_a_path(data, path):
    folder = path.split("/")[0]
    weights = open_checkpoint(str(data / "slim_v1") + "/" + path)
    assert len(weights) == 696
    assert weights.path == str(data / "slim_v1" / folder / "model.ckpt-60")
    assert weights.format == ("tf-v1" if folder == "v1" else "tf-v2")
    names = {name for name in os.listdir(data / "slim_v1" / folder) if name != "checkpoint"}
    assert {os.path.basename(file) for file in weights.files} == names


def test_relative_path(data, monkeypatch):
    monkeypatch.chdir(data / "slim_v1/v2")
    for path in (".", "checkpoint", "model.ckpt-60", "model.ckpt-60.index"):
        assert len(open_checkpoint(path)) == 696


def test_mapping(data):
    weights = open_checkpoint(data / "slim_v1/v2")
    names = list(weights)
    assert names == sorted(names)
    assert len(names) == len(weights) == 696
    assert "global_step" in weights
    assert "nope" not in weights
    assert None not in weights
    assert weights["global_step"] == 60
    assert weights.shape("global_step") == ()
    assert weights.get("nope") is None
    for ask in (weights.__getitem__, weights.shape, weights.dtype, weights.verify):
        with pytest.raises(KeyError, match="nope"):
            ask("nope")
    assert "696 variables" in repr(weights)


@pytest.mark.parametrize("folder", ["slim_v1/v2", "slim_v1/v1"])
def test_arrays_are_read_only_and_outlive_the_mapping(data, folder):
    array = open_checkpoint(data / folder)["resnet_v1_50/conv1/weights"]
    assert array.shape == (7, 7, 3, 64)
    assert np.isfinite(array).all()
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_v2_arrays_are_views_of_the_file(data):
    weights = open_checkpoint(data / "slim_v1/v2")
    one, other = (weights["resnet_v1_50/conv1/weights"] for _ in range(2))
    assert not one.flags.owndata
    assert np.shares_memory(one, other)


def test_steps(data):
    assert open_checkpoint(data / "slim_v1/v1", step=60).path.endswith("model.ckpt-60")
    assert open_checkpoint(data / "slim_v1/v2/checkpoint", step=60).format == "tf-v2"
    with pytest.raises(CheckpointError, match=r"no checkpoints of step 6;.*model\.ckpt-60"):
        open_checkpoint(data / "slim_v1/v2", step=6)
    with pytest.raises(CheckpointError, match="only a folder has steps"):
        open_checkpoint(data / "slim_v1/v2/model.ckpt-60", step=60)


def test_reads_without_any_framework(data):
    script = """
import sys
for name in ("tensorflow", "torch", "keras", "google.protobuf", "snappy", "ml_dtypes", "h5py"):
    sys.modules[name] = None
from converters.files.checkpoint import open_checkpoint
for path in sys.argv[1:]:
    weights = open_checkpoint(path, verify=True)
    print(sum(array.size for array in weights.values()))
print({name.partition(".")[0] for name in sys.modules} & {"tensorflow_core", "absl", "jax"})
"""
    from converters.files import errors

    environment = {**os.environ, "PYTHONPATH": os.path.abspath(errors.__file__ + "/../../..")}
    done = subprocess.run(
        [sys.executable, "-c", script, *(str(data / folder) for folder in FOLDERS)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.split("\n")
    assert lines[0] == lines[1] == lines[2] != "0"
    assert lines[5] == "set()"
