"""tools/finetune_torch.py"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import numpy as np
import pytest

import converters
from converters import formats
from converters.models import torch_model
from slim_resnet.training import network


@pytest.fixture(scope="module")
def prefix(save_checkpoint):
    """A slim checkpoint of a shallow ResNet for seven classes."""
    arch = network.choose("resnet_cifar_20", 7, width=0.5)
    stages = tuple(dataclasses.replace(stage, num_units=1) for stage in arch.stages)
    return save_checkpoint(arch.replace(name="shallow", stages=stages))


@pytest.fixture(scope="module")
def converted(prefix, tmp_path_factory):
    path = tmp_path_factory.mktemp("converted") / "net.safetensors"
    formats.writer("torch", path)(converters.load_checkpoint(prefix))
    return path


RECIPE = ("--dataset", "digits", "--batch-size", "8", "--steps", "3", "--dtype", "float64")


@pytest.fixture(scope="module")
def tuned(converted, tool):
    """What two processes wrote, and the tool's process."""
    path = converted.with_name("tuned.safetensors")
    return path, tool("finetune_torch", converted, *RECIPE, "--processes", 2, "--output", path)


def weights(path):
    return {k: v.numpy() for k, v in torch_model.load(path).state_dict().items()}


def test_what_is_said_in_a_pipe(tuned):
    path, found = tuned
    assert (found.returncode, found.stderr) == (0, "")
    assert "note: new logits: 10 classes, not 7" in found.stdout
    assert "1,437 images, 3 steps of 2 x 8" in found.stdout
    assert [
        row for row in ("before", "after") if re.search(rf"{row} +\d+ +\d+\.\d\d%", found.stdout)
    ]
    assert f"wrote {path}" in found.stdout
    assert {value.dtype.name for value in weights(path).values()} == {"float32", "int64"}


@pytest.mark.slow
def test_torchrun_trains_the_same(converted, tuned, tmp_path):
    path = tmp_path / "tuned.pt"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "tools/finetune_torch.py", converted, *RECIPE, "--output", path,
    ]  # fmt: skip
    found = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.count(f"wrote {path}") == 1
    expected = weights(tuned[0])
    for name, value in weights(path).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6, atol=1e-7, err_msg=name)


def test_a_slim_checkpoint_is_tuned_as_what_it_converts_to(prefix, tuned, tool, tmp_path):
    path = tmp_path / "tuned.safetensors"
    clones = ("--batch-size", 16, "--clones", 2)
    found = tool("finetune_torch", prefix, *RECIPE, *clones, "--output", path)
    assert found.returncode == 0, found.stderr
    expected = weights(tuned[0])
    for name, value in weights(path).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--output", "tuned.keras"), 2, "ends in .safetensors or .pt"),
        (("--output", "no/tuned.pt"), 2, "the folder .*no does not exist"),
        (("--processes", "0"), 2, "0 processes cannot train"),
        (("--clones", "3"), 2, "clones cannot be 3"),
        (("--learning-rate", "1e30", "--steps", "9"), 1, "diverged: the loss of step"),
    ],
)
def test_what_fails_writes_nothing(converted, tool, tmp_path, monkeypatch, options, code, message):
    monkeypatch.chdir(tmp_path)
    found = tool("finetune_torch", converted, *RECIPE, "--output", "tuned.pt", *options)
    assert found.returncode == code
    assert re.search(message, found.stderr)
    assert len(found.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
