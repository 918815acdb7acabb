"""Conversions of what TensorFlow 1.15 left: right, or refused by name; no faulty file is kept."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil

import numpy as np
import onnx
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import converters
from converters import formats
from converters.files import CheckpointError
from converters.files.checkpoint.writer import write_bundle
from converters.formats import onnx_format
from converters.models import torch_model
from slim_resnet import resnet_v1
from slim_resnet.compat import slim, tf

pytestmark = pytest.mark.usefixtures("inline")

# Networks that are almost slim's.
ALMOST_SLIM = ("relu6", "bias_and_norm", "se")


@pytest.fixture
def computed(difference):
    """computed(path, case) -> how far the file's module is from what TensorFlow 1.15 computed."""

    def run(path, case) -> float:
        (images,), (expected,) = case.inputs.values(), case.outputs.values()
        net = torch_model.load(path).eval()
        with torch.inference_mode():
            found = net(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
        return difference(found.reshape(expected.shape), expected)  # 1x1: one order

    return run


def trained_here(folder, is_training: bool) -> dict[str, np.ndarray] | None:
    """A small training of today's tf-slim, or, of its checkpoint, slim's own inference graph."""
    images = np.random.default_rng(3).standard_normal((4, 12, 14, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        image = tf.placeholder(tf.float32, [None, None, None, 3], name="image")
        norm = {"is_training": is_training, "decay": 0.75, "scale": True}
        net = image
        for scope in ("first", "second"):
            net = slim.conv2d(
                net, 4, 3, normalizer_fn=slim.batch_norm, normalizer_params=norm, scope=scope
            )
        saver = tf.train.Saver()
        if not is_training:
            saver.restore(session, str(folder / "model.ckpt"))
            return {"image": images, "second/Relu": session.run(net, {image: images})}
        step = slim.learning.create_train_op(
            tf.reduce_mean(tf.square(net - 1)), tf.train.GradientDescentOptimizer(0.1)
        )
        session.run(tf.global_variables_initializer())
        for _ in range(5):
            session.run(step, {image: images})
        saver.save(session, str(folder / "model.ckpt"))
    return None


def test_a_fused_batch_norm_that_moves_its_own_averages(difference, tmp_path):
    """As today's TensorFlow trains: the operation reads the averages, and gives the moved ones."""
    trained_here(tmp_path, is_training=True)
    expected = trained_here(tmp_path, is_training=False)
    path = tmp_path / "net.safetensors"
    done = converters.convert(tmp_path / "model.ckpt", path, "torch", outputs=("second/Relu",))
    assert done.error == ""
    assert "4 moved statistics" in done.proof.sentence()
    net = torch_model.load(path).eval()
    with torch.inference_mode():
        found = net(torch.from_numpy(expected["image"]).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert difference(found.numpy(), expected["second/Relu"]) < 2e-6


@pytest.mark.parametrize("spelled", ["operation", "maximum", "absolute"])
def test_a_leaky_relu_in_any_spelling(difference, tmp_path, spelled):
    """The operation's slope is a float32, those of other spellings are what the code says."""
    lrelu = {
        "operation": lambda x: tf.nn.leaky_relu(x, 0.3),
        "maximum": lambda x: tf.maximum(0.3 * x, x),
        "absolute": lambda x: 0.65 * x + 0.35 * tf.abs(x),
    }[spelled]
    blocks = [resnet_v1.resnet_v1_block("block1", base_depth=2, num_units=2, stride=2)]
    images = np.random.default_rng(3).standard_normal((2, 33, 33, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        image = tf.placeholder(tf.float32, [None, None, None, 3], name="image")
        with slim.arg_scope(resnet_v1.resnet_arg_scope(activation_fn=lrelu)):
            net, _ = resnet_v1.resnet_v1(image, blocks, 5, is_training=False)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        expected = session.run(net, {image: images})
    path = tmp_path / "net.safetensors"
    done = converters.convert(tmp_path / "model.ckpt", path, "torch", outputs=(net.op.name,))
    assert done.error == ""
    with torch.inference_mode():
        found = torch_model.load(path).eval()(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert difference(found.numpy().reshape(expected.shape), expected) < 2e-6


def without_graph(case, folder) -> str:
    for name in os.listdir(case.folder):
        if name.startswith(case.about["checkpoint"]) and not name.endswith(".meta"):
            shutil.copy(case.folder / name, folder)
    return str(folder / case.about["checkpoint"])


@pytest.mark.parametrize("name", ALMOST_SLIM)
def test_a_network_with_its_graph_is_what_tensorflow_115_ran(wild, computed, tmp_path, name):
    case, path = wild(name), tmp_path / "net.safetensors"
    source = case.folder / case.about["checkpoint"]
    done = converters.convert(source, path, "torch", outputs=list(case.outputs))
    assert done.proof.sentence().startswith(f"proved against {case.about['meta']}: ")
    assert computed(path, case) < 2e-6
    with safe_open(path, "np") as file:
        assert file.metadata()["proved_against"] == case.about["meta"]


def test_biases_before_batch_norms_are_kept_without_a_graph(wild, computed, tmp_path):
    case, path = wild("bias_and_norm"), tmp_path / "net.safetensors"
    done = converters.convert(without_graph(case, tmp_path), path, "torch")
    assumed = "slim's resnet_v1_custom, assuming stride in the last unit, "
    assert done.proof.sentence().startswith(f"proved against {assumed}")
    with safe_open(path, "np") as file:
        assert file.metadata()["proved_against"].startswith(assumed)
    assert computed(path, case) < 2e-6


def test_what_weights_do_not_tell_is_assumed_aloud_or_said_by_the_user(wild, computed, tmp_path):
    case, path = wild("relu6"), tmp_path / "net.safetensors"
    source = without_graph(case, tmp_path)
    done = converters.convert(source, path, "torch")
    assert ", ReLU, epsilon 1e-05" in done.proof.sentence()
    with safe_open(path, "np") as file:
        assert "ReLU, epsilon" in file.metadata()["assumed"]
    assert computed(path, case) > 0.01, "nothing says ReLU6"
    done = converters.convert(source, path, "torch", facts={"activation": "relu6"}, overwrite=True)
    assert "ReLU," not in done.proof.sentence()
    assert computed(path, case) < 2e-6


def test_weights_that_no_layer_reads_are_refused_and_ignored_aloud(wild, tmp_path):
    source = without_graph(wild("se"), tmp_path)
    path, report = tmp_path / "net.safetensors", tmp_path / "report.json"
    before = sorted(os.listdir(tmp_path))
    refusal = r"/se/fc1/biases \(squeeze-and-excitation\) and 15 more.* --ignore REGEX"
    with pytest.raises(CheckpointError, match=refusal):
        converters.convert(source, path, "torch")
    assert sorted(os.listdir(tmp_path)) == before
    done = converters.convert(source, path, "torch", ignore="se/", report=report)
    left_out = dict(done.left_out)
    assert len(left_out["ignored"]) == 16
    assert len(json.loads(report.read_text())["left_out"]["ignored"]) == 16
    with safe_open(path, "np") as file:
        assert file.metadata()["ignored"].count("/se/fc") == 16


@pytest.mark.parametrize(
    ("target", "suffix", "arch", "refusal"),
    [
        ("torch", "safetensors", "resnet_v1_50", r"shortcut/weights has shape .* without --arch"),
        (
            "torch",
            "safetensors",
            "resnet_v1_custom",
            r"is not resnet_v1_custom alone.*Mul '.*/mul'",
        ),
        ("torchvision", "pth", "resnet_v1_custom", r"is not resnet_v1_custom alone.*Mul '.*/mul'"),
        ("torchvision", "pth", None, r"torchvision has no model of .*Mul '.*/mul'.* --to torch"),
        ("timm", "safetensors", None, r"timm has no model of .*Mul '.*/mul'.* use --to torch"),
    ],
)
def test_a_graph_that_is_more_than_was_asked_for(wild, tmp_path, target, suffix, arch, refusal):
    """Squeeze-and-excitation, its graph beside it: whole, or not at all."""
    source = wild("se").folder / wild("se").about["checkpoint"]
    with pytest.raises(ValueError, match=refusal):
        converters.convert(source, tmp_path / f"net.{suffix}", target, arch=arch)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("way", ["same", "link", "report", "report is output"])
def test_nothing_is_written_over_its_source(wild, tmp_path, way):
    source = without_graph(wild("relu6"), tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    other, options = tmp_path / "other.ckpt", {}
    if way == "same":
        other = source
    elif way == "link":
        (tmp_path / "here").symlink_to(tmp_path)
        other = tmp_path / "here" / os.path.basename(source)
    else:
        options["report"] = other if way == "report is output" else f"{source}.index"
    with pytest.raises(ValueError, match="name another"):
        converters.convert(source, other, "slim", verified=False, **options)
    (tmp_path / "here").unlink(missing_ok=True)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"ignore": "(["}, "no regular expression"),
        ({"facts": {"activation": "relu6"}}, "you said activation of a residual network"),
    ],
)
def test_what_cannot_be_meant_of_a_graph_is_refused(data, tmp_path, told, message):
    source = data / "wild" / "lrn" / "model.ckpt-100"
    with pytest.raises(ValueError, match=message):
        converters.convert(source, tmp_path / "x.safetensors", "torch", verified=False, **told)
    assert os.listdir(tmp_path) == []


# Faults of a written file, whatever put them there.


def another_weight(path: str) -> None:
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    arrays = load_file(path)
    name = next(n for n in arrays if n.endswith("conv2.weight"))
    arrays[name] = arrays[name].copy()
    arrays[name].flat[3] += 0.5
    save_file(arrays, path, metadata)


def other_padding_of_onnx(path: str) -> None:
    model = onnx.load(path)
    conv = next(
        n for n in model.graph.node
        if n.op_type == "Conv" and any(a.name == "pads" and any(a.ints) for a in n.attribute)
    )  # fmt: skip
    pads = next(a for a in conv.attribute if a.name == "pads")
    half = len(pads.ints) // 2
    pads.ints[:] = [n + 1 for n in pads.ints[:half]] + [n - 1 for n in pads.ints[half:]]
    onnx.save(model, path)


def other_padding_of_a_graph(path: str) -> None:
    with open(path, "rb") as file:
        definition = tf.GraphDef.FromString(file.read())
    pad = next(node for node in definition.node if node.op == "Pad")
    pads = next(node for node in definition.node if node.name == pad.input[1])
    values = tf.make_ndarray(pads.attr["value"].tensor).copy()
    values[1:3] = values[1:3, ::-1] + [[1, -1]]
    pads.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
    with open(path, "wb") as file:
        file.write(definition.SerializeToString())


def external_data_that_ends_early(path: str) -> None:
    os.truncate(f"{path}.data", os.path.getsize(f"{path}.data") // 2)


def an_end_that_is_missing(path: str) -> None:
    os.truncate(path, os.path.getsize(path) * 2 // 3)


def another_variable(path: str) -> None:
    reader = tf.train.load_checkpoint(path)
    arrays = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    name = next(n for n in arrays if n.endswith("conv2/weights"))
    arrays[name] += 0.1
    write_bundle(path, arrays)


FAULTS = {
    "torch": ("net.safetensors", another_weight),
    "torch ends": ("net.pt", an_end_that_is_missing),
    "keras ends": ("net.keras", an_end_that_is_missing),
    "onnx": ("net.onnx", other_padding_of_onnx),
    "onnx data": ("net.onnx", external_data_that_ends_early),
    "frozen": ("net.pb", other_padding_of_a_graph),
    "slim": ("net.ckpt", another_variable),
}


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, marks=pytest.mark.slow) if fault == "onnx" else fault for fault in FAULTS],
)
def test_a_faulty_file_is_not_published(wild, tmp_path, monkeypatch, fault):
    name, damage = FAULTS[fault]
    right = formats.writer

    def faulty(*args, **options):
        made = right(*args, **options)

        def write(ckpt, path, options) -> None:
            made.format.write(ckpt, path, options)
            damage(path)

        return dataclasses.replace(made, format=dataclasses.replace(made.format, write=write))

    monkeypatch.setattr(formats, "writer", faulty)
    if fault == "onnx data":
        monkeypatch.setattr(onnx_format, "fits_protobuf", lambda ckpt: False)
    case = wild("relu6")
    source = case.folder / case.about["checkpoint"]
    try:
        done = converters.convert(source, tmp_path / name, fault.split()[0])
    except CheckpointError as error:  # it cannot even be opened
        said = str(error)
    else:
        said = done.error
    assert name in said or "verification failed" in said
    assert os.listdir(tmp_path) == []
