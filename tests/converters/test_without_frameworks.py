"""Checkpoints of every kind convert where no framework can be imported, through the tool."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

import converters
from converters.models.naming import table

ROOT = pathlib.Path(__file__).parents[2]
# Runs at the start of any Python that finds it.
BLOCKER = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "tf_slim", "tf_keras", "torch", "keras", "jax"):
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Blocked())
"""
# The same training, as TensorFlow 1.15 saved it.
SOURCES = {"V2": "v2", "V1": "v1", "sharded V2": "sharded"}


@pytest.fixture(scope="module")
def blocker(tmp_path_factory):
    """A folder that makes the frameworks unimportable where it is on PYTHONPATH."""
    folder = tmp_path_factory.mktemp("blocker")
    (folder / "sitecustomize.py").write_text(BLOCKER)
    return folder


@pytest.fixture(scope="module")
def convert(blocker):
    """Runs the tool without frameworks."""

    def run(*arguments):
        tool = ROOT / "tools/convert_checkpoint.py"
        return subprocess.run(
            [sys.executable, str(tool), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env={"PYTHONPATH": str(blocker)},
        )

    return run


@pytest.fixture(scope="module")
def stored(data):
    """The network's variables, by their full names, as TensorFlow 1.15 wrote them into V2."""
    ckpt = converters.load_checkpoint(data / "slim_v1/v2")
    return ckpt.arch, {ckpt.full_name(name): value for name, value in ckpt.stored().items()}


def test_no_framework_can_be_imported(blocker):
    for name in ("tensorflow", "torch", "keras", "jax"):
        found = subprocess.run(
            [sys.executable, "-c", f"import {name}"],
            env={"PYTHONPATH": str(blocker)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"blocked: {name}" in found.stderr


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("target", "suffix"), [("torch", "safetensors"), ("hdf5", "h5")])
def test_converts(convert, stored, data, tmp_path, source, target, suffix):
    output = tmp_path / f"net.{suffix}"
    found = convert(
        data / "slim_v1" / SOURCES[source], "--to", target, "--no-verify", "--output", output
    )
    assert (found.returncode, found.stderr) == (0, "")
    arch, expected = stored
    if target == "torch":
        scope = next(iter(expected)).partition("/")[0]
        arrays = load_file(output)
        rows = table(arch)
        assert set(arrays) == {row.torch for row in rows}
        for row in rows:
            value = row.to_torch(expected[f"{scope}/{row.slim}"])
            np.testing.assert_array_equal(arrays[row.torch], value, strict=True)
        return
    with h5py.File(output) as file:
        for name, value in expected.items():
            np.testing.assert_array_equal(file[name][()], value, strict=True)


@pytest.mark.parametrize("suffix", ["npz", "h5", "safetensors"])
def test_what_was_converted_converts_again(convert, stored, data, tmp_path, suffix):
    """Dumps of slim's variables are sources too; so are weights under torch's names."""
    _, expected = stored
    dump = tmp_path / f"dump.{suffix}"
    options = []
    if suffix == "npz":
        np.savez(dump, **expected)
    elif suffix == "h5":
        with h5py.File(dump, "w") as file:
            for name, value in expected.items():
                file[name] = value
    else:
        assert convert(data / "slim_v1/v2", "--to", "torch", "--no-verify", "--output",
                       dump).returncode == 0  # fmt: skip
        options = ["--from", "torch"]
    output = tmp_path / "model.ckpt-1"
    found = convert(dump, *options, "--to", "slim", "--no-verify", "--output", output)
    assert (found.returncode, found.stderr) == (0, "")
    again = converters.load_checkpoint(output)
    stripped = {name.partition("/")[2]: value for name, value in expected.items()}
    assert again.stored().keys() == stripped.keys()
    for name, value in again.stored().items():
        np.testing.assert_array_equal(value, stripped[name], strict=True)
