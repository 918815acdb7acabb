"""A writer killed at any moment (SIGKILL) leaves the old whole file or the new whole one.

SLIM_RESNET_KILLS: how many times each writer is killed. For a table of 100 kills of each:

    python tests/converters/test_killed.py [NUMBER OF KILLS]
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from converters import formats
from converters.files import WeightsFile
from converters.formats import libraries
from converters.proof.comparison import Comparison
from converters.proof.report import Report, write_reports
from converters.recognise.recognised import Recognised
from slim_resnet import arch as arch_lib
from slim_resnet.regression.record import seeded_value

KILLS = int(os.environ.get("SLIM_RESNET_KILLS", "6"))
LABELS = ("one", "two")  # what is written in turn
REPORT = "report.json"
BEFORE, WHILE, AFTER = "before it was begun", "while it was written", "after it was written"
# What to import once, before a process is forked for each kill; by the target or its suffix. (Keras
# imports TensorFlow when it saves, whatever its backend.)
_TORCH = ("torch", "converters.models.torch_model")
_KERAS = ("tensorflow", "keras", "converters.models.keras_model")
_TENSORFLOW = ("tensorflow", "slim_resnet.compat", "slim_resnet.graph")
IMPORTS = {
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".pt2": (*_TORCH, "torch.export"),
    ".onnx": (*_TORCH, "torch.onnx", "onnxscript"),
    "keras": _KERAS,
    "frozen": _TENSORFLOW,
    "saved_model": _TENSORFLOW,
}
NAMES = {("slim", ""): "model.ckpt-1", ("saved_model", ""): "saved"}
# Those that compile a graph for every file they write, or load TensorFlow.
SLOW = (
    ".pt2", ".onnx", "keras", "frozen", "saved_model", "torchvision", "timm", "keras_applications",
)  # fmt: skip


# Source is written of a graph, which the seeded checkpoint here has not.
WRITTEN = [target for target in formats.targets() if target != "torch-source"]


def writers() -> dict[str, tuple[str, str]]:
    """Name -> target and suffix, of every writer there is; and the report's."""
    found = {
        f"{t} {s}".strip(): (t, s)
        for t in formats.targets()
        for s in formats.suffixes(t)
        if t != "torch-source"
    }
    return {**found, REPORT: (REPORT, "")}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if {*pair} & {*SLOW} else [])
        for name, pair in writers().items()
    ],
)
def test_a_killed_writer_leaves_a_whole_file(name, tmp_path):
    found = in_a_process(name, tmp_path, KILLS)
    assert found.returncode == 0, found.stdout + found.stderr
    assert json.loads(found.stdout.splitlines()[-1])[WHILE]


