"""A `.keras` file gives the same outputs under each of Keras's backends, without our code."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import converters
from converters.files import WeightsFile
from converters.recognise.recognised import Recognised
from slim_resnet.regression.record import seeded_value

BACKENDS = ("tensorflow", "torch", "jax")
NETS = (
    ("resnext_v1_50", "slim"),
    ("resnext_v1_50", "torchvision"),
    ("resnext_v2_50", "slim"),
    ("resnet_v1_18", "slim"),
    ("resnet_cifar_20", "torchvision"),
)
SIZES = ((32, 32), (33, 47))  # an even and an odd one: padding differs

# What a user runs, in a folder from which nothing of ours can be imported.
RUN = """
import sys
import keras
import numpy as np

model_file, images_file, output = sys.argv[1:]
model = keras.models.load_model(model_file)
images = np.load(images_file)
found = {name: keras.ops.convert_to_numpy(model(images[name])) for name in images.files}
assert not {"slim_resnet", "converters"} & set(sys.modules)
np.savez(output, **found)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Saves a checkpoint's Keras model and runs the file: backend -> size -> logits."""

    def outputs(ckpt: Recognised, images: dict[str, np.ndarray]) -> dict[str, dict]:
        folder = tmp_path_factory.mktemp("backends")
        model, inputs = folder / "net.keras", folder / "images.npz"
        converters.to_keras(ckpt).save(model)
        np.savez(inputs, **images)
        found = {}
        for backend in BACKENDS:
            output = folder / f"{backend}.npz"
            done = subprocess.run(
                [sys.executable, "-c", RUN, model, inputs, output],
                env={**os.environ, "KERAS_BACKEND": backend},
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            found[backend] = dict(np.load(output))
        return found

    return outputs


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the largest value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.slow
def test_recorded_logits(run, data):
    """Those of TensorFlow 1.15, in float32."""
    recorded = np.load(data / "slim_v1/outputs.npz")
    sizes = [name.removesuffix("|image") for name in recorded if name.endswith("|image")]
    images = {size: recorded[f"{size}|image"] for size in sizes}
    found = run(converters.load_checkpoint(data / "slim_v1/v2"), images)
    for backend in BACKENDS:
        for size in sizes:
            logits = found[backend][size]
            assert logits.dtype == np.float32
            assert relative(logits, recorded[f"{size}|logits"]) < 2e-5, (backend, size)


@pytest.mark.slow
def test_other_nets(run, narrow):
    """Grouped convolutions, pads and pools of both conventions, pre-activation, padded shortcuts.

    In float32 as well: under torch and jax, Keras computes batch norms and means in float32
    whatever it is told (`keras.backend.result_type("float64", "float64")` is "float32" there).
    """
    draw = np.random.default_rng(1)
    images = {f"{h}x{w}": draw.standard_normal((2, h, w, 3), np.float32) for h, w in SIZES}
    for name, convention in NETS:
        arch = narrow(name).replace(convention=convention)
        values = {v.name: seeded_value(v.name, v.shape) for v in arch.variables}
        found = run(Recognised(WeightsFile.of_arrays(name, values), arch, ""), images)
        for size, expected in found["tensorflow"].items():
            assert np.abs(expected).max() > 0
            for backend in ("torch", "jax"):
                assert relative(found[backend][size], expected) < 2e-5, (name, backend, size)
