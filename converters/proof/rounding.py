"""Networks that amplify rounding: what is beyond its tolerance is measured by TensorFlow's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from converters.proof.comparison import Comparison, errors
from converters.proof.images import Size
from converters.proof.report import Report
from converters.proof.sides import Values

# A side may be so many times as far from the reference as TensorFlow's own float32 is: float32
# itself; and float64 with its smaller steps, where the reference is rounded as much as the side.
_AMPLIFICATION = {"float32": 4.0, "float64": 8.0 * 2.0**-29}


def by_own_rounding(
    reports: Sequence[Report], expected: Mapping[Size, Values], rounded: Mapping[Size, Values]
) -> tuple[list[Report], list[str]]:
    """Measures what is beyond its tolerance by how far TensorFlow's own float32 is off.

    Args:
        reports: on values, some of them beyond their tolerances.
        expected: by image size, what the reference computed in float64.
        rounded: the same in float32.

    Returns:
        The reports, with wider tolerances where TensorFlow's float32 is near or beyond its own; and
        sentences that say so.
    """
    off: dict[str, float] = {}

    def measured(comparison: Comparison, report: Report) -> Comparison:
        size, name = comparison.image_size, comparison.end_point
        if comparison.max_rel_error <= report.allowed(comparison):
            return comparison
        _, own = errors(expected[size][name], rounded[size][name], "float32")
        if not math.isfinite(own):  # float32 cannot hold it, which excuses nobody
            return comparison
        wider = _AMPLIFICATION[report.dtype] * own
        if not wider > report.allowed(comparison):
            return comparison
        off[name] = max(own, off.get(name, 0.0))
        return replace(comparison, tolerance=wider)

    wider = [
        replace(report, comparisons=tuple(measured(c, report) for c in report.comparisons))
        for report in reports
    ]
    return wider, [_told(off)] if off else []


def _told(off: Mapping[str, float]) -> str:
    name = max(off, key=off.__getitem__)
    others = f", and at {len(off) - 1} more" if len(off) > 1 else ""
    return (
        f"rounding is amplified: TensorFlow's own float32 is {off[name]:.0e} off at {name}{others}"
    )
