#!/usr/bin/env python3
"""Converts a folder of recorded cases, compares them with their records, and writes a table.

  convert_table.py 'cases/nf_*' --to torch,keras,onnx --output docs/slim_nets.md

A case is a checkpoint with its graph and what TensorFlow 1 computed with it; converters/batch/
cases.py says how its folder looks. Each is converted to each target; the written file is opened by
what it is for, is fed what was recorded, and its outputs are compared with the recorded ones.

Results are kept in --work, so that what was stopped goes on. The table goes
between the markers `<!-- table NAME -->` and `<!-- end -->` of --output where they are there; the
name is that of the pattern. Exit code: 0 all converted and equal, 1 some not, 2 no cases.
"""

from __future__ import annotations

import argparse
import dataclasses
import glob
import json
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator

from converters import formats
from converters.batch.cases import Case, CaseConverter, CaseResult, read_case
from converters.cli import terminal
from slim_resnet.files import atomic_path, write_json

Results = dict[str, CaseResult]  # by target
_MARGIN = 10  # of what float32 costs one side: each sums in an order of its own


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pattern", help="of the cases' folders, in quotes")
    parser.add_argument("--to", default="torch,keras,onnx", help="targets, separated by commas")
    parser.add_argument("--output", required=True, help="the Markdown file to write, or to update")
    parser.add_argument("--work", default="out/cases", help="where the results are kept")
    parser.add_argument("--no-verify", action="store_true", help="compare with the records alone")
    parser.add_argument("--kept", action="store_true", help="only make the table of what is there")
    return parser.parse_args()


def main() -> int:
    args = parse()
    folders = sorted(path for path in glob.glob(args.pattern) if os.path.isdir(path))
    targets = args.to.split(",")
    unknown = set(targets) - set(formats.targets())
    if not folders or unknown:
        raise ValueError(f"no targets: {unknown}" if unknown else f"no cases: {args.pattern}")
    work = pathlib.Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    if not args.kept:
        convert_all(folders, targets, work, verified=not args.no_verify)
    found = {folder: kept(folder, targets, work) for folder in folders}
    write_table(args.output, args.pattern, table(found, targets, args.pattern))
    whole = all(len(results) == len(targets) for results in found.values())
    return int(not whole or not all(holds(read_case(f), found[f]) for f in folders))


def convert_all(
    folders: list[str], targets: list[str], work: pathlib.Path, *, verified: bool
) -> None:
    """Finds every result that is not kept yet."""
    with (
        tempfile.TemporaryDirectory() as written,
        CaseConverter(written, verified=verified) as converter,
    ):
        for folder in folders:
            for target in targets:
                path = result_path(folder, target, work)
                if path.exists():
                    continue
                result = converter.convert(read_case(folder), target)
                write_json(path, dataclasses.asdict(result))
                said = result.error or f"{result.difference:.1e}"
                terminal.console.print(f"{path.stem}: {said}", soft_wrap=True)


def result_path(folder: str, target: str, work: pathlib.Path) -> pathlib.Path:
    return work / f"{os.path.basename(folder)}.{target}.json"


def kept(folder: str, targets: list[str], work: pathlib.Path) -> Results:
    paths = {target: result_path(folder, target, work) for target in targets}
    return {
        target: CaseResult(**json.loads(path.read_text(encoding="utf-8")))
        for target, path in paths.items()
        if path.exists()
    }


def table(found: dict[str, Results], targets: list[str], pattern: str) -> list[str]:
    """The lines of the table, and below it what has to be said of single rows."""
    columns = ["network", "parameters", "layers", "seconds", *targets, "what it is"]
    lines = ["| " + " | ".join(columns) + " |"]
    lines.append("| --- |" + " ---: |" * (len(columns) - 2) + " --- |")
    remarks: list[str] = []
    for folder, results in found.items():
        case = read_case(folder)
        name = case.name.removeprefix(os.path.basename(pattern).partition("*")[0])
        cells = [name, *size(results), *(cell(case, results, target) for target in targets)]
        lines.append("| " + " | ".join([*cells, case.note.replace("|", "\\|")]) + " |")
        remarks += [f"- {name}{remark}" for remark in remarked(case, results)]
    return lines + (["", *remarks] if remarks else [])


def remarked(case: Case, results: Results) -> Iterator[str]:
    """Why a case is not there, or differs by more than others."""
    if case.random:
        yield f": not compared, as TensorFlow draws {case.random}"
    elif rounding(results) > case.bound / _MARGIN:
        yield f": float32 alone moves its outputs by {rounding(results):.0e}, from float64's"
    if case.bound > Case.bound:
        yield f": it computes in less than float32; the bound is {case.bound:.0e}"
    for error in dict.fromkeys(r.error for r in results.values() if r.error):
        targets = [target for target, result in results.items() if result.error == error]
        yield f", {', '.join(targets)}: {one_line(error)}"


def holds(case: Case, results: Results) -> bool:
    """Whether a case was converted to all targets, and none is further off than rounding."""
    return all(not r.error and (case.random or within(case, results, r)) for r in results.values())


def within(case: Case, results: Results, result: CaseResult) -> bool:
    return result.difference <= max(case.bound, _MARGIN * rounding(results))


def rounding(results: Results) -> float:
    return max((result.rounding or 0.0 for result in results.values()), default=0.0)


def size(results: Results) -> list[str]:
    """Parameters, layers and seconds, of the first target that has them."""
    told = next((r for r in results.values() if r.layers), None)
    return [f"{told.parameters:,}", str(told.layers), f"{told.seconds:.1f}"] if told else ["-"] * 3


def cell(case: Case, results: Results, target: str) -> str:
    result = results.get(target)
    if result is None:
        return "-"
    if result.error:
        return "refused"
    if case.random:
        return "random"
    return f"{result.difference:.0e}{'' if within(case, results, result) else ' DIFFERS'}"


def one_line(error: str) -> str:
    """An error without the path of the file that it is about."""
    return re.sub(r"^(\S*/)+", "", " ".join(error.split()))


def write_table(path: str, name: str, lines: list[str]) -> None:
    """Puts the table between its markers in a file, at the end where they are not there."""
    file = pathlib.Path(path)
    name = os.path.basename(name)
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    text = "\n".join([f"<!-- table {name} -->", *lines, "<!-- end -->"])
    marked = re.compile(rf"<!-- table {re.escape(name)} -->.*?<!-- end -->", re.DOTALL)
    if marked.search(before):
        after = marked.sub(lambda _: text, before)
    else:
        after = f"{before}\n{text}\n".lstrip("\n")
    with atomic_path(file) as temporary:
        temporary.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    terminal.run(main)
