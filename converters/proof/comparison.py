"""Two sides of a proof, compared value by value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

# The share of whole numbers (the class of each pixel, say) that float32 may decide otherwise.
_WHOLE_NUMBERS = {"float64": 0.0, "float32": 1e-3}


@dataclass(frozen=True)
class Comparison:
    """A value of one side, on images of one size, against the reference's.

    Attributes:
        target: the side: "torch", "onnx file".
        image_size: (height, width) in pixels.
        end_point: the value, by the reference's name.
        max_abs_error: largest difference; inf where shapes differ.
        max_rel_error: the same over the largest absolute value of the reference's; of whole numbers
            the share that differs.
        tolerance: what `max_rel_error` may be; None: the report's.
    """

    target: str
    image_size: tuple[int, int]
    end_point: str
    max_abs_error: float
    max_rel_error: float
    tolerance: float | None = None


def compare(
    target: str,
    image_size: tuple[int, int],
    expected: Mapping[str, np.ndarray],
    actual: Mapping[str, np.ndarray],
    dtype: str,
    tolerances: Mapping[str, float] | None = None,
    names: Iterable[str] | None = None,
) -> list[Comparison]:
    """Compares values by name, in the order of the reference.

    Args:
        target: the side that is compared.
        image_size: of the images it ran on.
        expected: the reference's values, channels last.
        actual: the side's.
        dtype: in which it ran: "float64" or "float32".
        tolerances: those of values that have one of their own.
        names: what is compared; None: every value that both have.
    """
    if names is None:
        names = [name for name in expected if name in actual]
    found = []
    for name in names:
        absolute, relative = errors(expected[name], actual[name], dtype)
        bound = (tolerances or {}).get(name)
        if bound is None and expected[name].dtype.kind in "iub":
            bound = _WHOLE_NUMBERS[dtype]
        found.append(Comparison(target, tuple(image_size), name, absolute, relative, bound))
    return found


def errors(expected: np.ndarray, actual: np.ndarray, dtype: str) -> tuple[float, float]:
    """Largest difference, and the same over the largest expected value.

    NaN where either has one, inf where shapes differ; [batch, 1, 1, classes] is [batch, classes].
    """
    if expected.ndim == 4 and actual.ndim == 2 and expected.shape[1:3] == (1, 1):
        expected = expected[:, 0, 0]
    if expected.shape != actual.shape:
        return math.inf, math.inf
    if not expected.size:
        return 0.0, 0.0
    if expected.dtype.kind in "iub":
        differing = expected != actual
        return float(differing.any()), float(differing.mean())
    with np.errstate(invalid="ignore"):
        difference = np.abs(actual - expected.astype(np.float64))
    difference = np.where(actual == expected, 0.0, difference)  # infinities, too
    error = float(difference.max())
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    # What float32 cannot hold is no difference, such as a sigmoid of 1e-60.
    return error, error / max(largest, float(np.finfo(dtype).tiny))
