"""Written files, run by what they are for: right ones are right, and faults in them are found."""

from __future__ import annotations

import os
import shutil

import numpy as np
import onnx
import pytest
import torch

from converters.files import CheckpointError, WeightsFile
from converters.formats import writer
from converters.models.targets import to_torch
from converters.proof import standalone
from converters.proof.subjects import Written, prove_checkpoint
from converters.proof.written import (
    ARRAY_READERS,
    RUNNERS,
    Runner,
    WrittenFileError,
    differing_arrays,
    run_written,
)
from converters.recognise.recognised import Recognised
from slim_resnet import arch as arch_lib
from slim_resnet.arch.parts import Stage
from slim_resnet.compat import tf
from slim_resnet.regression.record import seeded_value

# How each format is written today: name in RUNNERS -> (target, suffix).
FORMATS = {
    "torch": ("torch", ".safetensors"),
    "pt2": ("torch", ".pt2"),
    "torchvision": ("torchvision", ".pth"),
    "timm": ("timm", ".safetensors"),
    "keras": ("keras", ".keras"),
    "keras-weights": ("keras", ".weights.h5"),
    "onnx": ("onnx", ".onnx"),
    "frozen": ("frozen", ".pb"),
    "saved_model": ("saved_model", ""),
    "slim": ("slim", ""),
}
CHANGED = "resnet_v1_18/block3/unit_1/basic_v1/conv2/weights"


def checkpoint(changed: bool = False) -> Recognised:
    """torchvision's resnet18, which all formats have; `changed`: a weight is another."""
    arch = arch_lib.get("resnet_v1_18", num_classes=10, convention="torchvision")
    values = {f"{arch.name}/{v.name}": seeded_value(v.name, v.shape) for v in arch.variables}
    if changed:
        values[CHANGED] = values[CHANGED].copy()
        values[CHANGED][1, 1, 0, 0] += 1
    return Recognised(WeightsFile.of_arrays("model.ckpt-7", values), arch, arch.name)


@pytest.fixture(scope="module")
def ckpt():
    return checkpoint()


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    sizes = ((64, 64), (45, 63))
    return [{"images": rng.standard_normal((2, *s, 3)).astype(np.float32)} for s in sizes]


@pytest.fixture(scope="module")
def about(ckpt):
    return {
        "outputs": ["logits"],
        "arch": ckpt.arch.to_json(),
        "scope": ckpt.scope,
        "model": "resnet18",
        "num_classes": 10,
    }


@pytest.fixture(scope="module")
def expected(ckpt, images):
    net = to_torch(ckpt).double()
    with torch.inference_mode():
        return [
            net(torch.from_numpy(x["images"]).double().permute(0, 3, 1, 2)).numpy() for x in images
        ]


@pytest.fixture(scope="module")
def written(ckpt, tmp_path_factory):
    """format -> a file that is right."""
    folder = tmp_path_factory.mktemp("written")

    def write(format):
        target, suffix = FORMATS[format]
        path = str(folder / f"{format}{suffix}")
        if not os.path.exists(path) and not os.path.exists(f"{path}.index"):
            writer(target, path)(ckpt)
        return path

    return write


