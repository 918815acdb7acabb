"""Keras's own ResNets to slim and PyTorch and back, compared with `keras.applications`."""

from __future__ import annotations

import json
import re
import zipfile

import keras
import numpy as np
import pytest
import torch
from keras.src.applications import resnet

from converters import CheckpointError, convert, formats, load_checkpoint, to_torch
from converters.formats.file_metadata import metadata
from converters.formats.libraries import LIBRARIES, to_state
from converters.formats.library_files import load_weights
from slim_resnet.arch.facts import TOLD

IMAGES = np.random.default_rng(0).normal(size=(2, 75, 90, 3))
SUFFIXES = (".keras", ".weights.h5", ".h5")
BOUNDS = {"float64": 1e-12, "float32": 2e-5}
WIDTHS = (8, 16, 24, 32)


def narrow(version: int, dtype: str = "float32", **changes) -> keras.Model:
    """Keras's network with two units a block, the first and the last one, and few channels."""
    stack = getattr(resnet, f"stack_residual_blocks_v{version}")
    strides = (1, 2, 2, 2) if version == 1 else (2, 2, 2, 1)

    def stacked(x):
        for block, (filters, stride) in enumerate(zip(WIDTHS, strides, strict=True), start=2):
            x = stack(x, filters, 2, stride1=stride, name=f"conv{block}")
        return x

    settings = {"classes": 5, "classifier_activation": None} | changes
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        inputs = keras.Input((None, None, 3), dtype=dtype)
        return resnet.ResNet(
            stacked, version == 2, True, weights=None, input_tensor=inputs, **settings
        )
    finally:
        keras.config.set_dtype_policy(before)


def randomize(model: keras.Model) -> keras.Model:
    """Weights like a trained net's; biases and batch norms as initialised would hide mistakes."""
    random = np.random.default_rng(1)
    for variable in model.variables:
        shape = variable.shape
        if variable.name in ("gamma", "moving_variance"):
            value = random.uniform(0.5, 1, shape)
        elif variable.name == "kernel":
            value = random.normal(0, np.prod(shape[:-1]) ** -0.5, shape)
        else:
            value = random.normal(0, 0.1, shape)
        variable.assign(value)
    return model


@pytest.fixture(scope="module", params=[1, 2])
def version(request):
    return request.param


@pytest.fixture(scope="module")
def model(version):
    return randomize(narrow(version))


@pytest.fixture(scope="module")
def expected(model, version):
    """Keras's logits by the type that it computes in."""
    found = {}
    for dtype in BOUNDS:
        raised = narrow(version, dtype)
        raised.set_weights(model.get_weights())
        logits = raised(IMAGES.astype(dtype), training=False)
        found[dtype] = keras.ops.convert_to_numpy(logits)
    return found


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_each_kind(suffix, version, model, expected, tmp_path):
    """As people save them, with a softmax."""
    saved = narrow(version, classifier_activation="softmax")
    saved.set_weights(model.get_weights())
    save(saved, tmp_path / f"net{suffix}")
    ckpt = load_weights(tmp_path / f"net{suffix}", "keras")
    assert ckpt.notes[0] == "its layers have the names of keras.applications' ResNets"
    assert "logits, the values before the softmax" in ckpt.notes[-1]
    channels = {1: "BGR, 0 to 255, minus", 2: "RGB, scaled to -1 to 1"}[version]
    assert metadata(ckpt)["preprocessing"].startswith(channels)
    assert bool(ckpt.assumed) == (suffix == ".weights.h5")  # the others tell what they compute
    net = to_torch(ckpt)
    images = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)
    for dtype, bound in BOUNDS.items():
        kind = getattr(torch, dtype)
        with torch.inference_mode():
            found = net.to(kind)(images.to(kind)).numpy()
        largest = np.abs(expected[dtype]).max()
        assert largest > 0.1
        assert np.abs(found - expected[dtype]).max() <= bound * largest


def save(model: keras.Model, path) -> None:
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)


def test_no_top(version, tmp_path):
    path = tmp_path / "net.keras"
    narrow(version, include_top=False).save(path)
    ckpt = load_weights(path, "keras")
    assert ckpt.num_classes is None
    assert "averages of the last feature map" in ckpt.notes[-1]


def test_a_model_in_a_model(version, tmp_path):
    """A classifier on Keras's features, as its guide to transfer learning builds one."""
    base = randomize(narrow(version, include_top=False, pooling="avg"))
    model = keras.Sequential([keras.Input((None, None, 3)), base, keras.layers.Dense(3)])
    for suffix in SUFFIXES:
        path = tmp_path / f"net{suffix}"
        save(model, path)
        with pytest.raises(CheckpointError, match="has besides dense.*--ignore"):
            load_weights(path, "keras")
        ckpt = load_weights(path, "keras", ignore="^dense")
        assert np.array_equal(ckpt[ckpt.full_name("conv1/weights")],
                              base.get_layer("conv1_conv").kernel)  # fmt: skip
        assert ckpt.num_classes is None


@pytest.mark.parametrize(
    ("layer", "key", "value"),
    [
        ("conv3_block1_1_conv", "strides", [1, 1]),
        ("conv4_block1_2_conv", "dilation_rate", [2, 2]),
        ("conv2_block1_1_bn", "epsilon", 1e-3),
        ("pool1_pool", "padding", "same"),
        ("pool1_pad", "padding", [[0, 0], [0, 0]]),
        ("conv2_block1_1_relu", "activation", "relu6"),
    ],
)
def test_a_layer_that_computes_something_else(layer, key, value, tmp_path):
    """In its configuration, with the same weights: they do not tell."""
    narrow(1).save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    (found,) = [x for x in config["config"]["layers"] if x["config"]["name"] == layer]
    assert key in found["config"]
    found["config"][key] = value
    members["config.json"] = json.dumps(config)
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    told = re.escape(f"its layer {layer} has the {key} {value}, where keras.applications'")
    with pytest.raises(CheckpointError, match=told):
        load_weights(tmp_path / "other.keras", "keras")


@pytest.mark.parametrize("name", ["ResNet50", pytest.param("ResNet50V2", marks=pytest.mark.slow)])
def test_to_slim_and_back_bit_for_bit(name, tmp_path):
    """Its own class takes the file that comes back."""
    model = randomize(getattr(keras.applications, name)(weights=None, classes=3))
    source, prefix = tmp_path / "net.weights.h5", str(tmp_path / "model.ckpt")
    model.save_weights(source)
    there = convert(source, prefix, "slim", library="keras", verified=False)
    assert there.network == {"ResNet50": "resnet_v1_50", "ResNet50V2": "resnet_v2_50"}[name]

    with pytest.raises(ValueError, match=r"keras_applications('s| has).*--network root_pool=zeros"):
        formats.writer("keras_applications", tmp_path / "x.weights.h5")(load_checkpoint(prefix))
    facts = LIBRARIES["keras_applications"].facts[there.network[:-3]]
    ckpt = load_checkpoint(prefix, facts={k: v for k, v in facts.items() if k in TOLD})
    back = to_state(ckpt, "keras_applications")
    assert len(back) == len(model.weights)
    for layer in model.layers:
        for variable in layer.weights:
            value = keras.ops.convert_to_numpy(variable)
            assert back[f"{layer.name}/{variable.name}"].tobytes() == value.tobytes()

    formats.writer("keras_applications", tmp_path / "back.weights.h5")(ckpt)
    expected = [keras.ops.convert_to_numpy(x) for x in model.weights]
    randomize(model).load_weights(tmp_path / "back.weights.h5")
    for variable, value in zip(model.weights, expected, strict=True):
        assert np.array_equal(variable, value)
