"""tools/launch_local.py with tools/train.py: real clusters on loopback."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from converters.files.checkpoint import open_checkpoint

TOOLS = pathlib.Path(__file__).parents[2] / "tools"
NET = ("--arch", "resnext_29_8x64d", "--width", "0.0625", "--dataset", "digits", "--dtype",
       "float64", "--log-every", "1")  # fmt: skip

pytestmark = pytest.mark.slow


class Cluster:
    """A running `launch_local.py`; its lines as they come."""

    def __init__(self, *train, launcher=()):
        command = [TOOLS / "launch_local.py", "--workers", 2, "--ps", 1, *launcher, "--",
                   TOOLS / "train.py", *NET, *train]  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []

    def pid(self, task):
        """The process of a task, the first one."""
        while True:
            for line in self.lines:
                found = re.match(rf"{task}: process (\d+)", line)
                if found:
                    return int(found[1])
            self.lines.append(self.process.stdout.readline())

    def wait(self):
        output, _ = self.process.communicate(timeout=300)
        self.lines += output.splitlines()
        return self.process.returncode

    def has(self, text):
        return any(text in line for line in self.lines)


def wait_for_step(folder, step):
    """Until metrics.csv has a step's row."""
    deadline = time.monotonic() + 120
    while not any(int(row["step"]) >= step for row in metrics(folder)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def metrics(folder):
    path = pathlib.Path(folder) / "metrics.csv"
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def steps_of_two(tmp_path_factory):
    """Five steps of two workers with 8 images each."""
    folder = tmp_path_factory.mktemp("two")
    cluster = Cluster("--batch-size", 8, "--steps", 5, "--output", folder)
    assert cluster.wait() == 0, cluster.lines
    return folder


def test_two_workers_are_one_with_twice_the_batch(steps_of_two, tool, tmp_path):
    found = tool(
        "train", *NET, "--batch-size", 16, "--clones", 2, "--steps", 5, "--output", tmp_path
    )
    assert found.returncode == 0, found.stderr
    one, two = (open_checkpoint(folder) for folder in (tmp_path, steps_of_two))
    assert int(two["global_step"]) == 5
    assert set(one) == set(two)
    initial = open_checkpoint(tmp_path, step=0)
    for name in one:
        scale = np.abs(one[name]).max() or 1
        assert np.abs(one[name] - two[name]).max() <= 1e-9 * scale, name
    trained = [name for name in one if name.endswith("/weights")]
    assert all(np.abs(one[name] - initial[name]).max() > 1e-6 for name in trained)
    # One worker with its own batch alone is somewhere else.
    tool("train", *NET, "--batch-size", 8, "--steps", 5, "--output", tmp_path / "alone")
    alone = open_checkpoint(tmp_path / "alone")
    assert max(np.abs(alone[n] - one[n]).max() / np.abs(one[n]).max() for n in trained) > 1e-3


def test_a_killed_worker_comes_back_and_catches_up(tmp_path):
    cluster = Cluster("--batch-size", 8, "--steps", 150, "--output", tmp_path)
    worker = cluster.pid("worker 0")
    wait_for_step(tmp_path, 20)
    os.kill(worker, signal.SIGKILL)
    assert cluster.wait() == 0, cluster.lines
    assert cluster.has("worker 0 starts again")
    assert [int(row["step"]) for row in metrics(tmp_path)] == list(range(1, 151))
    assert int(open_checkpoint(tmp_path)["global_step"]) == 150


@pytest.mark.parametrize(("task", "code"), [("ps 0", 1), ("chief", 0)])
def test_whoever_else_is_killed_the_last_checkpoint_is_gone_on_from(task, code, tmp_path):
    settings = ("--batch-size", 8, "--steps", 120, "--save-every", 10, "--output", tmp_path)
    cluster = Cluster(*settings)
    process = cluster.pid(task)
    wait_for_step(tmp_path, 25)
    os.kill(process, signal.SIGKILL)
    assert cluster.wait() == code, cluster.lines
    assert cluster.has(f"{task} was killed by SIGKILL")
    if code:
        assert cluster.has("the same command goes on from the last checkpoint")
        again = Cluster(*settings)
        assert again.wait() == 0, again.lines
        assert any(re.search(r"chief: going on after step [2-9]\d", line) for line in again.lines)
    assert [int(row["step"]) for row in metrics(tmp_path)] == list(range(1, 121))
    assert int(open_checkpoint(tmp_path)["global_step"]) == 120


def test_a_signal_saves_and_stops_all(tmp_path):
    cluster = Cluster("--batch-size", 8, "--steps", 100_000, "--output", tmp_path)
    cluster.pid("ps 0")
    wait_for_step(tmp_path, 5)
    cluster.process.send_signal(signal.SIGINT)
    assert cluster.wait() == 130, cluster.lines
    step = int(open_checkpoint(tmp_path)["global_step"])
    assert int(metrics(tmp_path)[-1]["step"]) == step


def test_asynchronous_workers_and_an_evaluator(tool, tmp_path):
    cluster = Cluster(
        "--batch-size", 32, "--epochs", 2, "--asynchronous", "--output", tmp_path,
        launcher=("--evaluator",),
    )  # fmt: skip
    assert cluster.wait() == 0, cluster.lines
    steps = int(open_checkpoint(tmp_path)["global_step"])
    assert steps >= 90  # 2 x 1,437 images in batches of 32
    with open(tmp_path / "evaluation.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert int(last["step"]) == steps
    assert cluster.has("evaluator: test accuracy")
    assert not cluster.has("chief: test accuracy")
    found = tool("evaluate", tmp_path, "--dataset", "digits", "--json", tmp_path / "found.json")
    assert found.returncode == 0, found.stderr
    (alone,) = json.loads((tmp_path / "found.json").read_text())
    assert alone["correct"] == int(last["correct"])
