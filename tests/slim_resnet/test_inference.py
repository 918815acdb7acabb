"""Frozen graphs and folded batch norms, against the graph that they come from."""

from __future__ import annotations

import collections
import os
import subprocess
import sys

import numpy as np
import pytest

from slim_resnet import graph, inference
from slim_resnet.arch.parts import Norm
from slim_resnet.compat import slim, tf
from slim_resnet.regression.record import seeded_images, seeded_value

# Each kind of unit and shortcut; a batch norm of its own (v2), of a sum (branches), of branches.
NETS = [
    ("resnet_v1_18", "grouped"),
    ("resnet_cifar_20", "grouped"),
    ("resnext_v2_50", "grouped"),
    pytest.param("resnext_29_8x64d", "grouped", marks=pytest.mark.slow),
    ("resnext_29_8x64d", "branches"),
    ("resnext_cifar", "concat"),
]


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as made:
        yield made


def seed_all(session) -> None:
    values = {v: seeded_value(v.op.name, tuple(v.shape)) for v in tf.global_variables()}
    graph.assign(session, values)


def run(graph_def, images):
    return inference.runner(graph_def, ["images:0"], "output:0")(images)


def error(found, expected) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def norms_of_their_own(arch) -> int:
    """Batch norms that follow something else than one convolution."""
    sums = len(arch.units) if arch.form == "branches" else 0
    return sums + sum(isinstance(layer, Norm) for layer in arch.layers)


def types(graph_def) -> collections.Counter:
    return collections.Counter(node.op for node in graph_def.node)


@pytest.mark.parametrize(("name", "form"), NETS)
def test_folded_outputs_are_the_same_in_float64(name, form, narrow, session):
    arch = narrow(name, form=form)
    images = seeded_images((2, 37, 50, 3)).astype(np.float64)
    net, _ = graph.build(arch, tf.placeholder(tf.float64, [None, None, None, 3], "images"))
    tf.identity(net, "output")
    seed_all(session)
    expected = session.run("output:0", {"images:0": images})
    plain = inference.freeze(session, ["output"], fold=False)
    folded = inference.freeze(session, ["output"])
    assert error(run(plain, images), expected) <= 1e-12
    assert error(run(folded, images), expected) <= 1e-12
    assert types(folded)["Rsqrt"] == norms_of_their_own(arch)


def test_a_fused_batch_norm_is_folded_in_float32(narrow, session):
    arch = narrow("resnext_29_8x64d")
    images = seeded_images((2, 37, 50, 3))
    net, _ = graph.build(arch, tf.placeholder(tf.float32, [None, None, None, 3], "images"))
    tf.identity(net, "output")
    seed_all(session)
    expected = session.run("output:0", {"images:0": images})
    before, after = (inference.freeze(session, ["output"], fold=fold) for fold in (False, True))
    assert types(before)["FusedBatchNormV3"] == types(before)["Conv2D"] - 1  # not the logits
    assert types(after)["FusedBatchNormV3"] == 0
    biases = [node for node in after.node if any("/folded_bias" in name for name in node.input)]
    grouped, others = len(arch.units), types(before)["FusedBatchNormV3"] - len(arch.units)
    assert collections.Counter(n.op for n in biases) == {"AddV2": grouped, "BiasAdd": others}
    assert len(after.node) < len(before.node)
    assert error(run(after, images), expected) <= 2e-6


