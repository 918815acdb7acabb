"""benchmarks/checked_names.py: what the check calls "works" is looked for under the shim."""

from __future__ import annotations

import pathlib

import pytest

from slim_resnet.legacy.rewriting import checker, verdict

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
SCRIPT = """\
import tensorflow as tf
from tensorflow.python.ops import array_ops
slim = tf.contrib.slim
slim.conv2d(tf.contrib.layers.fully_connected, array_ops.reshape, tf.layers.dense)
tf.contrib.resampler.resampler()
"""


@pytest.fixture
def checked_names(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import checked_names

    return checked_names


@pytest.fixture
def code(tmp_path, checked_names, monkeypatch):
    monkeypatch.setattr(checked_names, "CHECKED", ("nets", "not/there"))
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "train.py").write_text(SCRIPT)
    monkeypatch.setattr("sys.argv", ["checked_names.py", "--code", str(tmp_path)])


def test_what_works_is_found(checked_names, code, capsys):
    assert checked_names.main() == 0
    said = capsys.readouterr()
    *_, row = said.out.splitlines()
    assert row.startswith("| nets | 1 |")
    assert row.endswith("| none | `tf.contrib.resampler.resampler` |")
    assert "there is no" in said.err


def test_a_false_verdict_is_named(checked_names, code, capsys, monkeypatch):
    """As if the check called everything works."""
    monkeypatch.setattr(checker, "judge", lambda name: verdict.Verdict(verdict.Group.AS_IT_IS))
    assert checked_names.main() == 1
    assert "| `tensorflow.contrib.resampler.resampler` | none |" in capsys.readouterr().out
