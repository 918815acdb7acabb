"""benchmarks/grouped_conv.py: every candidate is compared, timed and written."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
FORMS = ["grouped", "concat", "branches", "dense"]
NETS = [
    "torchvision",
    "torchvision, channels_last",
    "our module",
    "our module, channels_last",
    "slim, frozen",
]


def run(*args):
    command = [sys.executable, str(BENCHMARKS / "grouped_conv.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def grouped_conv(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import grouped_conv

    return grouped_conv


@pytest.mark.parametrize(
    ("part", "options", "candidates", "inputs"),
    [
        ("units", ["--stages", 4], FORMS, ["2x2x2x2048"] * 2),
        ("nets", [], NETS, ["2x64x64x3"]),
    ],
)
def test_every_candidate_is_timed(part, options, candidates, inputs, tmp_path):
    out = tmp_path / "times.json"
    found = run(
        "--only", part, *options, "--image-size", 64, "--batch-size", 2, "--rounds", 2,
        "--threads", 2, "--json", out,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    for name in candidates:
        assert name in found.stdout
    rows = json.loads(out.read_text())[part]
    assert [row["input"] for row in rows] == inputs
    for row in rows:
        assert list(row["seconds"]) == candidates
        reference = np.array(row["seconds"][candidates[0]])
        for name, seconds in row["seconds"].items():
            assert len(seconds) == 2
            assert min(seconds) > 0
            ratios = np.percentile(seconds / reference, [25, 50, 75])
            np.testing.assert_allclose(row["ratios"][name], ratios)


def test_a_file_that_cannot_be_written_is_named_before_the_work(tmp_path):
    found = run("--json", tmp_path / "missing" / "times.json")
    assert found.returncode == 2
    assert "missing does not exist" in found.stderr


def test_candidates_take_turns(grouped_conv):
    order = []
    calls = {name: lambda name=name: order.append(name) or np.ones(1) for name in "ab"}
    row = grouped_conv.compare((1, 2), "forward", calls, rounds=3)
    assert order == ["a", "b"] * (1 + grouped_conv.timing.WARM_UP + 3)
    assert [len(seconds) for seconds in row["seconds"].values()] == [3, 3]


@pytest.mark.parametrize("wrong", [1.001, np.nan])
def test_what_differs_is_not_timed(grouped_conv, wrong):
    calls = {"a": lambda: np.ones(2), "b": lambda: np.array([1, wrong])}
    with pytest.raises(SystemExit, match="b differs from a"):
        grouped_conv.compare((1, 2), "forward", calls, rounds=1)
