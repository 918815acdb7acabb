#!/usr/bin/env python3
"""Runs tf-slim's own tests on this machine's TensorFlow, and says what is not as expected.

  check_tf_slim.py                                  all of them, on the CPU: a few minutes
  check_tf_slim.py learning_test.py nets/vgg_test.py

A test that fails only because its own code predates this NumPy runs again with that line mended and
counts as mended. Exit code: 0 as expected, 1 not, 2 bad input.
"""

from __future__ import annotations

import argparse

from converters.cli import terminal


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", help="below tf-slim's folder; default: all")
    parser.add_argument("--processes", type=int, help="at a time, 1 GB each; default: one a core")
    parser.add_argument(
        "--v1-behavior", action="store_true", help="call tf.disable_v2_behavior() first"
    )
    parser.add_argument("--markdown", action="store_true", help="print the tables for the docs")
    args = parser.parse_args()
    if args.processes is not None and args.processes < 1:
        parser.error("--processes must be 1 or more")
    from slim_resnet.compat import suite

    with terminal.progress() as bar:
        task = bar.add_task("starting", total=None)
        report = suite.run(
            args.files or None,
            processes=args.processes,
            switches=["disable_v2_behavior"] if args.v1_behavior else [],
            progress=lambda file: bar.update(task, description=f"done: {file.file}"),
        )
    for title, columns, rows in tables(report):
        if args.markdown:
            print_markdown(title, columns, rows)
        else:
            print_table(title, columns, rows)
    for problem in report.problems:
        terminal.console.print(problem, soft_wrap=True)
    return 1 if report.problems else 0


def tables(report):
    """Title, columns and rows of what there is to say."""
    from slim_resnet.compat import suite, suite_data

    counts = [
        (f.file, *(str(f.count(outcome)) for outcome in suite.OUTCOMES))
        for f in sorted(report.files, key=lambda f: f.file)
    ]
    counts.append(("all", *(str(number) for number in report.totals.values())))
    yield "tf-slim's own tests", ("file", *suite.OUTCOMES), counts
    ran = {f.file for f in report.files}
    failures = [
        (test.removeprefix("tf_slim."), reason)
        for test, reason in suite_data.EXPECTED_FAILURES.items()
        if suite.file_of(test) in ran
    ]
    yield "Expected to fail", ("test", "why"), failures
    mends = [
        (m.file, show(m.old), show(m.new), m.reason)
        for file in sorted(ran)
        for m in suite.mends(file)
    ]
    yield "Mended lines of tests", ("file", "as installed", "in the copy", "why"), mends


def show(text: str) -> str:
    """Code on one line."""
    return "; ".join(line.strip() for line in text.strip().splitlines())


def print_table(title, columns, rows) -> None:
    if not rows:
        return
    words = () if "pass" in columns else columns
    table = terminal.table(title, *columns, text=words)
    for cells in rows:
        table.add_row(*cells)
    terminal.console.print(table)


def print_markdown(title, columns, rows) -> None:
    numbers = "pass" in columns
    print(f"## {title}\n")
    print("| " + " | ".join(columns) + " |")
    print("| --- |" + (" ---: |" if numbers else " --- |") * (len(columns) - 1))
    for first, *cells in rows:
        if not numbers:
            first, *cells = f"`{first}`", *(f"`{c}`" for c in cells[:-1]), cells[-1]
        print("| " + " | ".join((first, *cells)) + " |")
    print()


if __name__ == "__main__":
    terminal.run(main)
