"""What a proof found: two sides compared at every end point that both have."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from slim_resnet.files import atomic_path

# Largest difference over largest value that two correct builds may show. float64 rounding is below
# 1e-14 here, so what exceeds its bound is a wrong structure; float32 hides small ones.
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}

Size = tuple[int, ...]  # height and width; of a network without images what it is fed


@dataclass(frozen=True)
class Comparison:
    """One end point of one side at one image size, against the reference."""

    target: str
    image_size: Size
    end_point: str
    max_abs_error: float
    max_rel_error: float  # over the largest absolute value of the reference's


@dataclass(frozen=True)
class Report:
    """What a proof found; `comparisons` are in the order of the network.

    Attributes:
        source: the file of the weights.
        arch: the network, in words.
        reference: what the other side was compared with: the user's graph, or slim's network as it
            was assumed.
        dtype: in which both were computed.
        tolerance: the bound.
        comparisons: all of them.
    """

    source: str
    arch: str
    reference: str
    dtype: str
    tolerance: float
    comparisons: tuple[Comparison, ...]

    @property
    def passed(self) -> bool:
        return bool(self.comparisons) and self.first_divergence is None

    @property
    def max_rel_error(self) -> float:
        return max((c.max_rel_error for c in self.comparisons), default=float("nan"))

    @property
    def first_divergence(self) -> Comparison | None:
        """The first end point, from the input on, that differs by more than the tolerance."""
        return next((c for c in self.comparisons if not c.max_rel_error <= self.tolerance), None)

    @property
    def end_points(self) -> tuple[str, ...]:
        """What was compared, each once."""
        return tuple(dict.fromkeys(c.end_point for c in self.comparisons))

    def worst(self) -> list[tuple[str, Size, int, Comparison]]:
        """(target, image size, number of end points, worst comparison) of each run."""
        runs: dict[tuple, list[Comparison]] = {}
        for c in self.comparisons:
            runs.setdefault((c.target, c.image_size), []).append(c)
        return [
            (target, size, len(found), max(found, key=_error))
            for (target, size), found in runs.items()
        ]

    def to_dict(self) -> dict:
        """Everything in types that JSON knows."""
        first = self.first_divergence
        return {
            "passed": self.passed,
            "max_rel_error": self.max_rel_error,
            "first_divergence": first and dataclasses.asdict(first),
            **dataclasses.asdict(self),
        }

    def to_json(self, path: str | os.PathLike) -> None:
        """Writes everything to `path`, whole or not at all."""
        _write_json(path, self.to_dict())


def _error(comparison: Comparison) -> float:
    """NaN is the worst."""
    error = comparison.max_rel_error
    return math.inf if math.isnan(error) else error


def write_reports(path: str | os.PathLike, reports: Iterable[Report]) -> None:
    """Writes several reports to one JSON file, by dtype."""
    _write_json(path, {report.dtype: report.to_dict() for report in reports})


def _write_json(path: str | os.PathLike, value: dict) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def compare(
    target: str,
    size: Size,
    expected: Mapping[str, np.ndarray],
    actual: Mapping[str, np.ndarray],
    names: Iterable[str] | None = None,
) -> list[Comparison]:
    """The end points that both sides have, in the order of the reference.

    Args:
        target: the side that is looked at.
        size: of the images.
        expected: name -> array of the reference.
        actual: name -> array of that side.
        names: those that it must have; what it lacks counts as wrong.
    """
    required = set(names or ())
    return [
        Comparison(target, size, name, *_errors(expected[name], actual.get(name)))
        for name in expected
        if name in actual or name in required
    ]


def _errors(expected: np.ndarray, actual: np.ndarray | None) -> tuple[float, float]:
    """Largest difference, and the same over the largest expected value; inf if shapes differ."""
    if actual is None:
        return math.inf, math.inf
    if expected.ndim == 4 and actual.ndim == 2:  # logits: [batch, 1, 1, classes] in slim
        expected = expected.squeeze((1, 2)) if expected.shape[1:3] == (1, 1) else expected
    if expected.shape != actual.shape:
        return math.inf, math.inf
    if expected.dtype == bool or actual.dtype == bool or not expected.size:
        wrong = float((expected != actual).any())
        return wrong, wrong
    error = float(np.abs(actual.astype(np.float64) - expected).max())
    largest = float(np.abs(expected).max())
    if error == 0:
        return 0.0, 0.0
    return error, error / largest if largest else math.inf
