"""What a proof found, for people and for programs."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

from converters.proof.comparison import Comparison
from slim_resnet.files import write_json

MOVED = ", moved"  # what follows the name of a moving statistic after a step of training


@dataclass(frozen=True)
class Report:
    """One type of numbers against the reference; `comparisons` are in the order of the network.

    Attributes:
        source: the checkpoint.
        network: what it holds, in words.
        reference: what the reference was: the user's graph, or slim's network.
        dtype: "float64" proves the structure; "float32" is what users will run.
        tolerance: largest difference over largest value that is allowed.
        comparisons: one for each side, size and value.
    """

    source: str
    network: str
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
        """The first value, from the input on, that differs by more than is allowed (or is NaN)."""
        wrong = (c for c in self.comparisons if not c.max_rel_error <= self.allowed(c))
        return next(wrong, None)

    def allowed(self, comparison: Comparison) -> float:
        """The difference that a comparison may show."""
        return self.tolerance if comparison.tolerance is None else comparison.tolerance

    def worst(self) -> list[tuple[str, tuple[int, int], int, Comparison]]:
        """(target, image size, number of values, worst comparison) of each run."""
        runs: dict[tuple, list[Comparison]] = {}
        for c in self.comparisons:
            runs.setdefault((c.target, c.image_size), []).append(c)
        return [
            (target, size, len(found), max(found, key=self._excess))
            for (target, size), found in runs.items()
        ]

    def _excess(self, comparison: Comparison) -> tuple[bool, float]:
        allowed = self.allowed(comparison)
        return not comparison.max_rel_error <= allowed, comparison.max_rel_error

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
        write_json(path, self.to_dict())


@dataclass(frozen=True)
class Proof:
    """What was compared with what, and how it came out.

    Attributes:
        reference: what the reference was, e.g. "model.ckpt-60.meta" or "slim's resnet_v1_50".
        outputs: the names of the network's outputs.
        reports: float64 first, then the written file in its own type.
        assumptions: what the reference took for granted, where no graph was used.
        graph_unused: whether there was a graph, which the user did not want.
        notes: what else has to be said: operations in float32, sizes that the graph refused.
        not_run: why the written file was not run, "needs onnxruntime"; None: it was.
        training: a step of the graph's own training against the module's; None: it has none, or
            that cannot be run, as the notes say.
    """

    reference: str
    outputs: tuple[str, ...]
    reports: tuple[Report, ...]
    assumptions: tuple[str, ...] = ()
    graph_unused: bool = False
    notes: tuple[str, ...] = ()
    not_run: str | None = None
    training: Report | None = None

    @property
    def all_reports(self) -> tuple[Report, ...]:
        """The reports, that of training last."""
        return (*self.reports, self.training) if self.training else self.reports

    @property
    def passed(self) -> bool:
        return bool(self.reports) and all(report.passed for report in self.all_reports)

    @property
    def first_divergence(self) -> Comparison | None:
        return next((r.first_divergence for r in self.all_reports if not r.passed), None)

    def sentence(self) -> str:
        """One line for the user: what was shown, or what is wrong."""
        return f"{self._shown()}{self._details()}" if self.passed else self._wrong()

    def _shown(self) -> str:
        if not self.assumptions:
            return f"proved against {self.reference}"
        assumed = ", ".join(self.assumptions)
        graph = "the graph was not used" if self.graph_unused else "no graph beside the checkpoint"
        return f"proved against {self.reference}, assuming {assumed} ({graph})"

    def _details(self) -> str:
        compared = {c.end_point for c in self.reports[0].comparisons}
        outputs = [name for name in self.outputs if name in compared]
        counts = [(len(compared) - len(outputs), "end point"), (len(outputs), "output")]
        said = " and ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in counts if n)
        runs = [
            f"{target} {report.dtype} {worst.max_rel_error:.0e}"
            for report in self.reports
            for target, worst in _worst_by_target(report).items()
        ]
        not_run = [f"not run: {self.not_run}"] if self.not_run else []
        return f": {said}, {', '.join([*runs, *not_run, *self._trained()])}"

    def _trained(self) -> list[str]:
        if self.training is None:
            return []
        moved = sum(c.end_point.endswith(MOVED) for c in self.training.comparisons)
        statistics = f", {moved} moved statistics" if moved else ""
        error = self.training.max_rel_error
        return [f"a step of its training {self.training.dtype} {error:.0e}{statistics}"]

    def _wrong(self) -> str:
        if not self.reports:
            return f"not proved against {self.reference}: nothing could be compared"
        report = next(report for report in self.all_reports if not report.passed)
        first = report.first_divergence
        if first is None:
            return f"not proved against {self.reference}: nothing could be compared"
        size = "x".join(map(str, first.image_size))
        found = (
            f"not proved against {report.reference}: {first.end_point} is the first value of the "
            f"{first.target} in {report.dtype} that"
        )
        if math.isnan(first.max_rel_error):
            return f"{found} is not a number (NaN), in one of the two or in both, at {size}"
        return (
            f"{found} differs, by {first.max_rel_error:.1e} of the "
            f"largest at {size} (allowed: {report.allowed(first):.0e})"
        )

    def to_dict(self) -> dict:
        """Everything in types that JSON knows."""
        return {
            "passed": self.passed,
            "sentence": self.sentence(),
            "reference": self.reference,
            "outputs": list(self.outputs),
            "assumptions": list(self.assumptions),
            "notes": list(self.notes),
            "not_run": self.not_run,
            **{report.dtype: report.to_dict() for report in self.reports},
            "training": self.training and self.training.to_dict(),
        }

    def to_json(self, path: str | os.PathLike) -> None:
        """Writes everything to `path`, whole or not at all."""
        write_json(path, self.to_dict())


def write_reports(path: str | os.PathLike, reports: Iterable[Report]) -> None:
    """Writes several reports to one JSON file, by dtype."""
    write_json(path, {report.dtype: report.to_dict() for report in reports})


def _worst_by_target(report: Report) -> dict[str, Comparison]:
    found: dict[str, Comparison] = {}
    for target, _, _, worst in report.worst():
        if target not in found or worst.max_rel_error > found[target].max_rel_error:
            found[target] = worst
    return found


def statistic(parameter: str) -> str:
    """What a moving statistic is called in a report."""
    return f"{parameter}{MOVED}"
