"""A proof: the reference and its sides run side by side, then are compared."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from converters.graphs.network import Input
from converters.proof.comparison import Comparison, compare
from converters.proof.images import FIXED_SIZES, IMAGE_SIZES, LARGER_SIZES, Batch, Size, batches
from converters.proof.plan import GraphRunError
from converters.proof.report import Proof, Report
from converters.proof.rounding import by_own_rounding
from converters.proof.sides import Reference, Run, Side, Values
from slim_resnet.arch.parts import PARITY

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """What is proved.

    Attributes:
        source: what the user calls the checkpoint.
        network: what it holds, in words.
        inputs: what is fed.
        outputs: the values that a written file gives, by the reference's names.
        assumptions: what the reference takes for granted.
        graph_unused: whether there is a graph, which the user did not want.
        not_run: why the written file is not among the sides; None: it is, or there is none.
    """

    source: str
    network: str
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    assumptions: tuple[str, ...] = ()
    graph_unused: bool = False
    not_run: str | None = None


@dataclass(frozen=True)
class _Found:
    """What the reference and the sides computed, by image size."""

    expected: dict[Size, Values]
    actual: tuple[dict[Size, Values], ...]
    notes: tuple[str, ...]
    tolerances: Mapping[str, float]


def prove(
    subject: Subject,
    reference: Reference,
    sides: Sequence[Side],
    *,
    image_sizes: Iterable[Size] = IMAGE_SIZES,
    batch_size: int = 2,
    seed: int = 0,
    progress: Progress = lambda step: None,
) -> Proof:
    """Runs a reference in float64 and compares every side with it.

    A side in float64 is compared at every value that both have. One in float32 is a written file,
    and is compared at the outputs.

    Args:
        subject: what is proved.
        reference: runs the user's graph, or slim's network.
        sides: at least one; float64 first.
        image_sizes: (height, width) in pixels, where the graph leaves them free.
        batch_size: images at a time, where it is free.
        seed: of the images.
        progress: called with a line for each step.

    Raises:
        CheckpointError: the reference or a side cannot be run; the message says why.
        ProcessLostError: a process was killed, as when memory runs out.
        MissingFrameworkError: a framework that is needed is not installed.
    """
    names = ", ".join(f"{side.target} in {side.dtype}" for side in sides)
    progress(f"running {reference.name}, and {names}")
    image_sizes = tuple(image_sizes)
    fed = batches(subject.inputs, image_sizes, batch_size=batch_size, seed=seed)
    notes: list[str] = []
    try:
        found = _run(reference, sides, fed)
    except GraphRunError as error:
        fed = _possible(reference, subject.inputs, image_sizes, seed, error)
        notes.append(f"the graph does not take images of any size: compared at {_told(fed)}")
        found = _run(reference, sides, fed)
    reports = _reports(subject, reference, sides, found)
    if not all(report.passed for report in reports):
        with reference.start("float32") as base:
            base.run(list(fed.values()))
            rounded = _by_size(fed, base.result())
        reports, said = by_own_rounding(reports, found.expected, rounded)
        notes += said
    return Proof(
        reference=reference.name,
        outputs=subject.outputs,
        reports=tuple(reports),
        assumptions=subject.assumptions,
        graph_unused=subject.graph_unused,
        notes=(*found.notes, *notes),
        not_run=subject.not_run,
    )


def _run(reference: Reference, sides: Sequence[Side], fed: Mapping[Size, Batch]) -> _Found:
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(reference.start("float64"))
        runs = [stack.enter_context(side.start()) for side in sides]
        for run in runs:
            run.run(list(fed.values()))
        base.run(list(fed.values()))
        expected = _by_size(fed, _whole(base.result()))
        actual = [
            {size: _renamed(values, side) for size, values in _by_size(fed, run.result()).items()}
            for side, run in zip(sides, runs, strict=True)
        ]
        return _Found(expected, tuple(actual), base.notes, base.tolerances)


def _by_size(fed: Mapping[Size, Batch], values: Sequence[Values]) -> dict[Size, Values]:
    return dict(zip(fed, values, strict=True))


def _renamed(values: Values, side: Side) -> Values:
    return {side.renamed.get(name, name): value for name, value in values.items()}


def _possible(
    reference: Reference,
    inputs: Sequence[Input],
    wanted: Sequence[Size],
    seed: int,
    error: GraphRunError,
) -> dict[Size, Batch]:
    """Images on which the graph runs: of the wanted sizes, else of the first possible of the usual.

    Some graphs have a batch of one written into them.

    Raises:
        GraphRunError: there are none.
    """
    with reference.start("float64") as base:
        for sizes, most in (((*wanted, *LARGER_SIZES), len(wanted)), (FIXED_SIZES, 1)):
            for batch_size in (2, 1):
                fed = batches(inputs, sizes, batch_size=batch_size, seed=seed)
                runs = ((size, batch) for size, batch in fed.items() if _runs(base, batch))
                found = dict(itertools.islice(runs, most))
                if found:
                    return found
    raise GraphRunError(f"{error}; name the size of its images")


def _told(fed: Mapping[Size, Batch]) -> str:
    return " and ".join(f"{height}x{width}" for height, width in fed)


def _runs(base: Run, batch: Batch) -> bool:
    base.run([batch])
    try:
        _whole(base.result())
    except GraphRunError:
        return False
    return True


def _whole(found: list[Values]) -> list[Values]:
    """The values, none of which is empty: of images that are too small TensorFlow makes nothing.

    Raises:
        GraphRunError: one is.
    """
    for values in found:
        for name, value in values.items():
            if not value.size:
                raise GraphRunError(f"images of this size leave nothing of {name!r}")
    return found


def _reports(
    subject: Subject, reference: Reference, sides: Sequence[Side], found: _Found
) -> list[Report]:
    """A report for each type of numbers, float64 first."""
    compared: dict[str, list[Comparison]] = {}
    for side, actual in zip(sides, found.actual, strict=True):
        is_exact = side.dtype == "float64"
        for size, expected in found.expected.items():
            compared.setdefault(side.dtype, []).extend(
                compare(
                    side.target,
                    size,
                    expected,
                    actual[size],
                    side.dtype,
                    found.tolerances if is_exact else None,
                    None if is_exact else subject.outputs,
                )
            )
    return [
        Report(
            source=subject.source,
            network=subject.network,
            reference=reference.name,
            dtype=dtype,
            tolerance=PARITY[dtype],
            comparisons=tuple(comparisons),
        )
        for dtype, comparisons in compared.items()
    ]
