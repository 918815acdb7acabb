"""Names and numbers that nobody expects end in what was asked for, or in one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from converters.files import CheckpointError, open_weights
from converters.recognise import patience
from converters.recognise.loading import load_checkpoint
from slim_resnet import arch as arch_lib

BACKTRACKING = "(a+)+$"


@pytest.fixture
def odd(tmp_path):
    """A dump of variables whose names look like markup, and like work for expressions."""
    path = tmp_path / "odd.npz"
    names = ("[/nope]", "[bold]weights", ":smile:", "a" * 40 + "!")
    np.savez(path, **{name: np.zeros(3, np.float32) for name in names})
    return path


def test_names_that_look_like_markup_are_printed(tool, odd):
    found = tool("inspect_checkpoint", odd, "--variables")
    assert (found.returncode, found.stderr) == (1, "")
    for name in ("[/nope]", "[bold]weights", ":smile:"):
        assert name in found.stdout


def test_expressions_that_backtrack_for_ever_end(odd, tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "LIMIT", 0.2)
    rules = tmp_path / "rules.toml"
    rules.write_text(f"[[rule]]\nmatch = '{BACKTRACKING}'\nname = 'conv1/weights'\n")
    with pytest.raises(CheckpointError, match=r"rules\.toml: matching the names takes more than"):
        load_checkpoint(odd, rules=rules)


def test_an_expression_of_what_to_ignore_has_its_time_too(data, tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "LIMIT", 0.2)
    source = open_weights(data / "slim_v1" / "v2")
    arrays = {name: source[name] for name in source}
    np.savez(tmp_path / "net.npz", **arrays, **{"a" * 40 + "!": np.zeros(3, np.float32)})
    with pytest.raises(CheckpointError, match=r"--ignore '\(a\+\)\+\$': matching the names takes"):
        load_checkpoint(tmp_path / "net.npz", ignore=BACKTRACKING)


@pytest.mark.parametrize("fact", ["batch_norm_decay", "batch_norm_epsilon"])
@pytest.mark.parametrize("value", [7.0, -0.1, float("nan")])
def test_absurd_batch_norms_are_refused(fact, value):
    with pytest.raises(ValueError, match=f"a batch norm {fact.rpartition('_')[2]} is from 0 to 1"):
        arch_lib.get("resnet_v1_50", **{fact: value})


def test_batches_larger_than_the_dataset_are_refused(tool, tmp_path):
    args = ("--dataset", "digits", "--output", tmp_path / "run", "--batch-size", 100000)
    found = tool("train", *args)
    assert found.returncode == 2
    assert found.stderr == "error: --batch-size 100000: there are 1437 images to train on\n"
    assert not (tmp_path / "run").exists()
