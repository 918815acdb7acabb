#!/usr/bin/env python3
"""Damages small files of every kind in thousands of ways and has them read.

Whatever is done to a file, reading it must end in an error that names it, or in the weights that
were saved. Where a format has no checksums, other values load as what they are. A file that crashes
a reader, hangs it, makes it allocate far more than its size, or gives other weights than checksums
warrant is kept. Exit code: 0 none of these, 1 some.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import tempfile

from fuzzing import campaign
from fuzzing.judge import Outcome

from converters.cli import terminal


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--cases", type=int, default=10_000, metavar="N", help="in all; default: 10000")
    add("--seed", type=int, default=1, help="which cases; default: 1")
    add("--jobs", type=int, default=2, metavar="N", help="processes; default: 2")
    add("--readers", nargs="+", metavar="NAME", help="only these; default: all")
    add("--keep", default="out/fuzz", metavar="FOLDER", help="for what fails; default: out/fuzz")
    args = parser.parse_args()
    if min(args.cases, args.jobs) < 1:
        parser.error("numbers are positive")
    return args


def main() -> int:
    args = parse()
    with tempfile.TemporaryDirectory() as folder, terminal.progress() as bar:
        whole = pathlib.Path(folder)
        task = bar.add_task("making files")
        samples = campaign.make_samples(whole)
        names = args.readers or list(samples)
        unknown = [name for name in names if name not in samples]
        if unknown:
            raise ValueError(f"no reader {unknown[0]!r} here: use {', '.join(samples)}")
        results = []
        cases = -(-args.cases // len(names))
        bar.update(task, total=len(names), description=f"{cases} cases of each reader")
        for result in campaign.run(whole, names, cases, args.seed, args.jobs):
            results.append(result)
            bar.advance(task)
        results.sort(key=lambda result: names.index(result.sample))
        kept = [path for result in results for path in keep(result, whole, args)]
    terminal.console.print(table(results, args.seed))
    for path in kept:
        terminal.console.print(f"failed: {path}")
    return 1 if any(result.failures for result in results) else 0


def keep(result: campaign.Result, whole: pathlib.Path, args: argparse.Namespace) -> list:
    """Writes the files of every failure, and what was wrong, to a folder each."""
    kept = []
    for case, reason in result.failures.items():
        name = "".join(c if c.isalnum() else "_" for c in result.sample)
        folder = pathlib.Path(args.keep) / f"{name}-{args.seed}-{case}"
        shutil.rmtree(folder, ignore_errors=True)
        campaign.Bench(whole, result.sample, args.seed, folder).damage(case)
        (folder / "REASON").write_text(reason)
        kept.append(folder)
    return kept


def table(results: list[campaign.Result], seed: int):
    made = terminal.table(
        f"Damaged files, seed {seed}", "reader", "cases", *Outcome, "most memory, KiB", "seconds"
    )
    total = campaign.Result("in all")
    for result in results:
        total.add(result)
    for result in (*results, total):
        counts = [f"{result.outcomes[outcome]:,}" for outcome in Outcome]
        cells = (f"{result.cases:,}", *counts, f"{result.peak / 1024:.0f}", f"{result.seconds:.0f}")
        made.add_row(result.sample, *cells)
    return made


if __name__ == "__main__":
    terminal.run(main)
