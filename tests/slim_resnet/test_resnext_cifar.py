"""The net of the public CIFAR ResNeXt script, against a real checkpoint of it and its outputs."""

from __future__ import annotations

import numpy as np
import pytest

import converters
from converters import formats
from slim_resnet import arch as arch_lib
from slim_resnet import resnext_cifar
from slim_resnet.compat import slim, tf


@pytest.fixture(scope="module")
def recorded(data):
    return np.load(data / "resnext_cifar" / "outputs.npz")


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


def build(images, **kwargs):
    with slim.arg_scope(resnext_cifar.resnext_cifar_arg_scope()):
        return resnext_cifar.resnext_cifar(images, cardinality=4, depth=8, **kwargs)


@pytest.mark.parametrize("is_training", [False, True])
def test_a_plain_saver_restores_the_scripts_checkpoint(data, recorded, is_training):
    """Zero-debias helpers included, where the graph has them."""
    prefix = tf.train.latest_checkpoint(str(data / "resnext_cifar"))
    with tf.Graph().as_default(), tf.Session() as session:
        net, _ = build(tf.constant(recorded["image"]), is_training=is_training)
        variables = {v.op.name for v in tf.global_variables()}
        tf.train.Saver().restore(session, prefix)
        logits = session.run(net)
    kept = {n for n in tf.train.load_checkpoint(prefix).get_variable_to_shape_map()}
    helpers = {n for n in kept if n.endswith(("biased", "local_step"))}
    model = {n for n in kept - helpers if not n.endswith("Momentum")} - {"is_training"}
    assert variables == (model | helpers if is_training else model)
    if not is_training:
        assert relative(logits, recorded["logits"]) <= 2e-5


@pytest.mark.parametrize("convert", ["torch", "keras"])
def test_converted_models_give_the_scripts_logits(data, recorded, convert):
    ckpt = converters.load_checkpoint(data / "resnext_cifar")
    if convert == "torch":
        import torch

        x = torch.from_numpy(recorded["image"]).permute(0, 3, 1, 2)
        logits = converters.to_torch(ckpt)(x).detach().numpy()
    else:
        logits = converters.to_keras(ckpt).predict(recorded["image"], verbose=0)
    assert relative(logits, recorded["logits"]) <= 2e-5


def test_recognised_and_verified(data):
    ckpt = converters.load_checkpoint(data / "resnext_cifar")
    assert (ckpt.arch.cardinality, ckpt.arch.stages[0].depth_bottleneck) == (4, 32)
    assert (ckpt.scope, ckpt.num_classes, ckpt.unknown) == ("", 10, [])
    assert {kind: len(names) for kind, names in ckpt.auxiliary.items()} == {
        "optimizer slots": 247,
        "zero-debias helpers": 164,
        "training state": 1,
    }
    report = converters.verify(ckpt, image_sizes=[(32, 32), (33, 47)])
    assert report.passed, report.first_divergence
    assert {c.end_point for c in report.comparisons} == set(ckpt.arch.end_points)


def test_grouped_form_restores_and_gives_the_scripts_logits(data, recorded, tmp_path):
    ckpt = converters.load_checkpoint(data / "resnext_cifar")
    grouped = converters.transcode(ckpt, "grouped")
    formats.write_checkpoint(grouped, tmp_path / "grouped")
    arch = arch_lib.resnext_cifar(4, 8).replace(form="grouped")
    with tf.Graph().as_default(), tf.Session() as session:
        net, _ = build(tf.constant(recorded["image"]), is_training=False, arch=arch)
        assert any(op.type == "Conv2D" and op.inputs[1].shape[2] == 8
                   for op in tf.get_default_graph().get_operations())  # fmt: skip
        tf.train.Saver().restore(session, str(tmp_path / "grouped"))
        assert relative(session.run(net), recorded["logits"]) <= 2e-5
    back = converters.transcode(grouped, "concat")
    assert back.scope == ""
    for name in back:
        np.testing.assert_array_equal(back[name], ckpt[name])


@pytest.mark.slow
def test_shape_of_the_script():
    """Cardinality 8, 64 channels a branch: what the script itself builds."""
    with tf.Graph().as_default(), slim.arg_scope(resnext_cifar.resnext_cifar_arg_scope()):
        net, end_points = resnext_cifar.resnext_cifar(tf.placeholder(tf.float32, [2, 32, 32, 3]))
        assert net.shape.as_list() == [2, 10]
        shapes = [end_points[f"resnext_cifar/block{b}"].shape.as_list()[1:] for b in (1, 2, 3)]
        assert shapes == [[32, 32, 64], [16, 16, 128], [8, 8, 256]]
        assert len([v for v in tf.trainable_variables() if "conv2d" in v.op.name]) == 1 + 9 * 17


def test_an_outer_scope_is_kept(data, recorded):
    with tf.Graph().as_default():
        build(tf.constant(recorded["image"]), scope="tower_0")
        names = [v.op.name for v in tf.global_variables()]
    assert names[0] == "tower_0/conv2d/kernel"
    assert all(name.startswith("tower_0/") for name in names)
