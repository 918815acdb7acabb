"""tools/story.py: from training to PyTorch, Keras and back."""

from __future__ import annotations

import importlib
import json
import pathlib

import numpy as np
import pytest

import converters
from converters.models import torch_model
from converters.models.naming import table

TOOLS = pathlib.Path(__file__).parents[2] / "tools"


@pytest.fixture
def story(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("story")


def model(story, name, predictions, accuracy=0.98):
    total = len(predictions)
    return story.Model(name, "torch", round(accuracy * total), total, accuracy, 0.1, predictions)


def test_claims_that_do_not_hold_are_named(story):
    first, same = model(story, "a", [1, 2, 3, 4]), model(story, "b", [1, 2, 3, 4])
    assert story.broken([first, same], 0.95) == []
    (claim,) = story.broken([first, model(story, "c", [1, 2, 4, 3])], 0.95)
    assert claim == "c (torch) puts 2 images into another class than a (torch)"
    (claim,) = story.broken([first, model(story, "d", [1, 2, 3, 4], accuracy=0.95)], 0.95)
    assert claim == "d (torch): accuracy 95.00% is not above 95.00%"


def test_a_step_that_fails_ends_the_story(tool, tmp_path):
    found = tool("story", "--output", tmp_path / "story", "--epochs", "0")
    assert found.returncode == 2
    assert "0.0 epochs in batches of 64 are no training" in found.stderr
    assert "the story ends here: tools/train.py failed with exit code 2" in found.stderr
    assert "convert_checkpoint" not in found.stdout


@pytest.mark.slow
def test_the_whole_story(tool, tmp_path):
    found = tool("story", "--output", tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "the models agree on every image, all above 95.00%" in found.stdout
    results = {}
    for name, count in (("trained.json", 3), ("tuned.json", 2)):
        results[name] = json.loads((tmp_path / name).read_text())
        assert len(results[name]) == count
        for one in results[name]:
            assert one["total"] == 360
            assert one["correct"] > 342
            assert one["predictions"] == results[name][0]["predictions"]
    # The way back loses no bit, and the fine-tuning has changed every weight.
    back, tuned = converters.load_checkpoint(tmp_path / "back.ckpt"), tmp_path / "tuned.safetensors"
    weights, state = back.weights(), torch_model.load(tuned).state_dict()
    before = torch_model.load(tmp_path / "trained.safetensors").state_dict()
    for row in table(back.arch):
        np.testing.assert_array_equal(row.to_torch(weights[row.slim]), state[row.torch].numpy())
        assert not np.array_equal(before[row.torch].numpy(), state[row.torch].numpy())
    again = tool("story", "--output", tmp_path, "--accuracy", "0.999")
    assert again.returncode == 1
    assert "all 225 steps are made already" in again.stdout
    assert "is not above 99.90%" in again.stdout
