"""Files that need nothing of this project, run by what they are for."""

from __future__ import annotations

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch

import converters
from converters import formats
from converters.files import WeightsFile
from converters.formats.libraries import to_state
from converters.models import torch_model
from converters.recognise.recognised import Recognised
from slim_resnet import arch as arch_lib
from slim_resnet import graph
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Stage
from slim_resnet.compat import tf
from slim_resnet.regression.record import seeded_value

# Other batches and sizes than the writers' example: even, odd, and feature maps of size 1.
SHAPES = ((1, 64, 64), (3, 47, 33), (2, 7, 8))

# Runs a file on the images of an .npz, in a process that cannot import this project.
RUN = """
import sys
sys.modules["converters"] = sys.modules["slim_resnet"] = None
import numpy as np
_, path, images, outputs = sys.argv
images = np.load(images)
{load}
np.savez(outputs, **{{name: run(images[name]) for name in images}})
"""
LOAD_PT2 = """
import torch
net = torch.export.load(path).module()
run = lambda batch: net(torch.from_numpy(batch)).detach().numpy()
"""
LOAD_ONNX = """
import onnxruntime
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
run = lambda batch: session.run(["logits"], {"images": batch})[0]
"""
LOAD_FROZEN = """
import tensorflow.compat.v1 as tf
tf.disable_eager_execution()
graph_def = tf.GraphDef.FromString(open(path, "rb").read())
tf.import_graph_def(graph_def, name="")
session = tf.Session(graph=tf.get_default_graph())
run = lambda batch: session.run("logits:0", {"images:0": batch})
"""
LOAD_SAVED_MODEL = """
import tensorflow as tf
serve = tf.saved_model.load(path).signatures["serving_default"]
run = lambda batch: serve(images=tf.constant(batch))["logits"].numpy()
"""


def seeded(arch):
    """A slim checkpoint in memory, its values seeded by name."""
    values = {f"{arch.name}/{v.name}": seeded_value(v.name, v.shape) for v in arch.variables}
    return Recognised(WeightsFile.of_arrays("model.ckpt-7", values), arch, arch.name)


def tiny(convention, **changes):
    """A ResNeXt of two short blocks: every kind of unit, and the root pool, in little time."""
    stages = (Stage(2, 16, 8, 2), Stage(2, 32, 16, 1))
    arch = arch_lib.get("resnext_v1_50", num_classes=10, stages=stages, cardinality=4)
    return seeded(arch.replace(name="tiny", convention=convention, **changes))


@pytest.fixture(scope="module")
def ckpt():
    return tiny("slim")


@pytest.fixture(scope="module")
def batches():
    rng = np.random.default_rng(0)
    return {
        f"{n}x{h}x{w}": rng.standard_normal((n, 3, h, w), dtype=np.float32) for n, h, w in SHAPES
    }


