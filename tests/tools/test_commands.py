"""`slim-resnet COMMAND`, from any folder, and the scripts in tools/ that call the same."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

import slim_resnet
from converters.cli.commands import COMMANDS

TOOLS = pathlib.Path(__file__).parents[2] / "tools"


def command(folder, *args) -> subprocess.CompletedProcess:
    line = [sys.executable, "-m", "converters", *map(str, args)]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def test_every_command_is_a_script_too():
    for module, _ in COMMANDS.values():
        script = (TOOLS / f"{module}.py").read_text("utf-8")
        assert f"from converters.cli.{module} import start" in script


def test_a_checkpoint_from_another_folder(data, tmp_path):
    checkpoint = data / "resnext_cifar" / "ResNeXt.ckpt"
    found = command(tmp_path, "inspect", checkpoint)
    assert (found.returncode, found.stderr) == (0, "")
    assert "resnext_cifar" in found.stdout
    args = ("--to", "npz", "--output", "arrays.npz", "--no-verify")
    found = command(tmp_path, "convert", checkpoint, *args)
    assert (found.returncode, found.stderr) == (0, "")
    assert (tmp_path / "arrays.npz").exists()


def test_help_names_every_command_and_calls_each_by_its_name(tmp_path):
    found = command(tmp_path, "--help")
    assert found.returncode == 0
    assert re.findall(r"(?m)^  ([a-z-]+) ", found.stdout) == list(COMMANDS)
    assert command(tmp_path, "convert", "--help").stdout.startswith("usage: slim-resnet convert [")
    assert command(tmp_path, "--version").stdout == f"slim-resnet {slim_resnet.__version__}\n"


def test_help_of_run_legacy_names_its_modes(tmp_path):
    found = command(tmp_path, "run-legacy", "--help")
    assert (found.returncode, found.stderr) == (0, "")
    for words in ("train.py --batch_size 8", "--check train.py", "--rewrite train.py"):
        assert f"slim-resnet run-legacy {words}" in found.stdout


@pytest.mark.parametrize("name", ["invert", "--inspect"])
def test_an_unknown_command_is_one_sentence(tmp_path, name):
    found = command(tmp_path, name)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith(f"error: unknown command {name!r}: use inspect, convert, ")
    assert found.stderr.count("\n") == 1