def worst(found, expected) -> float:
    """Largest difference over largest value."""
    return max(
        np.abs(each["logits"].reshape(right.shape) - right).max() / np.abs(right).max()
        for each, right in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.usefixtures("inline")
def test_a_file_gives_what_was_written(written, images, about, expected, format):
    found = run_written(format, written(format), images, about)
    assert all(each["logits"].dtype == np.float32 for each in found)
    assert worst(found, expected) < 2e-5


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.usefixtures("inline")
def test_a_weight_that_is_another_is_found(tmp_path, images, about, expected, format):
    target, suffix = FORMATS[format]
    path = str(tmp_path / f"file{suffix}")
    writer(target, path)(checkpoint(changed=True))
    assert worst(run_written(format, path, images, about), expected) > 1e-3


@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_a_file_runs_where_this_project_is_not(written, images, about, expected, format):
    """In a process of its own that cannot import it."""
    assert RUNNERS[format].is_standalone
    assert worst(run_written(format, written(format), images, about), expected) < 2e-5


# Faults of a format's own.


@pytest.mark.usefixtures("inline")
def test_padding_that_is_another_in_onnx_is_found(written, tmp_path, images, about, expected):
    model = onnx.load(written("onnx"))
    conv = next(n for n in model.graph.node if n.op_type == "Conv" and len(n.input) > 1)
    pads = next(a for a in conv.attribute if a.name == "pads")
    pads.ints[:] = [2, 2, 4, 4]
    onnx.save(model, tmp_path / "file.onnx")
    found = run_written("onnx", str(tmp_path / "file.onnx"), images, about)
    assert worst(found, expected) > 1e-3


@pytest.mark.usefixtures("inline")
def test_padding_that_is_another_in_a_frozen_graph_is_found(
    written, tmp_path, images, about, expected
):
    with open(written("frozen"), "rb") as file:
        definition = tf.GraphDef.FromString(file.read())
    pool = next(node for node in definition.node if node.op == "MaxPool")
    pool.attr["padding"].s = b"SAME"
    (tmp_path / "file.pb").write_bytes(definition.SerializeToString())
    found = run_written("frozen", str(tmp_path / "file.pb"), images, about)
    assert worst(found, expected) > 1e-3


@pytest.mark.usefixtures("inline")
def test_external_data_that_ends_early_is_found(written, tmp_path, images, about):
    model = onnx.load(written("onnx"))
    path = tmp_path / "file.onnx"
    onnx.save(model, path, save_as_external_data=True, location="file.data", size_threshold=0)
    with open(tmp_path / "file.data", "r+b") as file:
        file.truncate(os.path.getsize(tmp_path / "file.data") // 2)
    with pytest.raises(WrittenFileError, match=r"file\.onnx: onnxruntime cannot run"):
        run_written("onnx", str(path), images, about)


@pytest.mark.parametrize("format", ["torch", "pt2", "keras", "frozen", "timm", "onnx"])
@pytest.mark.usefixtures("inline")
def test_a_file_that_ends_early_is_found(written, tmp_path, images, about, format):
    path = tmp_path / f"file{FORMATS[format][1]}"
    shutil.copy(written(format), path)
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) * 2 // 3)
    with pytest.raises(CheckpointError, match=path.name):
        run_written(format, str(path), images, about)


@pytest.mark.usefixtures("inline")
def test_weights_of_another_network_are_found(tmp_path, images, about):
    arch = arch_lib.get("resnet_v1_34", num_classes=10, convention="torchvision")
    values = {f"{arch.name}/{v.name}": seeded_value(v.name, v.shape) for v in arch.variables}
    path = str(tmp_path / "file.pth")
    writer("torchvision", path)(Recognised(WeightsFile.of_arrays("c", values), arch, arch.name))
    with pytest.raises(WrittenFileError, match="torchvision's class cannot run"):
        run_written("torchvision", path, images, about)


# Arrays alone.


def narrow_checkpoint() -> Recognised:
    stages = (Stage(1, 8, 4, 1),)
    arch = arch_lib.get("resnet_v1_50", num_classes=3, stages=stages).replace(name="narrow")
    values = {f"narrow/{v.name}": seeded_value(v.name, v.shape) for v in arch.variables}
    return Recognised(WeightsFile.of_arrays("model.ckpt-7", values), arch, arch.name)


@pytest.mark.parametrize(("format", "suffix"), [("npz", ".npz"), ("hdf5", ".h5")])
def test_arrays_are_compared_bit_by_bit(tmp_path, format, suffix):
    ckpt = narrow_checkpoint()
    path = str(tmp_path / f"file{suffix}")
    writer(format, path)(ckpt)
    expected = {ckpt.full_name(name): value for name, value in ckpt.stored().items()}
    assert differing_arrays(format, path, expected) == []
    name = "narrow/conv1/weights"
    other = expected[name].copy()
    other.flat[5] = np.nextafter(other.flat[5], 9, dtype=np.float32)
    assert differing_arrays(format, path, {**expected, name: other}) == [name]
    assert differing_arrays(format, path, {**expected, "more": other}) == ["more"]
    del expected[name]
    assert differing_arrays(format, path, expected) == [name]
    with open(path, "r+b") as file:
        file.truncate(200)
    with pytest.raises(WrittenFileError, match=os.path.basename(path)):
        differing_arrays(format, path, expected)


def test_every_reader_of_arrays_is_tried():
    assert set(ARRAY_READERS) == {"npz", "hdf5"}


# In a proof.


def test_what_is_not_installed_is_said(ckpt, monkeypatch):
    monkeypatch.setitem(RUNNERS, "onnx", Runner(standalone.run_onnx, ("no_runtime",), "nothing"))
    assert Written("onnx", "x.onnx", {"outputs": ["logits"]}).not_run == "needs no_runtime"


@pytest.mark.usefixtures("inline")
def test_a_proof_finds_the_fault_of_a_file(ckpt, written, tmp_path, about):
    sizes = {"image_sizes": [(64, 64), (33, 47)]}
    assumed = Recognised(ckpt.file, ckpt.arch, ckpt.scope, assumed=("ReLU",))
    proof = prove_checkpoint(assumed, Written("onnx", written("onnx"), about), **sizes)
    assert proof.passed, proof.sentence()
    assert "onnx file float32" in proof.sentence()
    assert "proved against slim's resnet_v1_18, assuming ReLU" in proof.sentence()
    path = str(tmp_path / "file.onnx")
    writer("onnx", path)(checkpoint(changed=True))
    proof = prove_checkpoint(ckpt, Written("onnx", path, about), **sizes)
    assert not proof.passed
    assert proof.reports[0].passed, "our model is right"
    assert proof.first_divergence.target == "onnx file"
    assert "logits is the first value of the onnx file in float32" in proof.sentence()
