"""benchmarks/public_code/record_slim_nets.py, on a small code base of slim's form."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from converters.batch.cases import read_case

SCRIPT = pathlib.Path(__file__).parents[2] / "benchmarks" / "public_code" / "record_slim_nets.py"
FACTORY = """
import tensorflow.compat.v1 as tf

def vgg_a(images, num_classes, is_training, **kwargs):
    with tf.variable_scope("net"):
        kernel = tf.get_variable("weights", [3, 3, 3, num_classes])
        net = tf.nn.conv2d(images, kernel, [1, 2, 2, 1], "SAME")
        if is_training:
            net = tf.nn.dropout(net, rate=0.5)
        net = tf.reduce_mean(net, [1, 2], name="Logits")
        return net, {"Predictions": tf.nn.softmax(net, name="Predictions")}

def constant(images, num_classes, is_training):
    net = tf.zeros_like(images)[:, 0, 0] + tf.get_variable("biases", [3])
    return net, {}

vgg_a.default_image_size = constant.default_image_size = 12
networks_map = {"vgg_a": vgg_a, "constant": constant}

def get_network_fn(name, num_classes, weight_decay, is_training):
    def network(images, **kwargs):
        return networks_map[name](images, num_classes, is_training, **kwargs)
    return network
"""


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import record_slim_nets

    return record_slim_nets


def run(folder: pathlib.Path, *args: str) -> subprocess.CompletedProcess:
    """The script on a code base of two networks, one of which gives the same for all images."""
    nets = folder / "slim" / "nets"
    nets.mkdir(parents=True)
    (nets / "__init__.py").touch()
    (nets / "nets_factory.py").write_text(FACTORY)
    command = [sys.executable, SCRIPT, "--code", folder / "slim", "--output", folder, *args]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def test_a_case_is_what_the_network_computes_with_the_drawn_weights(script, tmp_path):
    found = run(tmp_path, "--nets", "vgg_a", "vgg_a_train", "constant")
    assert found.returncode == 1, found.stderr
    assert "\nconstant: not recorded: ValueError: " in found.stdout
    folders = sorted(path.name for path in tmp_path.glob("*nf_*"))
    assert folders == ["nf_vgg_a", "nf_vgg_a_train"]  # and nothing hidden
    plain, trained = (read_case(tmp_path / folder) for folder in folders)
    assert (plain.note, trained.note) == (
        "real width, 12x12", "vgg_a: training graph, real width, 12x12",
    )  # fmt: skip
    kernel = script.drawn("net/weights", [3, 3, 3, script.NUM_CLASSES]).astype(np.float64)
    for case in (plain, trained):
        assert (tmp_path / f"nf_{case.name[3:]}" / "model.ckpt.meta").exists()
        images = np.pad(case.inputs["images"].astype(np.float64), [(0, 0), (0, 1), (0, 1), (0, 0)])
        patches = np.stack([[images[:, i:i + 12:2, j:j + 12:2] for j in range(3)]
                            for i in range(3)])  # fmt: skip
        logits = np.einsum("ijnhwc,ijck->nk", patches, kernel) / 36
        np.testing.assert_allclose(case.outputs["net/Logits"], logits, atol=1e-6)
        assert list(case.outputs) == ["net/Logits", "net/Predictions"]


def test_an_unknown_network_is_an_error(tmp_path):
    found = run(tmp_path, "--nets", "vgg_b")
    assert found.returncode == 2
    assert "no networks: ['vgg_b']; there are vgg_a, constant, vgg_a_fcn" in found.stderr


@pytest.mark.parametrize(
    ("name", "shape", "variance"),
    [
        ("a/weights", [3, 3, 50, 40], 2 / 450),
        ("a/depthwise_weights", [3, 3, 400, 1], 2 / 9),
        ("a/weights/Momentum", [20, 300], 0.1),
        ("a/biases", [4000], 0.01),
        ("a/gamma", [4000], 1 / 12),
        ("a/BatchNorm/moving_variance", [4000], 9 / 12),
    ],
)
def test_a_name_decides_what_is_drawn(script, name, shape, variance):
    values = script.drawn(name, shape, variance=3)
    assert values.shape == tuple(shape)
    assert values.dtype == np.float32
    assert np.var(values) == pytest.approx(variance, rel=0.1)
    np.testing.assert_array_equal(values, script.drawn(name, shape, variance=3))
    assert not np.array_equal(values, script.drawn(f"b/{name}", shape, variance=3))