@pytest.mark.parametrize(
    "convention", ["slim", pytest.param("torchvision", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("target", "suffix", "load"),
    [("torch", ".pt2", LOAD_PT2), ("onnx", ".onnx", LOAD_ONNX)],
    ids=["pt2", "onnx"],
)
@pytest.mark.slow
def test_programs_run_without_this_project(target, suffix, load, convention, batches, tmp_path):
    if load is LOAD_ONNX:
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    ckpt = tiny(convention)
    names = (f"program{suffix}", "images.npz", "outputs.npz")
    path, images, outputs = (str(tmp_path / name) for name in names)
    formats.writer(target, path)(ckpt)
    np.savez(images, **batches)
    command = [sys.executable, "-c", RUN.format(load=load), path, images, outputs]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    net, found = converters.to_torch(ckpt), np.load(outputs)
    for name, batch in batches.items():
        with torch.inference_mode():
            expected = net(torch.from_numpy(batch)).numpy()
        assert found[name].shape == expected.shape
        assert np.abs(found[name] - expected).max() <= 2e-5 * np.abs(expected).max(), name
    written = (tmp_path / f"program{suffix}").read_bytes()
    assert ckpt.arch.to_json().encode() in written.replace(b"\\", b"")
    assert torch_model.__file__.encode() not in written  # no paths of the machine that wrote it


def plain_session():
    """Runs graphs as they are: what is fused, and so rounded, goes by the processor."""
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return tf.Session(config=config)


def slim_outputs(ckpt, images):
    """Logits and probabilities of the slim graph that is rebuilt here."""
    with tf.Graph().as_default(), plain_session() as session:
        inputs = tf.placeholder(tf.float32, [None, None, None, 3])
        net, end_points = graph.build(ckpt.arch, inputs, scope=ckpt.scope)
        values = ckpt.stored()
        variables = graph.variables(ckpt.arch, ckpt.scope)
        graph.assign(session, {v: values[name] for name, v in variables.items()})
        fetches = (net, end_points["predictions"])
        return [
            [value.reshape(len(batch), -1) for value in session.run(fetches, {inputs: batch})]
            for batch in images
        ]


def run_frozen_graph(path, images):
    graph_def = tf.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default(), plain_session() as session:
        tf.import_graph_def(graph_def, name="")
        assert not tf.global_variables()
        return [session.run(["logits:0", "prob:0"], {"images:0": batch}) for batch in images]


def run_saved_model(path, images):
    with tf.Graph().as_default(), plain_session() as session:
        model = tf.saved_model.load(session, ["serve"], str(path))
        signature = model.signature_def["serving_default"]
        fetches = [signature.outputs[name].name for name in ("logits", "prob")]
        feed = signature.inputs["images"].name
        return [session.run(fetches, {feed: batch}) for batch in images]


@pytest.mark.parametrize(
    ("target", "suffix", "run"),
    [
        ("frozen", ".pb", run_frozen_graph),
        ("saved_model", "", run_saved_model),
    ],
    ids=["frozen", "saved_model"],
)
def test_tensorflow_1_files_compute_slims_logits(target, suffix, run, ckpt, batches, tmp_path):
    path = tmp_path / f"written{suffix}"
    formats.writer(target, path)(ckpt)
    images = [batch.transpose(0, 2, 3, 1) for batch in batches.values()]
    for found, expected in zip(run(path, images), slim_outputs(ckpt, images), strict=True):
        for left, right in zip(found, expected, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("target", "suffix", "run"),
    [
        ("frozen", ".pb", run_frozen_graph),
        ("saved_model", "", run_saved_model),
    ],
    ids=["frozen", "saved_model"],
)
def test_folded_files_compute_slims_logits(target, suffix, run, ckpt, batches, tmp_path):
    path = tmp_path / f"written{suffix}"
    formats.writer(target, path, fold=True)(ckpt)
    images = [batch.transpose(0, 2, 3, 1) for batch in batches.values()]
    for found, expected in zip(run(path, images), slim_outputs(ckpt, images), strict=True):
        for left, right in zip(found, expected, strict=True):
            assert np.abs(left - right).max() <= 2e-5 * np.abs(right).max()


def test_folded_graphs_hold_no_batch_norm_but_those_of_their_own(ckpt, tmp_path):
    formats.writer("frozen", tmp_path / "net.pb", fold=True)(ckpt)
    nodes = tf.GraphDef.FromString((tmp_path / "net.pb").read_bytes()).node
    assert not [node.name for node in nodes if node.op.startswith("FusedBatchNorm")]
    with pytest.raises(converters.CheckpointError, match="folded into the convolution"):
        converters.load_checkpoint(tmp_path / "net.pb")


@pytest.mark.slow
@pytest.mark.parametrize("fold", [False, True])
def test_files_run_where_tensorflow_has_no_onednn(fold, ckpt, batches, tmp_path):
    """Where its fused kernel has no groups."""
    formats.writer("frozen", tmp_path / "net.pb", fold=fold)(ckpt)
    formats.writer("saved_model", tmp_path / "saved", fold=fold)(ckpt)
    images = {name: batch.transpose(0, 2, 3, 1) for name, batch in batches.items()}
    np.savez(tmp_path / "images.npz", **images)
    for path, load in (("net.pb", LOAD_FROZEN), ("saved", LOAD_SAVED_MODEL)):
        outputs = str(tmp_path / f"{path}.npz")
        done = subprocess.run(
            [sys.executable, "-c", RUN.format(load=load), path, "images.npz", outputs],
            env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        found = np.load(outputs)
        for (name, batch), (expected, _) in zip(
            images.items(), slim_outputs(ckpt, images.values()), strict=True
        ):
            assert found[name].shape == (len(batch), 10)
            assert np.abs(found[name] - expected).max() <= 2e-5 * np.abs(expected).max(), name


def test_a_network_without_classes_gives_features(tmp_path):
    formats.writer("frozen", tmp_path / "net.pb")(tiny("slim", num_classes=None))
    nodes = tf.GraphDef.FromString((tmp_path / "net.pb").read_bytes()).node
    assert "features" in {node.name for node in nodes}
    assert not {"logits", "prob"} & {node.name for node in nodes}


def test_a_saved_model_never_replaces_a_folder(ckpt, tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(OSError, match="model is a folder"):
        formats.writer("saved_model", tmp_path / "model")(ckpt)
    with pytest.raises(FileNotFoundError, match="make it first"):
        formats.writer("saved_model", tmp_path / "none" / "model")(ckpt)


def test_a_saved_model_is_whole_or_not_there(ckpt, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(tf.saved_model.Builder, "save", full)
    with pytest.raises(OSError, match="no space left"):
        formats.writer("saved_model", tmp_path / "model")(ckpt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["grouped", "concat"])
def test_hdf5_of_slim_names(form, tmp_path):
    ckpt = tiny("slim", form=form)
    formats.writer("hdf5", tmp_path / "net.h5")(ckpt)
    with h5py.File(tmp_path / "net.h5") as file:
        assert Arch.from_json(file.attrs["slim_resnet.arch"]) == ckpt.arch
        assert file.attrs["source"] == "model.ckpt-7"
        for name, value in ckpt.stored().items():
            dataset = file[ckpt.full_name(name)]
            assert dataset.dtype == np.float32
            np.testing.assert_array_equal(dataset, value)
        found = []
        file.visititems(lambda name, item: found.append(name) if hasattr(item, "shape") else None)
    assert set(found) == {ckpt.full_name(v.name) for v in ckpt.arch.variables}


def test_npz_of_slim_names(tmp_path):
    ckpt = tiny("slim", form="concat")
    formats.writer("npz", tmp_path / "net.npz")(ckpt)
    with np.load(tmp_path / "net.npz") as found:
        assert set(found) == {ckpt.full_name(v.name) for v in ckpt.arch.variables}
        for name in found:
            np.testing.assert_array_equal(found[name], ckpt[name])


@pytest.mark.parametrize("target", ["torchvision", "timm"])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_state_dicts_of_torchvision_and_timm(target, suffix, tmp_path):
    ckpt = seeded(arch_lib.get("resnet_v1_18", num_classes=3, convention="torchvision"))
    path = str(tmp_path / f"net{suffix}")
    formats.writer(target, path)(ckpt)
    if suffix == ".pth":
        found = torch.load(path, weights_only=True)
    else:
        found = safetensors.torch.load_file(path)
    expected = to_state(ckpt, target)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), value)
