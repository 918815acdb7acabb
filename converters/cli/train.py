"""Trains a network with tf-slim; the same command goes on where it was stopped or killed.

Exit code: 0 trained, 1 the loss is no number any more, 2 bad input, 130 (143) stopped by SIGINT
(SIGTERM) after saving a checkpoint.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from converters.cli import terminal
from converters.cli.recipe_options import dataset_arguments, recipe_arguments, recipe_of
from slim_resnet import datasets
from slim_resnet.arch.parts import CONVENTIONS, FORMS
from slim_resnet.training import network, tasks
from slim_resnet.training.observer import Observer
from slim_resnet.training.recipe import steps_for

# The papers' 64,000 steps of 128 images; the digits are learnt sooner.
_EPOCHS = {"cifar10": 164, "cifar100": 164, "digits": 20, "synthetic": 2}
_EPOCHS_ELSE = 90
_QUIET_SECONDS = 30  # between lines in a pipe


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = parser.add_argument_group("what to train, on what, and where to")
    data.add_argument("--arch", default="resnet_cifar_20", help="of build_graph.py --list")
    data.add_argument("--width", type=float, default=1.0, help="multiplies all widths")
    data.add_argument("--form", choices=FORMS, help="of ResNeXt units")
    data.add_argument("--convention", choices=CONVENTIONS, help="default: the network's own")
    dataset_arguments(data)
    data.add_argument("--output", required=True, help="the folder for all that is written")
    data.add_argument("--init-from", metavar="CKPT", help="start from these weights")
    recipe = recipe_arguments(
        parser,
        batch_size=128,
        learning_rate=0.1,
        epochs=None,
        epochs_help="default: 164 on CIFAR, 20 on digits",
    )
    recipe.add_argument("--batch-norm-decay", type=float, default=0.9)
    recipe.add_argument("--ema", type=float, metavar="DECAY", help="keep averages of the weights")
    recipe.add_argument(
        "--asynchronous",
        action="store_true",
        help="in a cluster (TF_CONFIG): workers change the variables as they come",
    )
    records = parser.add_argument_group("records")
    records.add_argument("--eval-every", type=int, default=1, metavar="EPOCHS")
    records.add_argument("--save-every", type=int, metavar="STEPS", help="default: an epoch's")
    records.add_argument("--keep", type=int, default=5, help="how many checkpoints are kept")
    records.add_argument("--log-every", type=int, default=10, metavar="STEPS")
    records.add_argument("--summary-every", type=int, default=100, metavar="STEPS")
    args = parser.parse_args()
    if args.epochs is not None and args.steps is not None:
        parser.error("--epochs or --steps, not both")
    return args


def make_run(args: argparse.Namespace, task: tasks.Task | None):
    """The `loop.Run` that the arguments describe, for this process of a cluster."""
    training, test = (
        datasets.load(args.dataset, args.data_dir, split, image_size=args.image_size)
        for split in datasets.SPLITS
    )
    for note in (*training.notes, *test.notes):
        terminal.console.print(f"note: {note}")
    arch = network.choose(
        args.arch,
        training.num_classes,
        width=args.width,
        batch_norm_decay=args.batch_norm_decay,
        form=args.form,
        convention=args.convention,
    )
    epochs, steps = args.epochs, args.steps
    if epochs is None:
        epochs = _EPOCHS.get(args.dataset, _EPOCHS_ELSE)
    if steps is None:
        together = task.num_workers if task and not args.asynchronous else 1
        steps = steps_for(epochs, len(training), args.batch_size * together)
    recipe = recipe_of(args, steps, len(training), ema=args.ema)
    initial = {}
    if args.init_from:
        from converters.evaluation import warm_start

        initial = warm_start(args.init_from, arch)
    from slim_resnet.training.loop import Run  # from here on with TensorFlow

    return Run(
        arch,
        training,
        test,
        recipe,
        args.output,
        initial,
        evaluate_every=args.eval_every,
        save_every=args.save_every,
        keep=args.keep,
        log_every=args.log_every,
        summary_every=args.summary_every,
    )


def main() -> int:
    args = parse()
    task = tasks.from_environment()
    if task and task.job == "ps":
        from slim_resnet.training import cluster

        cluster.serve(task)
        return 0
    run = make_run(args, task)
    from slim_resnet.training import curves, numerics

    terminal.console.print(
        f"{run.arch.name} ({run.arch.describe()}, {run.arch.num_parameters:,} parameters) on "
        f"{run.training.name}: {len(run.training):,} images, {run.recipe.steps:,} steps of "
        f"{run.recipe.batch_size}",
    )
    with Reporter(run) as reporter:
        try:
            result = train(run, task, reporter, synchronous=not args.asynchronous)
        except numerics.DivergedError as error:
            print(f"diverged: {error}", file=sys.stderr)
            return 1
    if task is None or task.is_chief:
        report_speed(run, result)
        terminal.console.print(f"wrote {curves.draw(run.output, run.arch.name)}")
    if result.signal:
        terminal.console.print(
            f"stopped after step {result.step}, which is saved: the same command goes on from it"
        )
        return 128 + result.signal
    if result.evaluation:
        found = result.evaluation
        terminal.console.print(
            f"test accuracy {found.accuracy:.2%} ({found.correct:,} of {found.total:,})"
        )
    return 0


def train(run, task: tasks.Task | None, reporter: Observer, *, synchronous: bool):
    """This process's part: all of the training, or a worker's or an evaluator's."""
    from slim_resnet.training import cluster, follower, loop

    if task is None:
        return loop.train(run, observer=reporter)
    if task.job == "evaluator":
        together = task.num_workers if synchronous else 1
        return follower.follow(run, run.recipe.batch_size * together, reporter)
    if "evaluator" in task.cluster:
        run = dataclasses.replace(run, test=None)
    return loop.train(run, cluster.placement(task, synchronous=synchronous), reporter)


