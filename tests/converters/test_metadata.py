"""What converted files say of classes, preprocessing and training, and how sure they are."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import converters
from converters import formats
from converters.files import WeightsFile, graph_for, open_weights
from converters.files.metadata_keys import ARCH_KEY
from converters.formats.file_metadata import metadata
from converters.graphs import graph_facts
from converters.recognise.recognised import Recognised
from slim_resnet import arch as arch_lib


def checkpoint(arch, **options) -> Recognised:
    values = {v.name: np.zeros(v.shape, np.float32) for v in arch.variables}
    return Recognised(WeightsFile.of_arrays("runs/model.ckpt-7", values), arch, "", **options)


def told(arch, **options) -> dict[str, str]:
    return metadata(checkpoint(arch, **options))


@pytest.mark.parametrize(
    ("num_classes", "classes"),
    [
        (1001, "1001; if they are ImageNet's, the extra one is class 0, slim's background: "
               "label i is class i + 1"),
        (1000, "1000; if they are ImageNet's, label i is class i: there is no background class"),
        (999, "999"),
        (10, "10"),
        (None, "none: the network ends in the pooled features"),
    ],
)  # fmt: skip
def test_classes(narrow, num_classes, classes):
    assert told(narrow("resnet_v2_50", num_classes=num_classes))["classes"] == classes


SLIM_V1 = "RGB, 0 to 255, minus the means 123.68, 116.779, 103.939"
TORCHVISION = "RGB, 0 to 1, minus the means 0.485, 0.456, 0.406, divided by 0.229, 0.224, 0.225"


@pytest.mark.parametrize(
    ("name", "options", "value", "source"),
    [
        ("resnet_v1_50", {}, SLIM_V1, "assumed: slim's published resnet_v1 checkpoints take it"),
        ("resnet_v2_50", {}, "RGB, scaled to -1 to 1", "assumed: slim's published resnet_v2"),
        ("resnext_v1_50", {}, "unknown", "neither in the checkpoint nor published by slim"),
        ("resnet_cifar_20", {}, "unknown", "neither in the checkpoint nor published by slim"),
        ("resnet_v1_50", {"library": "torchvision"}, TORCHVISION, "assumed: torchvision's own"),
        ("resnext_v1_50", {"library": "torchvision"}, TORCHVISION, "assumed: torchvision's own"),
        ("resnet_v1_50", {"library": "timm"}, "unknown", "neither in the checkpoint nor"),
    ],
)
def test_preprocessing(narrow, name, options, value, source):
    found = told(narrow(name), **options)
    assert found["preprocessing"] == value
    assert found["preprocessing_source"].startswith(source)


def test_preprocessing_of_the_other_convention_is_not_guessed(narrow):
    found = told(narrow("resnet_v1_50", convention="torchvision"))
    assert found["preprocessing"] == "unknown"
    assert TORCHVISION in found["preprocessing_source"]


@pytest.mark.parametrize(
    ("arch", "options", "value", "source"),
    [
        (arch_lib.get("resnet_cifar_20"), {}, "0.0001", "assumed: slim's default"),
        (arch_lib.resnext_cifar(2, 4), {}, "unknown", "not in the checkpoint"),
        (arch_lib.get("resnet_cifar_20"), {"library": "timm"}, "unknown", "not in the checkpoint"),
    ],
)
def test_weight_decay_without_a_graph(arch, options, value, source):
    found = told(arch, **options)
    assert (found["weight_decay"], found["weight_decay_source"]) == (value, source)
    assert found["batch_norm_decay"] == str(arch.batch_norm_decay)
    assert found["batch_norm_decay_source"].startswith("assumed")


def test_decays_of_a_graph_of_tf_115(data, tmp_path):
    """Trained with L2 1e-4; an inference graph has no moving averages' updates."""
    shutil.copytree(data / "slim_v1" / "v2", tmp_path / "v2")
    shutil.copy(data / "slim_v1" / "inference.meta", tmp_path / "v2" / "model.ckpt-60.meta")
    found = metadata(converters.load_checkpoint(tmp_path / "v2"))
    assert (found["weight_decay"], found["weight_decay_source"]) == ("0.0001", "the graph")
    assert found["batch_norm_decay_source"].startswith("assumed")
    assert (found["source"], found["global_step"]) == ("model.ckpt-60", "60")


@pytest.fixture(scope="module")
def training_meta(tmp_path_factory, narrow):
    """The graph of a training under today's TensorFlow, its Arch, and the whole l2 loss."""
    from slim_resnet import graph
    from slim_resnet.compat import slim, tf

    path = tmp_path_factory.mktemp("meta") / "train.meta"
    arch = narrow("resnet_cifar_20", base=2, batch_norm_decay=0.9)
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [8, 32, 32, 3])
        net, _ = graph.build(arch, images, scope="net", is_training=True)
        own = tf.get_variable("own/weights", [3], regularizer=slim.l2_regularizer(0.25))
        # the CIFAR script's way: one factor for the sum over everything
        other = tf.get_variable("script/kernel", [3])
        total = 5e-4 * tf.add_n([tf.nn.l2_loss(other), tf.nn.l2_loss(tf.identity(other))])
        loss = tf.reduce_mean(net) + tf.losses.get_regularization_loss() + total
        averages = tf.train.ExponentialMovingAverage(0.5).apply([own])
        with tf.control_dependencies([averages]):
            tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
        tf.train.export_meta_graph(str(path))
    return path, arch


def test_decays_of_a_training_graph(training_meta):
    path, arch = training_meta
    facts = graph_facts(graph_for(path))
    assert facts.weight_decays("net") == (1e-4,)
    assert facts.weight_decays("script") == (5e-4,)
    assert facts.weight_decays("own") == (0.25,)
    assert facts.weight_decays("") == (1e-4, 5e-4, 0.25)
    assert facts.moving_average_decays("net") == (0.9,)
    assert facts.moving_average_decays("own") == ()  # an average of weights is none of batch norm
    decayed = {fact.variable for fact in facts.decays if fact.variable.startswith("net/")}
    kernels = {f"net/{v.name}" for v in arch.variables if v.name.endswith("/weights")}
    assert decayed == kernels
    known = facts.apply(arch.replace(batch_norm_decay=0.997), scope="net")
    assert known.batch_norm_decay == 0.9
    found = told(known, facts=facts.renamed(lambda name: name.removeprefix("net/")))
    assert found["weight_decay"] == "0.0001, 0.0005, 0.25"  # several below the scope: all are said
    assert (found["batch_norm_decay"], found["batch_norm_decay_source"]) == ("0.9", "the graph")


def onnx_metadata(path):
    import onnx

    return {p.key: p.value for p in onnx.load(path).metadata_props}


def torch_metadata(path):
    import torch

    return torch.load(path, weights_only=True)["metadata"]


def own_metadata(path):
    return open_weights(path).metadata


@pytest.mark.parametrize(
    ("target", "name", "read"),
    [
        ("torch", "net.safetensors", own_metadata),
        ("torch", "net.pt", torch_metadata),
        ("hdf5", "net.h5", own_metadata),
        pytest.param("onnx", "net.onnx", onnx_metadata, marks=pytest.mark.slow),
    ],
)
def test_files_carry_it(narrow, tmp_path, target, name, read):
    ckpt = checkpoint(narrow("resnet_cifar_20", base=2, num_classes=1001))
    formats.writer(target, tmp_path / name)(ckpt)
    expected, found = metadata(ckpt), read(tmp_path / name)
    assert json.loads(found.pop(ARCH_KEY)) == json.loads(expected.pop(ARCH_KEY))
    assert found.items() >= expected.items()
