"""`--check` against the run: what it says works does, under every spelling of TensorFlow's name."""

from __future__ import annotations

import gzip
import pathlib
import re

import pytest

from slim_resnet.legacy.rewriting.verdict import Group, judge

FAULTS = pathlib.Path(__file__).parent / "faults"
WORKS = (Group.AS_IT_IS, Group.SHIM)
# How a script may get what 1.15 calls tf, and what its names are called in full.
SPELLINGS = {
    "import tensorflow as tf": "tensorflow.",
    "import tensorflow.compat.v1 as tf": "tensorflow.compat.v1.",
    "from tensorflow.compat import v1 as tf": "tensorflow.compat.v1.",
}
# Under 1.15, too, the attribute is the function of that name; only `from` imports from the module.
INSIDE_ARG_SCOPE = "contrib.framework.python.ops.arg_scope."


@pytest.fixture(scope="module")
def names(data) -> list[str]:
    """Every public name of TensorFlow 1.15.5, without "tf."."""
    packed = (data / "legacy_scripts" / "symbols.txt.gz").read_bytes()
    return [name.removeprefix("tf.") for name in gzip.decompress(packed).decode().split()]


@pytest.fixture(scope="module")
def legacy_import():
    """legacy_import(statement) -> the tf that a script's import gives it under the shim."""
    from slim_resnet import legacy

    def run(statement: str):
        namespace = {"__name__": "__main__"}
        exec(statement, namespace)
        return namespace["tf"]

    with legacy.install():
        yield run


def _get(module, name: str):
    for part in name.split("."):
        module = getattr(module, part)
    return module


def _resolves(module, name: str) -> bool:
    try:
        _get(module, name)
    except (AttributeError, ImportError):
        return name.startswith(INSIDE_ARG_SCOPE) and _is_imported(name)
    return True


def _is_imported(name: str) -> bool:
    package, _, last = name.rpartition(".")
    try:
        exec(f"from tensorflow.{package} import {last}", {"__name__": "__main__"})
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_works_is_there_and_nothing_else(names, legacy_import, spelling):
    tf = legacy_import(spelling)
    found = {name: judge(SPELLINGS[spelling] + name) for name in names}
    # No verdict: a place, such as tf.nn, below which names have verdicts of their own.
    works = {name for name, verdict in found.items() if not verdict or verdict.group in WORKS}
    there = {name for name in names if _resolves(tf, name)}
    assert sorted(works - there) == []
    assert sorted(there - works) == []
    assert len(names) == 7045
    assert len(there) > 4900


def test_every_spelling_gives_the_same_objects(legacy_import):
    modules = [legacy_import(spelling) for spelling in SPELLINGS]
    modules.append(legacy_import("import tensorflow as t; tf = t.compat.v1"))
    for name in ("layers.conv2d", "nn.rnn_cell.BasicLSTMCell", "keras.layers.Dense", "Session"):
        assert len({id(_get(module, name)) for module in modules}) == 1, name
    dense = legacy_import("from tensorflow.compat.v1.keras.layers import Dense as tf")
    assert dense is modules[0].keras.layers.Dense
    v2 = legacy_import("import tensorflow.compat.v2 as tf")
    assert v2.keras.layers.Dense.__module__.startswith("tf_keras.")


def test_a_script_of_2019_prints_what_tensorflow_1_15_printed(run, data, tmp_path):
    ran = run(FAULTS / "compat_v1.py", cwd=tmp_path)
    expected = (data / "legacy_scripts" / "compat_v1.txt").read_text()
    assert unsigned_zeros(ran.out) == unsigned_zeros(expected), ran.err


def unsigned_zeros(text):
    """Whether a zero is -0.0 is the processor's choice."""
    return re.sub(r"-(0\.0)\b", r"\1", text)


def test_a_training_goes_on_from_its_graph(run, data, tmp_path):
    """Recorded by TensorFlow 1.15.5, with gradients and an operation that today's refuses."""
    folder = data / "legacy_scripts" / "training_graph"
    ran = run(FAULTS / "training_graph.py", folder, cwd=tmp_path)
    assert ran.code == 0, ran.err
    (logits, step), (expected, last) = (
        [eval(line) for line in text.splitlines()]
        for text in (ran.out, (folder / "expected.txt").read_text())
    )
    assert step == last == 4
    for row, wanted in zip(logits, expected, strict=True):
        assert row == pytest.approx(wanted, rel=1e-5)
    assert "lacks today (Resampler); they and" in ran.err