def in_a_process(name: str, folder: pathlib.Path, kills: int) -> subprocess.CompletedProcess:
    """Kills a writer in a process of its own: one in which a framework has worked cannot fork.

    Keras writes the same on each of its backends; PyTorch's is the one that is imported soonest.
    """
    paths = [str(pathlib.Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    variables = {
        "KERAS_BACKEND": "torch",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    command = [sys.executable, __file__, name, str(folder), str(kills)]
    return subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def kill_often(name: str, folder: pathlib.Path, kills: int) -> Counter:
    """Kills a process that writes over a file, at any moment, and looks what is there.

    Returns:
        How many kills struck before, while and after the file was written.
    """
    target, suffix = writers()[name]
    for module in (*IMPORTS.get(target, ()), *IMPORTS.get(suffix, ())):
        importlib.import_module(module)
    path = folder / (NAMES.get((target, suffix)) or f"net{suffix}")
    writes = {label: writer(target, path, label) for label in LABELS}
    whole, seconds = {}, []
    for label, write in writes.items():
        remove(path)  # where a folder is, none is written
        start = time.perf_counter()
        assert os.waitpid(forked(write), 0)[1] == 0
        seconds.append(time.perf_counter() - start)
        whole[label] = content(path)
    assert whole["one"] != whole["two"]

    draw = random.Random(name)
    counts = Counter()
    before = whole["two"]
    for kill in range(kills):
        if path.is_dir():
            remove(path)
            before = {}
        label = LABELS[kill % 2]
        # Half of the kills strike anywhere, the others once the file is begun.
        begun = kill_one(writes[label], path, kill % 4 > 1, draw.random(), min(seconds))
        found = content(path)
        moved = not found and target == "slim"  # see `content`
        assert moved or found in (before, whole[label]), f"kill {kill}: neither old nor new"
        counts[WHILE if begun else AFTER if found == whole[label] else BEFORE] += 1
        before = found
    return counts


def kill_one(
    write: Callable[[], None], path: pathlib.Path, wait: bool, moment: float, seconds: float
) -> bool:
    """Kills a process that writes a file; returns whether it had begun it and not ended.

    Args:
        write: writes the file at `path`.
        path: what it writes.
        wait: whether to wait until the file is begun.
        moment: when, of what is left, from 0 to 1.
        seconds: what the writing takes in all.
    """
    stale = hidden(path)
    start = time.perf_counter()
    child = forked(write)
    if wait:
        while not hidden(path) - stale and time.perf_counter() - start < 2 * seconds:
            time.sleep(0.0002)
        seconds = max(seconds - (time.perf_counter() - start), seconds / 50)
    time.sleep(moment * seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), "it failed before it was killed"
    return bool(hidden(path) - stale)


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


def writer(target: str, path: pathlib.Path, label: str) -> Callable[[], None]:
    """Writes what `label` stands for to `path`."""
    if target == REPORT:
        compared = tuple(Comparison("torch", (8, 8), str(i), 0.0, 0.0) for i in range(2000))
        report = Report(label, "net", "slim", "float64", 1e-12, compared)
        return functools.partial(write_reports, path, [report])
    name = "resnet_v1_18" if target in ("torchvision", "timm") else "resnet_cifar_20"
    arch = arch_lib.get(name, convention="torchvision")
    if target == "keras_applications":
        arch = arch_lib.get("resnet_v1_50").replace(
            **libraries.LIBRARIES[target].facts["resnet_v1"]
        )
    values = {v.name: seeded_value(f"{label}/{v.name}", v.shape) for v in arch.variables}
    ckpt = Recognised(WeightsFile.of_arrays("seeded", values), arch, scope="")
    return functools.partial(formats.writer(target, path), ckpt)


def content(path: pathlib.Path) -> dict[str, bytes]:
    """What is at `path`, file by file; of a zip the parts, as it has the time in it.

    A V2 checkpoint is two files, which no system replaces in one step. While they change places
    there is no index, so that nobody can take one's index for the other's data: that is nothing.
    """
    index = path.with_name(f"{path.name}.index")
    if index.exists():
        return {p.name: p.read_bytes() for p in visible(path.parent)}
    if path.is_dir():
        return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    if not path.exists():
        return {}
    if not zipfile.is_zipfile(path):
        return {path.name: path.read_bytes()}
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name != "metadata.json"]
        return {name: archive.read(name) for name in names}


def remove(path: pathlib.Path) -> None:
    """Removes a folder in one step, as far as anyone can see."""
    if path.is_dir():
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".removed") as other:
            path.rename(pathlib.Path(other) / path.name)


def visible(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    return (p for p in folder.iterdir() if not p.name.startswith("."))


def hidden(path: pathlib.Path) -> set[str]:
    return {name for name in os.listdir(path.parent) if name.startswith(".")}


def main(kills: int) -> None:
    """Prints a row of a table for each writer."""
    columns = (BEFORE, WHILE, AFTER)
    print("| writer | kills |", " | ".join(f"killed {column}" for column in columns), "| broken |")
    print("| --- | ---: |", " ---: |" * 4)
    for name in writers():
        with tempfile.TemporaryDirectory() as folder:
            found = in_a_process(name, pathlib.Path(folder), kills)
        if found.returncode:
            print(found.stdout + found.stderr, file=sys.stderr)
            sys.exit(f"{name}: failed")
        counts = json.loads(found.stdout.splitlines()[-1])
        cells = " | ".join(str(counts.get(column, 0)) for column in columns)
        print(f"| {name} | {kills} | {cells} | 0 |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(kill_often(sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        main(int((*sys.argv, "100")[1]))
