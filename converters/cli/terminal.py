"""What the scripts share: one console, one way to fail, no chatter of TensorFlow's."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Iterable

from rich import box
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from converters.proof.comparison import Comparison
from converters.recognise.recognised import WEIGHTS
from slim_resnet.arch.facts import TOLD
from slim_resnet.arch.parts import CONVENTIONS
from slim_resnet.frameworks import quiet_stderr

# A pipe has no width: leave room, so that what another program reads is not folded.
# What is printed is text, no markup: names of variables have brackets and colons of their own.
console = Console(
    width=None if sys.stdout.isatty() else 160, highlight=False, markup=False, emoji=False
)

_PYTHON_CHATTER = (
    r"`layer\.apply` is deprecated",
    r".*tf\.keras.*",
    r".*isinstance\(treespec, LeafSpec\)",  # torch.export's own
)


def run(main: Callable[[], int]) -> None:
    """Runs `main` and exits with its code; bad input is one sentence on stderr and exit code 2."""
    # A filter, because TensorFlow sets the level of its logger when it is imported.
    logging.getLogger("tensorflow").addFilter(lambda record: record.levelno >= logging.ERROR)
    for message in _PYTHON_CHATTER:
        warnings.filterwarnings("ignore", message=message)
    try:
        with quiet_stderr():
            code = main()
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def progress() -> Progress:
    """A spinner with the step at hand, on a terminal; nothing in a pipe."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def table(title: str, *columns: str, text: tuple[str, ...] = ()) -> Table:
    """A table of numbers; the first column and those named in `text` hold words."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        is_text = i == 0 or column in text
        made.add_column(column, justify="left" if is_text else "right", overflow="fold")
    return made


def report_table(reports) -> Table:
    """One row for each target, dtype and image size: the worst end point."""
    made = table(
        "Largest difference over largest value, at the worst end point",
        "target", "dtype", "image", "end points", "difference", "bound", "", "worst at",
        text=("dtype", "", "worst at"),
    )  # fmt: skip
    for report in reports:
        for target, size, count, worst in report.worst():
            made.add_row(
                target,
                report.dtype,
                "x".join(map(str, size)),
                str(count),
                f"{worst.max_rel_error:.1e}",
                f"{report.tolerance:.0e}",
                verdict(worst, report.tolerance),
                worst.end_point,
            )
    return made


def end_point_table(report) -> Table:
    """Every end point in order: the largest difference over all image sizes, by target."""
    targets = list(dict.fromkeys(c.target for c in report.comparisons))
    made = table(
        f"Every end point, {report.dtype}: largest difference over largest value", "end point",
        *targets, "",
        text=("",),
    )  # fmt: skip
    by_name: dict[str, dict[str, Comparison]] = {}
    for c in report.comparisons:
        worst = by_name.setdefault(c.end_point, {})
        if c.target not in worst or not c.max_rel_error <= worst[c.target].max_rel_error:
            worst[c.target] = c
    for name, worst in by_name.items():
        verdicts = {verdict(c, report.tolerance) for c in worst.values()}
        cells = [f"{worst[target].max_rel_error:.1e}" for target in targets]
        made.add_row(name, *cells, "DIFFERS" if "DIFFERS" in verdicts else "same")
    return made


def verdict(comparison: Comparison, tolerance: float) -> str:
    return "same" if comparison.max_rel_error <= tolerance else "DIFFERS"


def checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which network of which checkpoint is meant."""
    parser.add_argument("checkpoint", help="a checkpoint (prefix, file or folder), graph, or dump")
    parser.add_argument(
        "--arch",
        help="the network it must hold; default: recognised; NAME:FORM or NAME:UNIT where several "
        "fit",
    )
    parser.add_argument("--scope", help="the network's variable scope; default: found")
    parser.add_argument(
        "--convention",
        choices=CONVENTIONS,
        help="where strides sit and how the root pool pads; default: the graph's, or slim's",
    )
    parser.add_argument("--weights", choices=WEIGHTS, default="model", help="ema: the averages")
    parser.add_argument("--step", type=int, help="which checkpoint of a folder; default: latest")
    parser.add_argument(
        "--rules", metavar="FILE.toml", help="slim's names for names of your own: docs/rules.md"
    )
    parser.add_argument(
        "--scheme",
        metavar="NAME[:VARIANT]",
        help="whose names and geometry they are: docs/schemes.md; default: recognised",
    )
    graph = parser.add_argument_group("where the graph is at hand (.meta, frozen, SavedModel)")
    graph.add_argument("--inputs", metavar="OP,...", help="operations to feed; default: found")
    graph.add_argument("--outputs", metavar="OP,...", help="operations wanted; default: found")
    bare = parser.add_argument_group("where nothing but variables tells")
    bare.add_argument(
        "--network",
        action="append",
        metavar="FACT=VALUE",
        help=f"what variables do not tell of the network; facts: {', '.join(TOLD)}",
    )
    bare.add_argument(
        "--ignore",
        metavar="REGEX",
        help="variables inside the network that do not matter; the result is slim's without them",
    )


def force_argument(parser: argparse.ArgumentParser) -> None:
    """--force, without which nothing that is there is written over."""
    parser.add_argument("--force", action="store_true", help="write over what is there already")


_NETWORK = ("arch", "scope", "convention", "step", "weights", "rules", "scheme", "ignore")


def network(args: argparse.Namespace) -> dict:
    """What `checkpoint_arguments` parsed, as keywords of `converters.load_checkpoint`.

    Raises:
        ValueError: a fact has no value, or is told twice.
    """
    found = {name: getattr(args, name) for name in _NETWORK}
    ends = {name: operations(getattr(args, name)) for name in ("inputs", "outputs")}
    return {**found, **ends, "facts": facts(args.network or ())}


def operations(text: str | None) -> tuple[str, ...]:
    """Names of operations, separated by commas.

    Raises:
        ValueError: there is none in it.
    """
    if text is None:
        return ()
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    if not found:
        raise ValueError(f"{text!r} names no operation: leave --inputs and --outputs out, or name")
    return found


def facts(told: Iterable[str]) -> dict[str, str] | None:
    """FACT=VALUE, each, as a table; None for none."""
    found: dict[str, str] = {}
    for text in told:
        name, equals, value = text.partition("=")
        if not equals or name in found:
            raise ValueError(f"--network {text}: give each fact once, as FACT=VALUE")
        found[name.strip()] = value.strip()
    return found or None
