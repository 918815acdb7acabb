"""A training killed (SIGKILL) at random moments always goes on, and ends on the same curve.

SLIM_RESNET_KILLS: how many times it is killed.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable

import pytest

from slim_resnet import datasets
from slim_resnet.training import loop, network, resume
from slim_resnet.training.observer import Observer
from slim_resnet.training.recipe import Recipe

KILLS = int(os.environ.get("SLIM_RESNET_KILLS", "20"))
STEPS = 12  # at most, that one process makes before its last moments
SECONDS = 0.15  # that these last at most


@pytest.mark.slow
def test_a_killed_training_always_goes_on(tmp_path):
    # In a process of its own: one in which TensorFlow has worked before cannot be forked.
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[3])}
    command = [sys.executable, __file__, str(tmp_path), str(KILLS)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    print(found.stdout)
    assert found.returncode == 0, found.stdout + found.stderr


class Reports(Observer):
    """Writes where a training starts, and how far it comes, into a pipe."""

    def __init__(self, pipe: int):
        self._pipe = pipe

    def on_start(self, step):
        os.write(self._pipe, f"start {step}\n".encode())

    def on_step(self, step):
        os.write(self._pipe, f"step {step.step}\n".encode())

    def on_warning(self, message):
        os.write(self._pipe, b"warning\n")


def kill_often(folder: pathlib.Path, kills: int) -> None:
    arch = network.choose("resnet_cifar_20", 10, width=0.25)
    arch = arch.replace(stages=tuple(dataclasses.replace(s, num_units=1) for s in arch.stages))
    training, test = (datasets.load("digits", split=split) for split in datasets.SPLITS)
    recipe = Recipe(steps=20 * kills, batch_size=16, dtype="float64")

    def run(name: str) -> loop.Run:
        return loop.Run(
            arch, training, test, recipe, folder / name, save_every=2, log_every=1, keep=3
        )

    draw = random.Random(0)
    starts, saved, warnings = [], 0, 0
    for kill in range(kills):
        early = kill % 4 == 3  # while it starts: the graph, the restoring, the first save
        moment = (
            (0, draw.uniform(0, 4)) if early else (draw.randint(1, STEPS), draw.random() * SECONDS)
        )
        lines = killed(run("killed"), *moment)
        warnings += "warning\n" in lines
        for line in lines:
            if line.startswith("start"):
                starts.append(int(line.split()[1]))
                assert starts[-1] >= saved, "a checkpoint was lost"
        # Every other step is saved, before the next one is made.
        steps = [int(line.split()[1]) for line in lines if line.startswith("step")]
        saved = max([saved, *((step - 1) // 2 * 2 for step in steps)])
    print(f"{kills} kills; went on after steps {starts}; {warnings} broken checkpoints")
    assert len(set(starts)) > kills / 2, "it was killed before it came anywhere"
    for name in ("killed", "whole"):
        assert os.waitpid(forked(lambda name=name: loop.train(run(name))), 0)[1] == 0
    for name, columns in (("metrics.csv", slice(0, 6)), ("evaluation.csv", slice(None))):
        found, expected = (rows(folder / run / name, columns) for run in ("killed", "whole"))
        assert len(found) > 1
        assert found == expected, f"{name} differs"
    left = [p.name for p in (folder / "killed").iterdir() if "temp" in p.name or p.name[0] == "."]
    assert not left, f"left behind: {left}"
    assert len(resume.checkpoints(folder / "killed")) == 3


def killed(run: loop.Run, steps: int, seconds: float) -> list[str]:
    """What a training reports until it is killed, `seconds` after it has made `steps` more."""
    reader, writer = os.pipe()
    child = forked(lambda: loop.train(run, observer=Reports(writer)))
    os.close(writer)
    with os.fdopen(reader) as pipe:
        lines = []
        while sum(line.startswith("step") for line in lines) < steps:
            lines.append(pipe.readline())
            assert lines[-1], "it ended before it was killed"
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return lines + pipe.readlines()


def forked(work: Callable[[], object]) -> int:
    """The id of a process that does `work` and ends: with code 1 if that raises."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def rows(path: pathlib.Path, columns: slice) -> list[list[str]]:
    with open(path, newline="") as file:
        return [row[columns] for row in csv.reader(file)]


if __name__ == "__main__":
    kill_often(pathlib.Path(sys.argv[1]), int(sys.argv[2]))
