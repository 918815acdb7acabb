#!/usr/bin/env python3
"""What --check says of public code, against the shim: does what it calls "works" resolve there?

  checked_names.py --code FOLDER

FOLDER holds the checkouts of `public_code.runs`; what is not there is left out. Every name of
TensorFlow, contrib, tf-slim, Keras and tflearn that the check calls "works as it is" or "works
through the shim" is taken from the module that a script would take it from, under the shim. Run
this with the Python of `make legacy`. Prints the table for the docs. Exit code: 0 all of them
resolve, 1 one does not.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Iterable

from public_code.runs import CHECKED

from slim_resnet import legacy
from slim_resnet.legacy.rewriting.checker import Report, check
from slim_resnet.legacy.rewriting.verdict import Group

WORKS = (Group.AS_IT_IS, Group.SHIM)
LIBRARIES = ("tensorflow", "tf_slim", "keras", "tflearn")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--code", required=True, help="the folder of the checkouts")
    args = parser.parse_args()
    print('| code | files | names that "work" | of them not there | names without successor |')
    print("| --- | ---: | ---: | --- | --- |")
    false = [name for folder in CHECKED for name in row(pathlib.Path(args.code), folder)]
    return int(bool(false))


def row(code: pathlib.Path, folder: str) -> list[str]:
    """Prints what there is to say of one checkout; returns what is falsely said to work."""
    if not (code / folder).is_dir():
        print(f"there is no {code / folder}", file=sys.stderr)
        return []
    report = check([code / folder])
    names = working(report)
    false = missing(names)
    gone = {f.symbol for f in report.findings if f.group is Group.NO_SUCCESSOR}
    cells = (folder, len(report.files), len(names), listed(false), listed(gone))
    print(f"| {' | '.join(map(str, cells))} |", flush=True)
    for sentence in report.unreadable:
        print(sentence, file=sys.stderr)
    return false


def working(report: Report) -> list[str]:
    """The names, in full, that are said to work."""
    found = {full(f.symbol) for f in report.findings if f.group in WORKS}
    return sorted(name for name in found if name.partition(".")[0] in LIBRARIES)


def full(symbol: str) -> str:
    return f"tensorflow{symbol[2:]}" if symbol.startswith("tf.") else symbol


def missing(names: Iterable[str]) -> list[str]:
    """Those that a script does not find, neither as an attribute nor by `from ... import`."""
    with legacy.install():
        return [name for name in names if not (_is_attribute(name) or _is_imported(name))]


def _is_attribute(name: str) -> bool:
    top, *parts = name.split(".")
    try:
        value = _run(f"import {top} as found")
        for part in parts:
            value = getattr(value, part)
    except (AttributeError, ImportError):
        return False
    return True


def _is_imported(name: str) -> bool:
    """Whether its longest prefix that is a module has the rest."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        package, first, rest = ".".join(parts[:end]), parts[end], parts[end + 1 :]
        try:
            value = _run(f"from {package} import {first} as found")
            for part in rest:
                value = getattr(value, part)
        except (AttributeError, ImportError):
            continue
        return True
    return False


def _run(statement: str):
    """What a script's import gives it."""
    namespace = {"__name__": "__main__"}
    exec(statement, namespace)
    return namespace["found"]


def listed(names: Iterable[str]) -> str:
    """For a cell of the table."""
    return ", ".join(f"`{name}`" for name in sorted(set(names))) or "none"


if __name__ == "__main__":
    sys.exit(main())
