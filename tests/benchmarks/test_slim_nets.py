"""benchmarks/slim_nets.py: the table says what was found, and what was not run."""

from __future__ import annotations

import json
import pathlib

import pytest

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
SAME = {"graph": ["same", 0], "variables": ["same", 0], "numbers float32": ["same", 0]}
FOUND = {
    "lenet.inference": {
        "failed": False, "says": "no difference: this is the network that was recorded",
        "aspects": SAME, "worst": {"float32": "1.1e-06"},
    },
    "lenet.training": {
        "failed": False, "says": "first difference: Conv2D: strides", "worst": {},
        "aspects": {**SAME, "graph": ["DIFFERS", 3]},
    },
}  # fmt: skip


@pytest.fixture
def slim_nets(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import slim_nets

    return slim_nets


def table(slim_nets, folder, results, monkeypatch, capsys):
    for name, result in results.items():
        (folder / f"{name}.json").write_text(json.dumps(result))
    monkeypatch.setattr("sys.argv", ["slim_nets.py", "--markdown", "--output", str(folder)])
    return slim_nets.main(), capsys.readouterr().out.splitlines()


def test_the_table_says_what_was_not_run(slim_nets, tmp_path, monkeypatch, capsys):
    code, lines = table(slim_nets, tmp_path, FOUND, monkeypatch, capsys)
    assert code == 0
    assert lines[2].startswith("| lenet | inference | same | 1.1e-06 | - | no difference")
    assert lines[3] == "| lenet | training | 3 differences | - | - | Conv2D: strides |"
    missing = {line.partition(":")[0]: line for line in lines if line.startswith("Not run")}
    assert set(missing) == {"Not run, inference", "Not run, training"}
    for line in missing.values():
        assert " lenet," not in line
        assert "pnasnet_large" in line


def test_what_could_not_be_recorded_fails(slim_nets, tmp_path, monkeypatch, capsys):
    failed = {"cifarnet.training": {"failed": True, "says": "not recorded: ImportError"}}
    code, lines = table(slim_nets, tmp_path, failed, monkeypatch, capsys)
    assert code == 1
    assert lines[2] == "| cifarnet | training | - | - | - | not recorded: ImportError |"
