"""tools/train.py and tools/evaluate.py"""

from __future__ import annotations

import csv
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import converters
from converters import formats
from converters.files import WeightsFile
from converters.recognise.recognised import Recognised

TRAIN = pathlib.Path(__file__).parents[2] / "tools" / "train.py"
SHORT = ("--width", "0.25", "--batch-size", "16", "--steps", "12", "--save-every", "4",
         "--log-every", "1", "--dtype", "float64")  # fmt: skip


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """A CIFAR-10 folder in the binary layout; the images of a class have its brightness."""
    folder = tmp_path_factory.mktemp("cifar") / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.RandomState(0)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        labels = rng.randint(10, size=20)
        pixels = rng.randint(30, size=(20, 3072)) + 22 * labels[:, None]
        records = np.concatenate([labels[:, None], pixels], axis=1).astype(np.uint8)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n")
    return folder.parent


@pytest.fixture(scope="module")
def trained(cifar, tool, tmp_path_factory):
    """The folder of a whole training on it, and the process that made it."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, tool("train", *on(cifar, folder))


def on(cifar, output, *more):
    return ("--dataset", "cifar10", "--data-dir", cifar, "--output", output, *SHORT, *more)


def start(*args):
    command = [sys.executable, str(TRAIN), *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_rows(process, output, count):
    path = pathlib.Path(output) / "metrics.csv"
    deadline = time.monotonic() + 120
    while not path.exists() or len(path.read_text().splitlines()) <= count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def rows(folder, name="metrics.csv"):
    with open(pathlib.Path(folder) / name, newline="") as file:
        return [row[:6] for row in csv.reader(file)]


def test_what_is_said_in_a_pipe(trained):
    folder, found = trained
    assert (found.returncode, found.stderr) == (0, "")
    assert "data_batch_1.bin: 20 images, the distribution's file has 10,000" in found.stdout
    assert "100 images, 12 steps of 16" in found.stdout
    evaluations = re.findall(r"epoch \S+, step (\d+): test accuracy", found.stdout)
    assert evaluations == ["7", "12"]
    assert re.search(r"input alone: [\d,]+ images/s, training: [\d,]+ images/s", found.stdout)
    assert (folder / "curves.png").stat().st_size > 10_000


@pytest.mark.slow
def test_killed_it_goes_on_by_the_same_command(cifar, trained, tool, tmp_path):
    process = start(*on(cifar, tmp_path))
    wait_for_rows(process, tmp_path, 5)
    process.kill()
    process.communicate()
    found = tool("train", *on(cifar, tmp_path))
    assert found.returncode == 0, found.stderr
    assert re.search(r"going on after step (4|8)\b", found.stdout)
    for name in ("metrics.csv", "evaluation.csv"):
        assert rows(tmp_path, name) == rows(trained[0], name)


@pytest.mark.slow
def test_a_signal_saves_and_stops(tmp_path):
    process = start(
        "--dataset", "digits", "--output", tmp_path, "--width", "0.25", "--steps", "100000",
        "--log-every", "1",
    )  # fmt: skip
    wait_for_rows(process, tmp_path, 3)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate()
    assert (process.returncode, stderr) == (130, "")
    (step,) = re.findall(r"stopped after step (\d+), which is saved", stdout)
    assert converters.load_checkpoint(tmp_path).global_step == int(step)
    assert rows(tmp_path)[-1][0] == step


def test_bad_input(cifar, trained, tool, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for path in (cifar / "cifar-10-batches-bin").iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "data_batch_4.bin").write_bytes(b"\0" * 100_000)
    for args, says in (
        (("--data-dir", broken), "data_batch_4.bin: 100,000 bytes, expected 30,730,000"),
        (("--data-dir", tmp_path), "cifar-10-binary.tar.gz"),
        (("--arch", "resnet_cifar_2"), "did you mean"),
        (("--learning-rate", "-1"), "learning_rate cannot be -1.0"),
    ):
        output = tmp_path / "output"
        found = tool("train", *on(cifar, output, *args))
        assert found.returncode == 2
        assert says in found.stderr
        assert "Traceback" not in found.stderr
        assert not output.exists()
    found = tool("train", *on(cifar, trained[0], "--seed", "9"))
    assert found.returncode == 2
    assert "holds another run: seed is 9, was 0" in found.stderr


@pytest.mark.slow
def test_divergence(tool, tmp_path):
    found = tool(
        "train", "--dataset", "digits", "--output", tmp_path, "--width", "0.25", "--steps", "50",
        "--learning-rate", "1e30", "--save-every", "1",
    )  # fmt: skip
    assert found.returncode == 1
    assert "step 2: " in found.stderr
    assert "conv1 is the first layer" in found.stderr
    assert converters.load_checkpoint(tmp_path).global_step == 1


@pytest.fixture(scope="module")
def converted(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    ckpt = converters.load_checkpoint(trained[0])
    files = [("torch", folder / "net.safetensors"), ("torch", folder / "net.pt"),
             ("keras", folder / "net.keras")]  # fmt: skip
    for target, path in files:
        formats.writer(target, path)(ckpt)
    return [path for _, path in files]


@pytest.mark.slow
def test_all_engines_and_converted_files_agree_to_the_image(
    cifar, trained, converted, tool, tmp_path
):
    found = tool(
        "evaluate", trained[0], *converted, "--dataset", "cifar10", "--data-dir", cifar,
        "--engine", "slim,torch,keras", "--json", tmp_path / "found.json",
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    assert "all agree on every image" in found.stdout
    results = json.loads((tmp_path / "found.json").read_text())
    assert [one["engine"] for one in results] == [
        "slim",
        "torch",
        "keras",
        "torch",
        "torch",
        "keras",
    ]
    recorded = rows(trained[0], "evaluation.csv")[-1]
    for one in results:
        assert one["predictions"] == results[0]["predictions"]
        assert [str(one["correct"]), str(one["total"])] == recorded[4:]
        assert one["loss"] == pytest.approx(float(recorded[2]), rel=1e-4)


@pytest.mark.slow
def test_images_that_are_classified_differently_are_named(cifar, trained, tool, tmp_path):
    ckpt = converters.load_checkpoint(trained[0])
    changed = dict(ckpt.items())
    biases = ckpt.full_name("logits/biases")
    changed[biases] = np.where(np.arange(10) == 3, 1e6, changed[biases])
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    other = Recognised(WeightsFile.of_arrays(ckpt.path, changed), ckpt.arch, ckpt.scope)
    for one, path in zip((ckpt, other), paths, strict=True):
        formats.writer("torch", path)(one)
    found = tool(
        "evaluate", *paths, "--dataset", "cifar10", "--data-dir", cifar, "--json",
        tmp_path / "found.json",
    )  # fmt: skip
    assert found.returncode == 1
    first, second = json.loads((tmp_path / "found.json").read_text())
    assert set(second["predictions"]) == {3}
    differing = [i for i, p in enumerate(first["predictions"]) if p != 3]
    assert f"puts {len(differing)} images into another class" in found.stdout
    assert ": " + ", ".join(map(str, differing[:20])) in found.stdout


def test_evaluate_refuses_what_does_not_fit(trained, tool, tmp_path):
    (tmp_path / "net.keras").write_bytes(b"no model")
    for args, says in (
        ((tmp_path / "net.keras", "--dataset", "digits"), "net.keras: cannot be read"),
        ((trained[0], "--dataset", "digits", "--engine", "jax"), "unknown engine 'jax'"),
    ):
        found = tool("evaluate", *args)
        assert found.returncode == 2
        assert says in found.stderr
        assert "Traceback" not in found.stderr


@pytest.mark.slow
def test_what_is_shown_on_a_terminal(cifar, tmp_path):
    leader, follower = pty.openpty()
    command = [sys.executable, str(TRAIN), *map(str, on(cifar, tmp_path))]
    with subprocess.Popen(
        command, stdout=follower, stderr=follower, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                shown += os.read(leader, 1 << 16)
            except OSError:  # the process has ended
                break
    assert process.returncode == 0
    assert re.search(rb"loss [\d.]+, accuracy [\d.]+%, [\d,]+ images/s", shown)
    assert b"12/12" in shown


@pytest.mark.slow
def test_a_narrow_resnext_learns_the_digits(tool, tmp_path):
    found = tool(
        "train", "--arch", "resnext_29_8x64d", "--width", "0.0625", "--dataset", "digits",
        "--epochs", "10", "--batch-size", "64", "--output", tmp_path,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    print(found.stdout)
    assert float(rows(tmp_path, "evaluation.csv")[-1][3]) > 0.95
