"""Is a network rebuilt on today's TensorFlow the one that was recorded?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from slim_resnet.arch.parts import PARITY
from slim_resnet.regression.aspects import Aspect, structure
from slim_resnet.regression.measured import Measured, NotComparable, measure
from slim_resnet.regression.rebuilt import Net, rebuild, recorded_graph
from slim_resnet.regression.record import Record


@dataclass(frozen=True)
class Checked:
    """What `check` found; `measured` are the numbers of every end point in every case."""

    record: Record
    aspects: tuple[Aspect, ...]
    measured: tuple[Measured, ...]

    @property
    def first(self) -> str | None:
        """The first difference; None: the network is the recorded one."""
        return next((d for aspect in self.aspects for d in aspect.differences), None)


def check(
    record: Record,
    build: Callable,
    *,
    checkpoint: Mapping[str, np.ndarray] | None = None,
    cases: Collection[str] | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Checked:
    """Rebuilds the recorded network and compares everything that was recorded.

    Args:
        record: what `record.read_record` read.
        build: a function of the images that builds the network, see `rebuilt.Builder`.
        checkpoint: variable name -> array, for a record whose weights were not seeded.
        cases: which of `record.cases` to run; None: all.
        progress: is told each step.

    Raises:
        RebuildError: `build` fails.
        RecordError: the record cannot be used here, or the checkpoint is another one.
    """
    progress("comparing the graphs")
    net = rebuild(record, build)
    aspects = structure(record, net, recorded_graph(record))
    names = net.counterparts(record)
    measured: list[Measured] = []
    for dtype in sorted(PARITY):
        progress(f"running the {dtype} network")
        chosen = [c for c in record.cases if c.startswith(dtype) and (cases is None or c in cases)]
        skipped = _why_skipped(record, dtype, chosen, checkpoint)
        if skipped:
            aspects.append(Aspect(f"numbers {dtype}", skipped, decides=False))
            continue
        net = net if dtype == "float32" else rebuild(record, build, dtype)
        aspect, found = _numbers(record, net, names, chosen, checkpoint)
        aspects.append(aspect)
        measured += found
    return Checked(record, tuple(aspects), tuple(measured))


def bound(record: Record, case: str) -> float | None:
    """The largest error that an end point may have in `case`; None: errors are only reported.

    A training graph in float32 has no bound: the statistics of a few pixels magnify rounding.
    """
    dtype = case.partition("|")[0]
    return None if record.info["training"] and dtype == "float32" else PARITY[dtype]


def _numbers(
    record: Record, net: Net, names: Mapping, cases: list[str], checkpoint: Mapping | None
) -> tuple[Aspect, list[Measured]]:
    name = f"numbers {net.images.dtype.name}"
    try:
        found = measure(record, net, names, cases, checkpoint)
    except NotComparable as error:
        return Aspect(name, "", (str(error),)), []
    worst = max(found, key=lambda m: m.error)
    limit = bound(record, cases[0])
    detail = (
        f"{len(found)} end points in {len(cases)} cases, worst {worst.error:.1e} at "
        f"{worst.end_point}, " + (f"bound {limit:.0e}" if limit else "no bound in training mode")
    )
    return Aspect(name, detail, _exceeding(found, limit), decides=limit is not None), found


def _why_skipped(
    record: Record, dtype: str, cases: list[str], checkpoint: Mapping | None
) -> str | None:
    if record.info["weights"] != "seeded-v1" and checkpoint is None:
        return "not run: the record has no weights, give the checkpoint"
    if not cases:
        return f"not run: {record.info['skipped'].get(dtype, 'no such case was recorded')}"
    return None


def _exceeding(found: list[Measured], limit: float | None) -> tuple[str, ...]:
    """What has no counterpart or, given a limit, exceeds it."""
    limit = np.finfo(float).max if limit is None else limit
    return tuple(
        f"{m.case} {m.end_point}: {m.reason or f'differs by {m.error:.1e}'}"
        for m in found
        if m.exceeds(limit)
    )
