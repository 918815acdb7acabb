#!/usr/bin/env python3
"""From training to PyTorch, Keras and back, by the command lines of the other tools.

Trains a narrow ResNeXt on scikit-learn's digits, converts it to PyTorch and Keras, fine-tunes the
PyTorch model, takes it back to a slim checkpoint, and evaluates every model on the held-out digits.
Exit code: 0 every claim holds, 1 one does not, 2 a step failed. Run again, it trains no more than
what is left.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass

from converters.cli import terminal

_TOOLS = pathlib.Path(__file__).parent
_DATA = ("--dataset", "digits")
_TRAINED, _TORCH, _KERAS = "slim", "trained.safetensors", "trained.keras"
_TUNED, _BACK = "tuned.safetensors", "back.ckpt"


@dataclass(frozen=True)
class Step:
    """A command line of the story.

    Attributes:
        title: what it does.
        tool: the script, without `.py`.
        args: its arguments; files are in the story's folder.
        results: where it writes the evaluation of every model, if it does; its exit code 1 then
            says that the models disagree.
    """

    title: str
    tool: str
    args: tuple[str, ...]
    results: str = ""


def steps(epochs: float, tuning_epochs: float) -> tuple[Step, ...]:
    return (
        Step("train in slim", "train", (
            "--arch", "resnext_29_8x64d", "--width", "0.0625", *_DATA, "--epochs", f"{epochs:g}",
            "--batch-size", "64", "--output", _TRAINED)),
        Step("slim to PyTorch", "convert_checkpoint", (
            _TRAINED, "--to", "torch", "--output", _TORCH)),
        Step("slim to Keras", "convert_checkpoint", (
            _TRAINED, "--to", "keras", "--output", _KERAS)),
        Step("evaluate", "evaluate", (
            _TRAINED, _TORCH, _KERAS, *_DATA, "--json", "trained.json"), "trained.json"),
        Step("fine-tune in PyTorch", "finetune_torch", (
            _TORCH, *_DATA, "--processes", "2", "--batch-size", "32",
            "--epochs", f"{tuning_epochs:g}", "--output", _TUNED)),
        Step("PyTorch to slim", "convert_checkpoint", (
            _TUNED, "--from", "torch", "--to", "slim", "--output", _BACK)),
        Step("evaluate", "evaluate", (
            _BACK, _TUNED, *_DATA, "--json", "tuned.json"), "tuned.json"),
    )  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", default="out/story", help="the folder for all files")
    parser.add_argument("--epochs", type=float, default=10, help="of the training")
    parser.add_argument("--tuning-epochs", type=float, default=2, help="of the fine-tuning")
    parser.add_argument("--accuracy", type=float, default=0.95, help="that every model must exceed")
    return parser.parse_args()


def main() -> int:
    args = parse()
    folder = pathlib.Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for step in steps(args.epochs, args.tuning_epochs):
        seconds = run(step, folder)
        rows.append((step, seconds, models(folder / step.results) if step.results else ()))
    terminal.console.print(summary(rows))
    failed = [claim for _, _, found in rows for claim in broken(found, args.accuracy)]
    for claim in failed:
        terminal.console.print(claim)
    if not failed:
        terminal.console.print(f"the models agree on every image, all above {args.accuracy:.2%}")
    return int(bool(failed))


def run(step: Step, folder: pathlib.Path) -> float:
    """Runs a step's command in the folder; its seconds.

    Raises:
        ValueError: it failed.
    """
    command = [sys.executable, str(_TOOLS.resolve() / f"{step.tool}.py"), *step.args]
    terminal.console.print(
        f"\n$ python tools/{step.tool}.py {shlex.join(step.args)}", soft_wrap=True
    )
    start = time.perf_counter()
    # Threads that spin while they wait starve the other processes.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    code = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
    if code not in ((0, 1) if step.results else (0,)):
        raise ValueError(f"the story ends here: tools/{step.tool}.py failed with exit code {code}")
    return time.perf_counter() - start


@dataclass(frozen=True)
class Model:
    """What `evaluate.py --json` says of a model."""

    model: str
    engine: str
    correct: int
    total: int
    accuracy: float
    loss: float
    predictions: list[int]


def models(path: pathlib.Path) -> list[Model]:
    names = [field.name for field in dataclasses.fields(Model)]
    content = json.loads(path.read_text(encoding="utf-8"))
    return [Model(**{name: one[name] for name in names}) for one in content]


def broken(found: list[Model], accuracy: float) -> list[str]:
    """The claims that do not hold, a sentence each."""
    claims = []
    for one in found:
        name = f"{one.model} ({one.engine})"
        if not one.accuracy > accuracy:
            claims.append(f"{name}: accuracy {one.accuracy:.2%} is not above {accuracy:.2%}")
        pairs = zip(one.predictions, found[0].predictions, strict=True)
        if differing := sum(mine != first for mine, first in pairs):
            claims.append(
                f"{name} puts {differing} images into another class than {found[0].model} "
                f"({found[0].engine})"
            )
    return claims


def summary(rows: list[tuple[Step, float, list[Model]]]):
    made = terminal.table(
        "The story: every model on the held-out digits",
        "step", "seconds", "model", "engine", "correct", "accuracy", "mean cross entropy",
        text=("model", "engine"),
    )  # fmt: skip
    for step, seconds, found in rows:
        made.add_row(step.title, f"{seconds:.1f}")
        for one in found:
            correct = f"{one.correct:,} of {one.total:,}"
            cells = (one.model, one.engine, correct, f"{one.accuracy:.2%}", f"{one.loss:.6f}")
            made.add_row("", "", *cells)
    return made


if __name__ == "__main__":
    terminal.run(main)
