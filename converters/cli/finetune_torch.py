"""Fine-tunes a converted PyTorch model, or a slim checkpoint as one, on slim's recipe.

--processes N trains in N processes of this machine (torch.distributed, gloo), each with a batch of
its own; torchrun may start them instead. Exit code: 0 trained, 1 the loss is no number any more,
2 bad input or a process was lost (nothing is written then).
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from converters.cli import terminal
from converters.cli.recipe_options import dataset_arguments, recipe_arguments, recipe_of
from slim_resnet import datasets
from slim_resnet.files import check_new
from slim_resnet.training.evaluation import Evaluation
from slim_resnet.training.recipe import steps_for

# Threads that spin while they wait starve the other processes; read when PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    terminal.checkpoint_arguments(parser)
    parser.add_argument("--output", required=True, help=".safetensors or .pt, float32")
    terminal.force_argument(parser)
    dataset_arguments(parser)
    parser.add_argument("--processes", type=int, default=1, help="that train together")
    recipe_arguments(parser, batch_size=64, learning_rate=0.01, epochs=5, epochs_help="default: 5")
    return parser.parse_args()


def main() -> int:
    args = parse()
    from converters import finetune  # from here on with PyTorch

    is_first, processes = finetune.is_first(), finetune.world_size(args.processes)
    terminal.console.quiet = not is_first
    finetune.check_output(args.output)
    if not args.force:
        check_new(args.output)
    reopen = functools.partial(
        datasets.load, args.dataset, args.data_dir, image_size=args.image_size
    )
    training, test = (reopen(split=split) for split in datasets.SPLITS)
    steps = args.steps
    if steps is None:
        steps = steps_for(args.epochs, len(training), args.batch_size * processes)
    recipe = recipe_of(args, steps, len(training))
    net = finetune.open_network(args.checkpoint, **terminal.network(args))
    notes = [*training.notes, *test.notes]
    if net.arch.num_classes != training.num_classes:
        notes.append(f"new logits: {training.num_classes} classes, not {net.arch.num_classes}")
        net = finetune.with_classes(net, training.num_classes, args.seed)
    for note in notes:
        say(f"note: {note}")
    say(
        f"{net.arch.name} ({net.arch.describe()}) on {training.name}: {len(training):,} images, "
        f"{recipe.steps:,} steps of {listed(recipe.batch_size, processes)}"
    )
    before = finetune.accuracy(net, test) if is_first else None
    start = time.perf_counter()
    try:
        with bar() as line:
            task = line.add_task("starting", total=recipe.steps)
            finetune.train(
                net,
                training,
                recipe,
                processes=args.processes,
                reopen=reopen,
                progress=lambda step, loss: line.update(
                    task, completed=step, description=f"cross entropy {loss:.4f}"
                ),
            )
    except finetune.DivergedError as error:
        print(f"diverged: {error}", file=sys.stderr)
        return 1
    seconds = time.perf_counter() - start
    if is_first:
        net.float()  # what is evaluated is what is written
        after = finetune.accuracy(net, test)
        finetune.save(net, args.output, args.checkpoint, training, recipe)
        terminal.console.print(results(test, before, after))
        speed = recipe.steps * recipe.batch_size * processes / seconds
        say(f"wrote {args.output} ({seconds:.1f} s, {speed:,.0f} images/s)")
    return 0


def listed(batch_size: int, processes: int) -> str:
    return str(batch_size) if processes == 1 else f"{processes} x {batch_size}"


def bar() -> Progress:
    """Steps and loss, on a terminal; nothing in a pipe."""
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        console=terminal.console,
        transient=True,
        disable=not terminal.console.is_terminal,
    )


def results(dataset, before: Evaluation, after: Evaluation):
    made = terminal.table(
        f"{dataset.name}, {dataset.split} split, {len(dataset):,} images",
        "", "correct", "accuracy", "mean cross entropy",
    )  # fmt: skip
    for when, found in (("before", before), ("after", after)):
        made.add_row(when, f"{found.correct:,}", f"{found.accuracy:.2%}", f"{found.loss:.6f}")
    return made


def say(text: str) -> None:
    terminal.console.print(text, soft_wrap=True)


def start() -> None:
    terminal.run(main)
