"""Converts TF1-slim checkpoints to a modern format, or weights back, with proof that they match.

One source goes into the file --output. Several (or globs, in quotes or not), or an --output that is
a folder or ends in a slash, go into that folder under their own names: of runs/a/model.ckpt-9 and
runs/b/model.ckpt-9 come a/model.ckpt-9.pt and b/model.ckpt-9.pt.

Exit code of one source: 0 converted and verified, 1 verification failed (nothing written), 2 bad
input. Of several: 0 all converted, 1 at least one failed (the others are written), 2 nothing tried.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from converters import batch, formats
from converters.cli import terminal
from converters.conversion import LeftOut, Outcome
from converters.formats import libraries as exchange
from converters.models.resume import Recipe
from slim_resnet.files import check_new

# What takes along what is left out otherwise.
_REMEDIES = {"optimizer slots": "--optimizer", "moving averages": "--weights ema"}
# Kinds of variables that are told by their scopes, and how many of those.
_BY_SCOPE = ("unknown variables", "ignored")
_MOST_SCOPES = 5
_RECIPE = ("learning_rate", "momentum", "weight_decay")
# What chooses among a TensorFlow checkpoint's contents, and its default.
_SLIM_ONLY = {"scheme": None, "step": None, "weights": "model", "inputs": None, "outputs": None}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    terminal.checkpoint_arguments(parser)
    parser.add_argument("more", nargs="*", help="more of them; globs, in quotes or not")
    parser.add_argument(
        "--from",
        dest="source",
        choices=("slim", *exchange.LIBRARIES),
        default="slim",
        help="whose weights they are; torch and keras need --arch, unless the file says it",
    )
    parser.add_argument(
        "--prefix",
        help="with --from: what the names of its weights begin with, where a file has several nets",
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--to", choices=formats.targets(), help="the target")
    target.add_argument(
        "--freeze",
        action="store_true",
        help="TensorFlow 1's: a frozen graph (.pb, and for several sources), else a SavedModel",
    )
    parser.add_argument(
        "--fold",
        action="store_true",
        help="TensorFlow 1's: batch norms go into the convolutions before them, for speed",
    )
    parser.add_argument("--output", required=True, help=outputs())
    terminal.force_argument(parser)
    parser.add_argument("--suffix", help="of files in a folder, where the target has several")
    parser.add_argument("--no-verify", action="store_true", help="write without running anything")
    parser.add_argument("--end-points", action="store_true", help="print every end point")
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="every comparison: a page to read (.html), or JSON; of several, a folder of JSON",
    )
    parser.add_argument("--jobs", type=int, default=1, help="how many sources at a time")
    training = parser.add_argument_group("so that training goes on")
    training.add_argument(
        "--optimizer", action="store_true", help="take the Momentum slots and global_step along"
    )
    training.add_argument("--learning-rate", type=float, help="which no checkpoint tells")
    training.add_argument("--momentum", type=float, help="default: 0.9")
    training.add_argument(
        "--weight-decay", type=float, help="slim's; default: the graph's, or 1e-4"
    )
    return parser.parse_args()


def outputs() -> str:
    return "; ".join(
        f"{target}: {' or '.join(f.suffix or f.named for f in formats.formats_of(target))}"
        for target in formats.targets()
    )


def main() -> int:
    args = parse()
    sources = batch.expand([args.checkpoint, *args.more], args.step)
    in_folder = batch.into_folder(sources, args.output)
    target = args.to or ("frozen" if in_folder else formats.frozen_target(args.output))
    recipe = recipe_of(args)
    settings = batch.Settings(
        target,
        args.source,
        network_of(args),
        verified=not args.no_verify,
        recipe=recipe,
        fold=args.fold,
        overwrite=args.force,
    )
    suffix = formats.usual_suffix(target, recipe) if args.suffix is None else args.suffix
    jobs = batch.plan(sources, args.output, suffix, args.report)
    # What fails for all fails before the work; of several none is begun where one is there.
    if len(jobs) > 1 and not args.force:
        check_new(*(path for job in jobs for path in (job.output, job.report) if path))
    formats.format_for(target, jobs[0].output, formats.Options(recipe, args.fold))
    with batch.folders(jobs) if in_folder else contextlib.nullcontext():
        if len(jobs) == 1:
            return convert_one(jobs[0], settings, args.end_points)
        if args.end_points:
            raise ValueError("--end-points prints those of one source: --report has them all")
        return convert_several(jobs, settings, args.jobs)


def recipe_of(args: argparse.Namespace) -> Recipe | None:
    given = {name: getattr(args, name) for name in _RECIPE if getattr(args, name) is not None}
    if given and not args.optimizer:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(f"{options}: of use with --optimizer only")
    return Recipe(**given) if args.optimizer else None


def network_of(args: argparse.Namespace) -> dict:
    given = [f"--{name}" for name, default in _SLIM_ONLY.items() if getattr(args, name) != default]
    if given and args.source != "slim":
        raise ValueError(
            f"{', '.join(given)}: of no use with --from {args.source}, whose files hold no graph, "
            "no steps and no moving averages of TensorFlow's (--prefix chooses among networks)"
        )
    if args.prefix is None:
        return terminal.network(args)
    if args.source == "slim":
        raise ValueError("--prefix: of use with --from only; --scope says where slim's network is")
    return terminal.network(args) | {"prefix": args.prefix}


def convert_one(job: batch.Job, settings: batch.Settings, end_points: bool) -> int:
    def opened(ckpt, left_out) -> None:
        say(f"{ckpt.path}: {ckpt.describe()} ({ckpt.name})")
        for note in ckpt.notes:
            say(f"note: {note}")
        if left_out:
            say(f"left out: {listed(left_out)}")

    with terminal.progress() as bar:
        task = bar.add_task("reading", total=None)
        outcome = batch.run(
            job,
            settings,
            opened=opened,
            progress=lambda step: bar.update(task, description=step),
        )
    if outcome.reports:
        if end_points:
            terminal.console.print(terminal.end_point_table(outcome.reports[0]))
        terminal.console.print(terminal.report_table(outcome.reports))
    if outcome.error:
        say(outcome.error)
        return 1
    say(f"wrote {job.output} ({'verified' if settings.verified else 'not verified'})")
    if outcome.proof:
        for note in outcome.proof.notes:
            say(f"note: {note}")
        say(outcome.proof.sentence())
    return 0


def convert_several(jobs: list[batch.Job], settings: batch.Settings, processes: int) -> int:
    outcomes: dict[batch.Job, Outcome] = {}
    try:
        with progress_bar() as bar:
            task = bar.add_task("", total=len(jobs))
            coming = batch.convert_all(
                jobs,
                settings,
                processes,
                started=lambda job: bar.update(task, description=os.path.basename(job.source)),
            )
            with contextlib.closing(coming):
                for job, outcome in coming:
                    outcomes[job] = outcome
                    bar.advance(task)
    finally:  # of what was done before Ctrl-C, too
        done = [outcomes[job] for job in jobs if job in outcomes]
        summarize(done)
        converted = sum(not outcome.error for outcome in done)
        say(f"{converted} of {len(jobs)} converted")
    return 0 if converted == len(jobs) else 1


def progress_bar() -> Progress:
    """How many of the sources are done, on a terminal; nothing in a pipe."""
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=terminal.console,
        transient=True,
        disable=not terminal.console.is_terminal,
    )


def summarize(outcomes: list[Outcome]) -> None:
    """A table, what was left out of the files, and why the others are not there."""
    table = terminal.table(
        "Difference: the largest over the largest value, in float64 where that was compared",
        "source", "network", "file", "difference", "seconds", "",
        text=("network", "file", ""),
    )  # fmt: skip
    left_out = collections.Counter()
    for outcome in outcomes:
        difference = outcome.difference
        verdict = "verified" if outcome.reports else "not verified"
        cells = (
            outcome.source,
            outcome.network or "-",
            "-" if outcome.error else outcome.output,
            "-" if difference is None else f"{difference:.1e}",
            f"{outcome.seconds:.1f}",
            "FAILED" if outcome.error else verdict,
        )
        table.add_row(*cells)
        if outcome.left_out and not outcome.error:
            left_out[listed(outcome.left_out)] += 1
    if outcomes:
        terminal.console.print(table)
    for kinds, count in left_out.items():
        say(f"left out of {count}: {kinds}")
    for outcome in outcomes:
        for note in outcome.notes:
            say(f"note on {outcome.source}: {note}")
        if outcome.error:
            named = outcome.source in outcome.error
            say(f"failed: {outcome.error if named else f'{outcome.source}: {outcome.error}'}")


def listed(left_out: LeftOut) -> str:
    """161 optimizer slots (--optimizer takes them), 2 unknown variables (below head), ..."""
    parts = []
    for kind, names in left_out:
        told = f"{_REMEDIES[kind]} takes them" if kind in _REMEDIES else below(kind, names)
        parts.append(f"{len(names)} {kind}{f' ({told})' if told else ''}")
    return ", ".join(parts)


def below(kind: str, names: tuple[str, ...]) -> str:
    """The scopes of variables whose kind does not say what they are."""
    if kind not in _BY_SCOPE:
        return ""
    scopes = dict.fromkeys(name.rpartition("/")[0] or name for name in names)
    more = f" and {len(scopes) - _MOST_SCOPES} more" if len(scopes) > _MOST_SCOPES else ""
    return f"below {', '.join(list(scopes)[:_MOST_SCOPES])}{more}"


def say(text: str) -> None:
    terminal.console.print(text, soft_wrap=True)


def start() -> None:
    terminal.run(main)
