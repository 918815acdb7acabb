"""Runs tf-slim's own tests, as installed, and compares the outcomes with what is expected.

    report = suite.run()                       # all files, each in a process of its own, on the CPU
    report = suite.run(["ops/variables_test.py"])
    report.problems                            # empty: as `suite_data` says

A test that fails as installed runs again from a copy of its file in which the lines of
`suite_data.MENDS` are mended; it counts as "mended" if it passes then.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from slim_resnet.compat import slim
from slim_resnet.compat.suite_data import EXPECTED_FAILURES, MENDS, SIZES, Mend

OUTCOMES = ("pass", "mended", "fail", "skip")
TIME_LIMIT = 1200  # seconds for one file; the longest takes about two minutes
ROOT = pathlib.Path(slim.__file__).parent


@dataclass(frozen=True)
class FileReport:
    """What the tests of one file did: test id -> (one of `OUTCOMES`, what was said)."""

    file: str
    outcomes: dict[str, tuple[str, str]]

    def count(self, *outcomes: str) -> int:
        """How many tests ended in one of `outcomes`."""
        return sum(outcome in outcomes for outcome, _ in self.outcomes.values())

    @property
    def problems(self) -> list[str]:
        """What is not as `suite_data` says, a sentence each."""
        found = []
        for test, (outcome, said) in self.outcomes.items():
            if outcome == "fail" and test not in EXPECTED_FAILURES:
                found.append(f"{test} fails: {said.strip().splitlines()[-1]}")
            elif outcome != "fail" and test in EXPECTED_FAILURES:
                found.append(f"{test} was expected to fail, but: {outcome}")
        size, tests, skipped = SIZES[self.file], len(self.outcomes), self.count("skip")
        if tests < size.tests or skipped > size.skipped:
            found.append(
                f"{self.file} ran {tests - skipped} tests and skipped {skipped}, not "
                f"{size.tests - size.skipped} and {size.skipped}"
            )
        if mends(self.file) and not self.count("mended"):
            found.append(f"{self.file} no longer needs its mends")
        return found


@dataclass(frozen=True)
class Report:
    """What all files did."""

    files: list[FileReport]

    @property
    def totals(self) -> dict[str, int]:
        """Outcome -> number of tests."""
        return {outcome: sum(f.count(outcome) for f in self.files) for outcome in OUTCOMES}

    @property
    def problems(self) -> list[str]:
        return [problem for file in self.files for problem in file.problems]


def test_files() -> list[str]:
    """tf-slim's test files, below its folder; long ones first."""
    paths = sorted(ROOT.rglob("*_test.py"), key=lambda path: -path.stat().st_size)
    return [path.relative_to(ROOT).as_posix() for path in paths]


def run(
    files: Iterable[str] | None = None,
    *,
    processes: int | None = None,
    replaced: Mapping[str, str] | None = None,
    switches: Iterable[str] = (),
    progress: Callable[[FileReport], None] = lambda report: None,
) -> Report:
    """Runs test files, each in a process of its own.

    Args:
        files: as `test_files` names them; None: all.
        processes: how many at a time, about 1 GB of memory each; None: one a CPU core.
        replaced: modules of tf-slim's to test others in place of, name -> name.
        switches: functions of `tensorflow.compat.v1` to call first: "disable_v2_behavior", as most
            scripts of the time do today; "disable_tensor_equality", with which deep nets build
            twice as fast.
        progress: called with the report of each file when it is there, from any thread.

    Returns:
        The outcomes, files in the order given.

    Raises:
        ValueError: there is no such test file, or a mend does not fit its file.
    """
    known = test_files()
    files = known if files is None else list(files)
    for file in files:
        if file not in known:
            raise ValueError(f"tf-slim has no test file {file}; it has {', '.join(sorted(known))}")
    options = {"replaced": dict(replaced or {}), "switches": list(switches)}

    def run_one(file: str) -> FileReport:
        report = _run_file(file, options)
        progress(report)
        return report

    with ThreadPoolExecutor(processes or os.cpu_count()) as pool:
        return Report(list(pool.map(run_one, files)))


def mended_source(file: str) -> str:
    """The text of a test file with its mends.

    Raises:
        ValueError: the file does not hold what a mend replaces.
    """
    source = (ROOT / file).read_text(encoding="utf-8")
    for mend in mends(file):
        if source.count(mend.old) != mend.times:
            raise ValueError(
                f"{ROOT / file} holds {mend.old!r} {source.count(mend.old)} times, not "
                f"{mend.times}: the mends in slim_resnet/compat/suite_data.py are for tf-slim 1.1.0"
            )
        source = source.replace(mend.old, mend.new)
    return source


def file_of(test: str) -> str:
    """The test file, as `test_files` names it, of a test's id."""
    module = test.partition("_test.")[0] + "_test"
    return module.removeprefix("tf_slim.").replace(".", "/") + ".py"


def mends(file: str) -> list[Mend]:
    """The mends of a test file that this machine's NumPy needs."""
    numpy = tuple(map(int, np.__version__.split(".")[:2]))
    return [mend for mend in MENDS if mend.file == file and mend.numpy <= numpy]


def _run_file(file: str, options: dict) -> FileReport:
    module = "tf_slim." + file.removesuffix(".py").replace("/", ".")
    with tempfile.TemporaryDirectory(prefix="tf_slim_test_") as folder:
        job = {"module": module, "source": str(ROOT / file), "only": None, **options}
        outcomes = _run_child(job, folder)
        failed = [test for test, (outcome, _) in outcomes.items() if outcome == "fail"]
        if failed and mends(file):
            if outcomes.pop(module, None):  # the file could not be imported: no test ran
                failed = None
            copy = pathlib.Path(folder, "mended.py")
            copy.write_text(mended_source(file), encoding="utf-8")
            again = _run_child({**job, "source": str(copy), "only": failed}, folder)
            for test, (outcome, said) in again.items():
                outcomes[test] = ("mended" if outcome == "pass" else outcome, said)
    return FileReport(file, outcomes)


def _run_child(job: dict, folder: str) -> dict[str, tuple[str, str]]:
    result = pathlib.Path(folder, "outcomes.json")
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", "slim_resnet.compat.suite_child", json.dumps(job), str(result)]
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TMPDIR": folder,
    }
    try:
        child = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
        )
        said = child.stderr
    except subprocess.TimeoutExpired:
        said = f"not done after {TIME_LIMIT} s"
    if not result.exists():  # it crashed
        return {job["module"]: ("fail", said or f"exit code {child.returncode}")}
    found = json.loads(result.read_text(encoding="utf-8"))
    return {test: (outcome, detail) for test, (outcome, detail) in found.items()}