# Runs a ResNeXt, its frozen graph and its folded one; then frozen graphs that were made elsewhere.
RUN_ALL = """
import pathlib, sys
import numpy as np
from slim_resnet import graph, inference
from slim_resnet.compat import tf
from slim_resnet.arch.architecture import Arch
from slim_resnet.regression.record import seeded_images, seeded_value

folder, elsewhere = map(pathlib.Path, sys.argv[1:])
arch = Arch.from_json((folder.parent / "arch.json").read_text())
images = seeded_images((2, 37, 50, 3))
with tf.Graph().as_default(), tf.Session() as session:
    net, _ = graph.build(arch, tf.placeholder(tf.float32, [None, None, None, 3], "images"))
    tf.identity(net, "output")
    values = {v: seeded_value(v.op.name, tuple(v.shape)) for v in tf.global_variables()}
    graph.assign(session, values)
    found = {"session": session.run("output:0", {"images:0": images})}
    for fold in (False, True):
        frozen = inference.freeze(session, ["output"], fold=fold)
        (folder / f"fold_{fold}.pb").write_bytes(frozen.SerializeToString())
for where in (folder, elsewhere):
    for path in sorted(where.glob("*.pb")):
        run = inference.runner(tf.GraphDef.FromString(path.read_bytes()), ["images:0"], "output:0")
        found[f"{where.name} {path.stem}"] = run(images)
np.savez(folder / "outputs.npz", **found)
"""


@pytest.mark.slow
def test_grouped_convolutions_run_without_onednn(narrow, tmp_path):
    """TensorFlow's own fused convolution, which then takes oneDNN's place, has no groups."""
    (tmp_path / "arch.json").write_text(narrow("resnext_v1_50").to_json())
    outputs = {}
    for onednn in ("1", "0"):
        (tmp_path / onednn).mkdir()
        subprocess.run(
            [sys.executable, "-c", RUN_ALL, tmp_path / onednn, tmp_path / "1"],
            env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": onednn},
            check=True,
        )
        outputs[onednn] = np.load(tmp_path / onednn / "outputs.npz")
    runs = ["session", "0 fold_False", "0 fold_True", "1 fold_False", "1 fold_True"]
    assert sorted(outputs["0"]) == sorted(runs)
    for name in runs:
        assert error(outputs["0"][name], outputs["1"]["session"]) <= 2e-5, name


def conv_and_norm(**kwargs):
    """A convolution and a fused batch norm after it; images [1, 4, 4, 3]."""
    images = tf.placeholder(tf.float32, [1, 4, 4, 3], "images")
    net = slim.conv2d(images, 5, 3, activation_fn=None, biases_initializer=None)
    return net, slim.batch_norm(net, scale=True, **{"is_training": False, **kwargs})


def frozen_output(session, net, *more):
    tf.identity(net, "output")
    seed_all(session)
    images = seeded_images((1, 4, 4, 3))
    expected = session.run("output:0", {"images:0": images})
    graph_def = inference.freeze(session, ["output", *more])
    assert error(run(graph_def, images), expected) <= 1e-6
    return types(graph_def)


def test_it_is_folded_alone(session):
    _, norm = conv_and_norm()
    assert frozen_output(session, norm)["FusedBatchNormV3"] == 0


def test_a_convolution_that_is_read_elsewhere_stays(session):
    conv, norm = conv_and_norm()
    assert frozen_output(session, conv + norm)["FusedBatchNormV3"] == 1


def test_a_convolution_that_is_an_output_stays(session):
    conv, norm = conv_and_norm()
    assert frozen_output(session, norm, conv.op.name)["FusedBatchNormV3"] == 1


def test_a_batch_norm_in_training_stays(session):
    _, norm = conv_and_norm(is_training=True)
    assert frozen_output(session, norm)["FusedBatchNormV3"] == 1


def test_a_batch_norm_of_something_else_stays(session):
    conv, _ = conv_and_norm()
    norm = slim.batch_norm(tf.nn.relu(conv), is_training=False)
    assert frozen_output(session, norm)["FusedBatchNormV3"] == 1


def test_a_filter_that_is_not_constant_stays(session):
    images = tf.placeholder(tf.float32, [1, 4, 4, 3], "images")
    weights = tf.reduce_mean(images) * tf.ones([3, 3, 3, 5])
    net = slim.batch_norm(tf.nn.conv2d(images, weights, 1, "SAME"), is_training=False)
    assert frozen_output(session, net)["FusedBatchNormV3"] == 1


def test_an_unknown_output_is_named(session):
    conv_and_norm()
    with pytest.raises(KeyError, match="no node elsewhere"):
        inference.freeze(session, ["elsewhere"])
