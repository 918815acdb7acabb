"""Runs a TensorFlow 1.x script as it is, on today's TensorFlow.

  run_legacy.py train.py --batch_size 8
  run_legacy.py -m nets.train

Or, instead of running it, says what it uses, or writes a copy that needs no shim:

  run_legacy.py --check train.py nets/
  run_legacy.py --rewrite train.py nets/ --output copy/

Exit code of --check: 0 all of it works, 1 something has no successor, 2 bad input; of --rewrite: 1
there is something left to do by hand.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter

from converters.cli import terminal


def main() -> int:
    mode = sys.argv[1]
    return MODES[mode](parse(mode))


def parse(mode: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"{os.path.basename(sys.argv[0])} {mode}")
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a script, or a folder of them")
    if mode == "--rewrite":
        target = parser.add_mutually_exclusive_group(required=True)
        target.add_argument("--output", help="the folder of the copies; for one script, a file")
        target.add_argument("--in-place", action="store_true", help="change the originals")
    return parser.parse_args(sys.argv[2:])


def check(args: argparse.Namespace) -> int:
    from slim_resnet.legacy.rewriting import checker

    with terminal.progress() as bar:
        task = bar.add_task("reading", total=None)
        report = checker.check(args.paths, lambda step: bar.update(task, description=step))
    for group in checker.Group:
        show(group.value, [item for item in report.findings if item.group is group])
    for message in report.unreadable:
        print(f"error: {message}", file=sys.stderr)
    counts = Counter(item.group for item in report.findings)
    summary = ", ".join(f"{group.value}: {counts[group]}" for group in checker.Group)
    say(f"{len(report.files)} files; {summary}")
    return report.exit_code


def rewrite(args: argparse.Namespace) -> int:
    from slim_resnet.legacy.rewriting.rewriter import rewrite_files

    with terminal.progress() as bar:
        task = bar.add_task("reading", total=None)
        output = None if args.in_place else args.output
        report = rewrite_files(args.paths, output, lambda step: bar.update(task, description=step))
    show("left to do by hand", [item for done, _ in report.files for item in done.left])
    for message in report.unreadable:
        print(f"error: {message}", file=sys.stderr)
    for done, target in report.files:
        say(f"{target}: {'rewritten' if done.changed else 'no change needed'}")
    return report.exit_code


def show(title: str, findings: list) -> None:
    """A row for each name on a terminal; in a pipe a line for each place, as compilers do."""
    rows: dict[tuple, list] = {}
    for item in findings:
        rows.setdefault((item.symbol, item.successor or "", item.remedy), []).append(item)
    if not terminal.console.is_terminal:
        for row, items in rows.items():
            for item in items:
                place = f"{item.path}:{item.line}:{item.column}"
                say(": ".join([place, title, *filter(None, row)]))
    elif rows:
        table = terminal.table(
            title, "name", "today", "note", "where", text=("today", "note", "where")
        )
        for (symbol, successor, note), items in rows.items():
            today = successor.replace("tensorflow.", "tf.", 1)
            table.add_row(symbol, today, note, places(items))
        terminal.console.print(table)


def places(items: list) -> str:
    """train.py:3, 12, 40; nets/model.py:7"""
    lines: dict[str, list[str]] = {}
    for item in items:
        lines.setdefault(str(item.path), []).append(str(item.line))
    return "; ".join(f"{path}:{', '.join(dict.fromkeys(own))}" for path, own in lines.items())


def say(text: str) -> None:
    terminal.console.print(text, soft_wrap=True)


MODES = {"--check": check, "--rewrite": rewrite}


def usage() -> str:
    """What --help prints, under the name by which this command was called."""
    return __doc__.replace("run_legacy.py", os.path.basename(sys.argv[0])).strip()


def start() -> None:
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(usage())
        sys.exit(0)
    if sys.argv[1:2] and sys.argv[1] in MODES:
        terminal.run(main)
    from slim_resnet.legacy.__main__ import main as run_script

    sys.exit(run_script())
