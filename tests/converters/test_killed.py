"""A writer killed at any moment (SIGKILL) leaves the old whole file or the new whole one.

SLIM_RESNET_KILLS: how many times each writer is killed.
"""

from __future__ import annotations

import importlib
import itertools
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable

import numpy as np
import pytest

from converters import export
from converters.slim_checkpoint import ArrayFile, SlimCheckpoint
from converters.sources import open_source
from slim_resnet import arch as arch_lib
from slim_resnet.regression.record import seeded_value

KILLS = int(os.environ.get("SLIM_RESNET_KILLS", "12"))

# Name -> the target, its file, and what to import once, before a process is forked for each kill.
# (Keras imports TensorFlow when it saves, whatever its backend.)
WRITERS = {
    "safetensors": ("torch", "net.safetensors", ()),
    "slim": ("slim", "model.ckpt-1", ()),
    "hdf5": ("hdf5", "net.h5", ()),
    "pt": ("torch", "net.pt", ("torch", "converters.torch_model")),
    "keras": ("keras", "net.keras", ("keras", "converters.keras_model", "tensorflow")),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_killed_writer_leaves_a_whole_file(name, tmp_path):
    # In a process of its own: one in which a framework has worked before cannot be forked. Keras
    # writes the same on each of its backends; PyTorch's is the one that is imported soonest.
    paths = [str(pathlib.Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    variables = {"KERAS_BACKEND": "torch", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, __file__, name, str(tmp_path), str(KILLS)]
    found = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def kill_often(name: str, folder: pathlib.Path, kills: int) -> None:
    """Kills a process that writes two checkpoints in turn to one path, and looks what is there."""
    target, file_name, modules = WRITERS[name]
    for module in modules:
        importlib.import_module(module)
    path = folder / file_name
    write = export.writer(target, path)
    checkpoints = {label: checkpoint(label) for label in ("old", "new")}
    whole = {}
    for label, ckpt in checkpoints.items():
        assert os.waitpid(forked(lambda ckpt=ckpt: write(ckpt)), 0)[1] == 0
        whole[label] = arrays(path)
    assert not same(*whole.values())
    expected = visible(folder)

    draw = random.Random(name)
    states = []
    for _ in range(kills):
        kill_one(write, checkpoints, draw.uniform(0, 2))
        states.append(state(path, whole))
        assert visible(folder) <= expected, "a file that is not whole has no hidden name"
    interrupted = sum(p.name.startswith(".") for p in folder.iterdir())
    counts = {each: states.count(each) for each in dict.fromkeys(states)}
    print(f"{name}: {counts} after {kills} kills, {interrupted} of them while a file was written")
    assert interrupted, "no kill struck a write"


def kill_one(write: Callable, checkpoints: dict[str, SlimCheckpoint], moment: float) -> None:
    """Kills a process that writes without end.

    Args:
        write: a writer of `export.writer`.
        checkpoints: what it writes, in turn.
        moment: when, counted from the end of its second file, in times of what that took.
    """
    reader, done = os.pipe()

    def write_on() -> None:
        for ckpt in itertools.cycle(checkpoints.values()):
            write(ckpt)
            os.write(done, b".")

    child = forked(write_on)
    os.close(done)
    os.read(reader, 1)
    start = time.perf_counter()
    os.read(reader, 1)
    time.sleep(moment * (time.perf_counter() - start))
    os.kill(child, signal.SIGKILL)
    os.close(reader)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it ended before it was killed"


def forked(work: Callable[[], None]) -> int:
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


def state(path: pathlib.Path, whole: dict[str, dict]) -> str:
    """The label in `whole` of what is at `path`; of a V2 checkpoint also "no index".

    A V2 checkpoint is two files, which no system replaces in one step. While they change places
    there is no index, so that nobody can take one's index for the other's data.
    """
    index = path.with_name(f"{path.name}.index")
    data = path.with_name(f"{path.name}.data-00000-of-00001")
    if data.exists() and not index.exists():
        return "no index"
    found = arrays(path)
    (label,) = [label for label, expected in whole.items() if same(found, expected)]
    return label


def checkpoint(label: str) -> SlimCheckpoint:
    arch = arch_lib.get("resnet_cifar_20")
    values = {v.name: seeded_value(f"{label}/{v.name}", v.shape) for v in arch.variables}
    return SlimCheckpoint(ArrayFile(label, values), arch, scope="")


def arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    return {name: np.array(value) for name, value in open_source(path).items()}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def visible(folder: pathlib.Path) -> set[str]:
    return {p.name for p in folder.iterdir() if not p.name.startswith(".")}


if __name__ == "__main__":
    kill_often(sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]))
