#!/usr/bin/env python3
"""Public TensorFlow 1 code, unedited: run under TensorFlow 1.15 and under the shim, compared.

  public_scripts.py --code FOLDER --tf1 /path/to/python3.7 --output out/public_scripts

FOLDER holds checkouts, named as in the table `CODE` below; what is not there is left out. What is
there is run, never copied or edited. Run this with the Python of `make legacy`. Results are kept
in the output folder, so that what was stopped goes on; --markdown prints the table of what is
there. Exit code: 0 all alike, 1 something is not.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time

from public_code.runs import CODE, Run

from slim_resnet.files import write_json

ROOT = pathlib.Path(__file__).resolve().parents[1]
BOUND = 2e-5  # largest difference over largest value, float32
_TESTS = re.compile(r"^Ran (\d+) tests?", re.MULTILINE)
_FAILED = re.compile(r"^(?:FAIL|ERROR): (\w+)", re.MULTILINE)
_SKIPPED = re.compile(r"skipped=(\d+)")


def main() -> int:
    args = parse()
    folder = pathlib.Path(args.output).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    code = pathlib.Path(args.code or ".").resolve()
    for run in CODE:
        kept = folder / f"{run.name}.json"
        if args.markdown or kept.exists() or (args.only and run.name not in args.only):
            continue
        if not (code / run.folder).is_dir():
            print(f"{run.name}: there is no {code / run.folder}", file=sys.stderr)
            continue
        found = compare(run, code, args.tf1, folder / run.name)
        write_json(kept, found)
        print(f"{run.name}: {verdict(run, found)[1]}", flush=True)
    return print_table(folder)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--code", help="the folder of the checkouts")
    parser.add_argument("--tf1", help="a Python with TensorFlow 1.15")
    parser.add_argument("--output", default="out/public_scripts", metavar="FOLDER")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[run.name for run in CODE])
    parser.add_argument("--markdown", action="store_true", help="only print what is there")
    args = parser.parse_args()
    if not args.markdown and not (args.code and args.tf1):
        parser.error("--code and --tf1 are missing")
    return args


def compare(run: Run, code: pathlib.Path, tf1: str, folder: pathlib.Path) -> dict:
    """Runs the commands in both environments, each in a folder of its own."""
    shim = [sys.executable, "-m", "slim_resnet.legacy"]
    then = execute(run, [tf1, "-W", "ignore"], code, folder / "then")
    now = execute(run, shim, code, folder / "now", then["folder"])
    return {"then": then, "now": now}


def verdict(run: Run, found: dict) -> tuple[bool, str]:
    """Whether both did the same, and what there is to say."""
    return (tests if run.is_test else numbers)(found["then"], found["now"])


def execute(
    run: Run, python: list[str], code: pathlib.Path, folder: pathlib.Path, before: str = ""
) -> dict:
    """The commands one after another, until one fails; all of those that are tests.

    In their words {code} is the checkout, {out} the folder of this environment, {tf1} that in which
    TensorFlow 1.15 ran.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = {"code": str(code / run.folder), "out": str(folder), "tf1": before or str(folder)}
    paths = [ROOT, ROOT / "tools", *(code / run.folder / path for path in run.paths)]
    own = {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    started, out, err, code_of_exit = time.monotonic(), "", "", 0
    for command in run.commands:
        words = [word.format(**places) for word in command]
        script = words[0] if os.path.isabs(words[0]) else str(code / run.folder / words[0])
        done = subprocess.run(
            [*python, script, *words[1:]], cwd=code / run.folder / run.cwd, env=os.environ | own,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        out, err, code_of_exit = out + done.stdout, err + done.stderr, done.returncode
        (folder / "log.txt").write_text(f"{out}\n---\n{err}")
        if code_of_exit and not run.is_test:
            break
    return {
        "folder": str(folder), "code": code_of_exit, "seconds": round(time.monotonic() - started),
        "last": (err.strip().splitlines() or [""])[-1], **measured(run, out, err),
    }  # fmt: skip


def measured(run: Run, out: str, err: str) -> dict:
    """What a run says of itself: counts of tests, or numbers."""
    if run.is_test:
        return {
            "tests": sum(map(int, _TESTS.findall(err))),
            "failed": sorted(_FAILED.findall(err)),
            "skipped": sum(map(int, _SKIPPED.findall(err))),
        }
    if run.pattern:
        return {"values": {run.pattern: [float(v) for v in re.findall(run.pattern, out + err)]}}
    lines = [line for line in out.splitlines() if line.startswith("{")]
    return {"values": json.loads(lines[-1]) if lines else {}}


def tests(then: dict, now: dict) -> tuple[bool, str]:
    passed = [run["tests"] - run["skipped"] - len(run["failed"]) for run in (then, now)]
    worse = sorted(set(now["failed"]) - set(then["failed"]))
    if not now["tests"] or now["tests"] != then["tests"]:
        return False, f"{now['tests']} tests ran, once {then['tests']}: {now['last']}"
    count = f"{passed[1]} tests pass, then {passed[0]}"
    return not worse, f"{count}; {', '.join(worse)}" if worse else count


def numbers(then: dict, now: dict) -> tuple[bool, str]:
    for run, name in ((then, "TensorFlow 1.15"), (now, "the shim")):
        if run["code"]:
            return False, f"{name}: {run['last']}"
    if not now["values"] and not then["values"]:
        return True, "runs to its end"
    if set(now["values"]) != set(then["values"]):
        return False, f"outputs {sorted(now['values'])}, once {sorted(then['values'])}"
    worst = max((difference(then["values"][k], now["values"][k]), k) for k in then["values"])
    return worst[0] <= BOUND, f"worst {worst[0]:.1e}"


def difference(then, now) -> float:
    """The largest difference over the largest value, of the values that were kept."""
    if isinstance(then, dict):
        if then["shape"] != now["shape"]:
            return float("inf")
        then, now = then["values"], now["values"]
    if not then or len(then) != len(now):
        return float("inf")
    return max(abs(a - b) for a, b in zip(then, now, strict=True)) / (max(map(abs, then)) or 1.0)


def print_table(folder: pathlib.Path) -> int:
    """Prints what is in the folder; the exit code."""
    print("| code | what ran | TensorFlow 1.15 | here | |")
    print("| --- | --- | ---: | ---: | --- |")
    differs = False
    for run in CODE:
        kept = folder / f"{run.name}.json"
        if not kept.exists():
            continue
        found = json.loads(kept.read_text())
        took = [f"{found[when]['seconds']} s" for when in ("then", "now")]
        alike, says = verdict(run, found)
        says = ("alike: " if alike else "**differs**: ") + says
        print(f"| {run.source} | {run.what} | {' | '.join(took)} | {says} |")
        differs = differs or not alike
    return int(differs)


if __name__ == "__main__":
    sys.exit(main())
