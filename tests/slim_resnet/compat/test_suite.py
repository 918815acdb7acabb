"""tf-slim's own tests, as installed: what passes is what `slim_resnet.compat.suite_data` says."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from slim_resnet.compat import suite, suite_data

ROOT = pathlib.Path(__file__).parents[3]


@pytest.mark.slow
@pytest.mark.parametrize("switches", [(), ("disable_v2_behavior",)])
def test_all_but_the_expected_failures_pass(switches):
    report = suite.run(switches=switches)
    assert report.problems == []
    totals = report.totals
    assert totals["fail"] == len(suite_data.EXPECTED_FAILURES) == 1
    assert totals["pass"] + totals["mended"] >= 1361


def test_some_of_them():
    files = ["ops/variables_test.py", "data/dataset_data_provider_test.py"]
    report = suite.run(files)
    assert report.problems == []
    assert [f.file for f in report.files] == files
    assert report.totals == {"pass": 88 + 3, "mended": 1, "fail": 0, "skip": 15 + 1}


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("resnet_v1", "nets/resnet_v1_test.py"),
        ("resnet_v2", "nets/resnet_v2_test.py"),
    ],
)
@pytest.mark.slow
def test_this_projects_networks_pass_them_too(module, file):
    ours = ("resnet_utils", module)
    report = suite.run(
        [file],
        replaced={f"tf_slim.nets.{name}": f"slim_resnet.{name}" for name in ours},
        switches=["disable_tensor_equality"],  # twice as fast
    )
    assert report.problems == []
    assert report.totals == {"pass": 15, "mended": 0, "fail": 0, "skip": 2}


def test_every_file_has_its_size():
    assert sorted(suite_data.SIZES) == sorted(suite.test_files())
    tests = sum(size.tests for size in suite_data.SIZES.values())
    skipped = sum(size.skipped for size in suite_data.SIZES.values())
    assert (tests, skipped) == (1535, 161)


def report(file: str, **changed) -> suite.FileReport:
    """A report as expected of `file`, but for the outcomes in `changed`, by short name."""
    size = suite_data.SIZES[file]
    module = "tf_slim." + file.removesuffix(".py").replace("/", ".")
    outcomes = {f"{module}.T.test{i}": ("pass", "") for i in range(size.tests - size.skipped)}
    outcomes |= {f"{module}.T.skip{i}": ("skip", "no GPU") for i in range(size.skipped)}
    for name, outcome in changed.items():
        outcomes[f"{module}.T.{name}"] = (outcome, "Traceback\nValueError: no")
    return suite.FileReport(file, outcomes)


def test_what_is_not_as_expected_is_a_problem():
    file = "layers/utils_test.py"
    assert report(file).problems == []
    assert report(file, test0="fail").problems == [
        "tf_slim.layers.utils_test.T.test0 fails: ValueError: no"
    ]
    assert report(file, test0="skip").problems == [
        "layers/utils_test.py ran 23 tests and skipped 7, not 24 and 6"
    ]
    fewer = report(file)
    fewer.outcomes.popitem()
    fewer.outcomes.pop("tf_slim.layers.utils_test.T.test0")
    assert fewer.problems == ["layers/utils_test.py ran 23 tests and skipped 5, not 24 and 6"]


def test_an_expected_failure_that_passes_is_a_problem():
    (test,) = suite_data.EXPECTED_FAILURES
    file = suite.file_of(test)
    name = test.rpartition(".")[2]
    found = report(file)
    found.outcomes[test] = found.outcomes.popitem()[1]
    assert f"{test} was expected to fail, but: skip" in found.problems
    found.outcomes[test] = ("pass", "")
    assert f"{test} was expected to fail, but: pass" in found.problems
    assert name in found.problems[0]


def test_mends_that_are_not_needed_are_a_problem():
    assert report("learning_test.py").problems == ["learning_test.py no longer needs its mends"]
    assert report("learning_test.py", test0="mended").problems == []


@pytest.mark.parametrize("file", sorted({mend.file for mend in suite_data.MENDS}))
def test_mends_change_just_their_lines(file):
    before = (suite.ROOT / file).read_text(encoding="utf-8").splitlines()
    after = suite.mended_source(file).splitlines()
    changed = sum(old != new for old, new in zip(before, after, strict=True))
    assert changed == sum(mend.times for mend in suite.mends(file))


@pytest.mark.parametrize(
    ("version", "file", "count"),
    [
        ("2.4.0", "learning_test.py", 1),
        ("1.26.4", "learning_test.py", 0),
        ("1.26.4", "layers/sparse_ops_test.py", 2),
        ("1.18.5", "layers/sparse_ops_test.py", 0),
        ("1.18.5", "evaluation_test.py", 2),
    ],
)
def test_an_older_numpy_needs_fewer_mends(monkeypatch, version, file, count):
    monkeypatch.setattr(np, "__version__", version)
    assert len(suite.mends(file)) == count


def test_a_mend_that_does_not_fit_is_an_error(monkeypatch):
    mend = suite_data.Mend("summaries_test.py", "not in there", "", "")
    monkeypatch.setattr(suite, "MENDS", (mend,))
    with pytest.raises(ValueError, match="summaries_test.py holds 'not in there' 0 times, not 1"):
        suite.mended_source("summaries_test.py")


def test_the_docs_list_every_failure_and_every_mend():
    docs = (ROOT / "docs" / "tf_slim_tests.md").read_text(encoding="utf-8")
    for test, reason in suite_data.EXPECTED_FAILURES.items():
        assert test.removeprefix("tf_slim.") in docs
        assert reason in docs
    for mend in suite_data.MENDS:
        assert mend.reason in docs
        assert mend.file in docs


def tool(*args: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "tools" / "check_tf_slim.py"), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_tool_prints_counts_and_reasons():
    done = tool("metrics/classification_test.py")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["metrics/classification_test.py", "18", "1", "0", "2"] in rows
    assert "float(f1.eval())" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_the_tool_names_an_unknown_file():
    done = tool("learning.py")
    assert done.returncode == 2
    assert done.stderr.startswith("error: tf-slim has no test file learning.py; it has data/")