def report_speed(run, result) -> None:
    from slim_resnet.training import loop

    if result.images_per_second:
        speed = loop.input_speed(run)
        terminal.console.print(
            f"input alone: {speed:,.0f} images/s, training: {result.images_per_second:,.0f} "
            f"images/s, {speed / result.images_per_second:.1f} times less"
        )


class Reporter(Observer):
    """A line that moves on a terminal; in a pipe a line for each evaluation, and rare others."""

    def __init__(self, run):
        self._steps = run.recipe.steps
        self._last_line = time.monotonic()
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=terminal.console,
            transient=True,
            disable=not terminal.console.is_terminal,
        )
        self._task = self._bar.add_task("building the graph", total=self._steps)

    def __enter__(self):
        self._bar.start()
        return self

    def __exit__(self, *error):
        self._bar.stop()

    def on_start(self, step):
        self._bar.update(self._task, completed=step)
        if step >= self._steps:
            self._print(f"all {step} steps are made already")
        elif step:
            self._print(f"going on after step {step}")

    def on_step(self, step):
        text = (
            f"loss {step.loss:.4f}, accuracy {step.accuracy:.1%}, "
            f"{step.images_per_second:,.0f} images/s"
        )
        self._bar.update(self._task, completed=step.step, description=text)
        quiet = time.monotonic() - self._last_line
        if not terminal.console.is_terminal and quiet > _QUIET_SECONDS:
            self._print(f"step {step.step} of {self._steps}: {text}")

    def on_evaluation(self, step, epoch, found):
        self._print(
            f"epoch {epoch:.4g}, step {step}: test accuracy {found.accuracy:.2%}, "
            f"cross entropy {found.loss:.4f}"
        )

    def on_warning(self, message):
        self._print(f"warning: {message}")

    def _print(self, line: str) -> None:
        self._last_line = time.monotonic()
        self._bar.console.print(line)


def start() -> None:
    terminal.run(main)
