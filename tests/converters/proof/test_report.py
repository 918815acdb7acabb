"""What a proof says: what was compared, where it first differs, and never that a NaN is right."""

from __future__ import annotations

import json

import numpy as np
import pytest

from converters.proof.comparison import Comparison, compare, errors
from converters.proof.report import Proof, Report, write_reports
from converters.proof.rounding import by_own_rounding


def report(*errors, dtype="float64", tolerance=1e-12, target="torch"):
    comparisons = [
        Comparison(target, (64, 64), f"layer{i}", error, error) for i, error in enumerate(errors)
    ]
    return Report("model.ckpt-60", "9 layers", "a.meta", dtype, tolerance, tuple(comparisons))


@pytest.mark.parametrize(
    ("expected", "actual", "found"),
    [
        ([1.0, -4.0], [1.0, -3.0], (1.0, 0.25)),
        ([1.0, 2.0], [1.0, 2.0], (0.0, 0.0)),
        ([0.0, 0.0], [0.0, 0.0], (0.0, 0.0)),
        ([1.0, 2.0], [1.0, 2.0, 3.0], (np.inf, np.inf)),
        ([1.0, np.inf], [1.0, np.inf], (0.0, 0.0)),
        ([1.0, np.inf], [1.0, -np.inf], (np.inf, np.inf)),
        ([[[[1.0, 2.0]]]], [[1.0, 2.0]], (0.0, 0.0)),
        ([[[[1.0, 2.0]]]], [[1.0, 4.0]], (2.0, 1.0)),
    ],
)
def test_errors_are_relative_to_the_largest_value(expected, actual, found):
    assert errors(np.array(expected), np.array(actual), "float64") == found


@pytest.mark.parametrize(("expected", "actual"), [([np.nan], [1.0]), ([1.0], [np.nan])])
def test_nan_is_never_right(expected, actual):
    compared = compare(
        "torch", (64, 64), {"a": np.array(expected)}, {"a": np.array(actual)}, "float64"
    )
    made = Report("c", "n", "r", "float64", 1e-12, tuple(compared))
    assert not made.passed
    assert made.first_divergence.end_point == "a"
    assert np.isnan(made.worst()[0][3].max_rel_error)


def test_a_nan_of_both_sides_is_not_right():
    nan = {"a": np.array([1.0, np.nan])}
    compared = tuple(compare("t", (1, 1), nan, nan, "float64"))
    proof = Proof("a.meta", ("a",), (Report("c", "n", "r", "float64", 1e-12, compared),))
    assert not proof.passed
    assert "is not a number (NaN), in one of the two or in both" in proof.sentence()


def test_what_float32_cannot_hold_is_no_difference():
    _, relative = errors(np.array([1e-60]), np.array([0.0]), "float32")
    assert relative < 2e-5
    _, relative = errors(np.array([1e-60]), np.array([0.0]), "float64")
    assert relative == 1


def test_few_whole_numbers_may_differ_in_float32_and_none_in_float64():
    expected = np.zeros((1, 100, 100), np.int64)
    actual = expected.copy()
    actual[0, 0, :5] = 7
    for dtype, passed in (("float32", True), ("float64", False)):
        compared = compare("t", (100, 100), {"map": expected}, {"map": actual}, dtype)
        assert Report("c", "n", "r", dtype, 2e-5, tuple(compared)).passed is passed


def test_values_that_one_side_lacks_are_not_compared_unless_they_are_asked_for():
    one, other = {"a": np.ones(2), "b": np.ones(2)}, {"b": np.ones(2), "c": np.ones(2)}
    assert [c.end_point for c in compare("t", (1, 1), one, other, "float64")] == ["b"]
    with pytest.raises(KeyError):
        compare("t", (1, 1), one, other, "float64", names=["a"])


def test_the_first_divergence_is_the_first_of_the_network():
    made = report(1e-15, 3e-9, 1.0)
    assert not made.passed
    assert made.first_divergence.end_point == "layer1"
    assert made.max_rel_error == 1.0
    assert [row[2:] for row in made.worst()] == [(3, made.comparisons[2])]


def test_nothing_compared_is_no_proof():
    assert not report().passed
    assert not Proof("a.meta", (), ()).passed
    assert "nothing could be compared" in Proof("a.meta", (), (report(),)).sentence()


def test_the_sentence_says_what_was_compared_with_what():
    proof = Proof(
        "model.ckpt-60.meta",
        ("layer2",),
        (
            report(1e-15, 2e-15, 0.0),
            report(3e-7, dtype="float32", tolerance=2e-5, target="onnx file"),
        ),
    )
    assert proof.passed
    assert proof.sentence() == (
        "proved against model.ckpt-60.meta: 2 end points and 1 output, torch float64 2e-15, "
        "onnx file float32 3e-07"
    )
    assumed = Proof("slim's resnet_v1_50", ("layer0",), (report(0.0),), ("ReLU", "epsilon 1e-05"))
    assert assumed.sentence().startswith(
        "proved against slim's resnet_v1_50, assuming ReLU, epsilon 1e-05 (no graph beside the "
        "checkpoint): 1 output"
    )
    not_run = Proof("a.meta", ("layer0",), (report(0.0),), not_run="needs onnxruntime")
    assert not_run.sentence().endswith("not run: needs onnxruntime")


def test_the_sentence_says_what_is_wrong():
    proof = Proof("a.meta", ("layer1",), (report(0.0, 1e-3),))
    assert proof.sentence() == (
        "not proved against a.meta: layer1 is the first value of the torch in float64 that "
        "differs, by 1.0e-03 of the largest at 64x64 (allowed: 1e-12)"
    )


def test_a_proof_as_json(tmp_path):
    proof = Proof("a.meta", ("layer1",), (report(0.0, np.inf), report(0.0, dtype="float32")))
    proof.to_json(tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["passed"] is False
    assert found["reference"] == "a.meta"
    assert found["float64"]["first_divergence"]["end_point"] == "layer1"
    assert found["float32"]["passed"] is True
    write_reports(tmp_path / "reports.json", proof.reports)
    assert set(json.loads((tmp_path / "reports.json").read_text())) == {"float64", "float32"}


@pytest.mark.parametrize(
    ("dtype", "error", "own", "passed"),
    [
        ("float32", 2.1e-5, 6e-6, True),
        ("float32", 2.1e-5, 5e-6, False),
        ("float32", 3e-4, 1e-4, True),
        ("float32", 5e-4, 1e-4, False),
        ("float32", 0.5, np.inf, False),
        ("float32", np.nan, np.nan, False),
        ("float64", 2e-12, 1e-4, False),
        ("float64", 2e-12, 2e-4, True),
        ("float64", 0.5, np.inf, False),
    ],
)
def test_rounding_is_measured_by_tensorflows_own(dtype, error, own, passed):
    """What is beyond its tolerance, where TensorFlow's float32 is as far from its float64."""
    made = report(error, dtype=dtype, tolerance={"float32": 2e-5, "float64": 1e-12}[dtype])
    expected = {(64, 64): {"layer0": np.array([1.0])}}
    rounded = {(64, 64): {"layer0": np.array([1.0 + own])}}
    (measured,), said = by_own_rounding([made], expected, rounded)
    assert measured.passed is passed
    assert bool(said) is (measured != made)
