"""Candidates side by side: each in its process, in turns, compared before it is timed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from converters.benchmark import engines
from converters.benchmark.jobs import Job
from converters.benchmark.operation_counts import FORWARD
from converters.benchmark.timing import WARM_UP, ratios, take_turns
from converters.benchmark.worker import Worker

# How far logits may be apart: the largest difference over the largest value. Deep networks and
# other summation orders are in it; a wrong stride or padding is ten times beyond.
BOUNDS = {"float32": 1e-3, "float64": 1e-9, "bfloat16": 0.1}


@dataclass(frozen=True)
class Result:
    """What was measured of a candidate.

    Attributes:
        job: the candidate.
        seconds: of every round that counts; empty when it failed.
        ratios: quartiles of its time over the reference's, round by round; None when it failed.
        peak_bytes: the largest resident set of its process while it ran, frameworks included.
        difference: of its logits (in training: of its gradients' norm) from the reference's.
        failure: why there is nothing to tell, one sentence.
    """

    job: Job
    seconds: tuple[float, ...] = ()
    ratios: tuple[float, ...] | None = None
    peak_bytes: int | None = None
    difference: float | None = None
    failure: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether it computes what the reference does, as far as its dtype can tell.

        Only logits are judged: in training, batch norms over few values leave no digit certain.
        """
        return self.job.work != FORWARD or self.difference <= BOUNDS[self.job.dtype]

    @property
    def mean(self) -> float:
        """Seconds for a batch."""
        return float(np.mean(self.seconds))

    @property
    def sd(self) -> float:
        """Standard deviation of a batch's seconds."""
        return float(np.std(self.seconds))

    @property
    def images_per_second(self) -> float:
        return self.job.batch_size / self.mean

    @property
    def gflops(self) -> float:
        """Achieved 1e9 floating point operations a second, by `flops.flops`."""
        return self.job.flops / self.mean / 1e9


def compare(
    jobs: Sequence[Job],
    *,
    rounds: int,
    threads: int,
    warm_up: int = WARM_UP,
    ratio_to: str | None = None,
    report: Callable[[str], None] = lambda step: None,
) -> list[Result]:
    """Times all jobs in turns.

    Args:
        jobs: from `plan`.
        rounds: batches that count, of each.
        threads: of each candidate; only one works at a time.
        warm_up: batches before them.
        ratio_to: the label of the job that ratios are to; None, or where there is no such or it
            fails: the first.
        report: is told what is being done.

    Returns:
        A result for each job, in order.

    Raises:
        ImportError: a package is not installed.
    """
    with contextlib.ExitStack() as stack:
        workers = {}
        for job in jobs:
            workers[job] = Worker(engines.build, job, engines.environment(threads))
            stack.callback(workers[job].stop)
        outputs = {}
        for job, worker in workers.items():
            report(f"{job.work}: building {job.label}")
            outputs[job] = worker.output()
        seconds = take_turns(
            {job: worker.step for job, worker in workers.items()},
            rounds,
            warm_up,
            lambda done: report(f"{jobs[0].work}: round {done} of {warm_up + rounds}"),
        )
        peaks = {job: worker.peak_memory() for job, worker in workers.items()}
    alive = [job for job in jobs if not workers[job].failure]
    reference = next((job for job in alive if job.label == ratio_to), alive[0] if alive else None)
    return [
        Result(
            job,
            seconds=tuple(seconds[job]),
            ratios=tuple(ratios(seconds[job], seconds[reference])),
            peak_bytes=peaks[job],
            difference=difference(outputs[job], outputs[reference]),
        )
        if job in alive
        else Result(job, failure=workers[job].failure)
        for job in jobs
    ]


def find(jobs: Sequence[Job], name: str) -> Job:
    """The job of this label, or else the first on this engine.

    Raises:
        ValueError: there is none.
    """
    for attribute in ("label", "engine"):
        for job in jobs:
            if getattr(job, attribute) == name:
                return job
    labels = ", ".join(repr(job.label) for job in jobs)
    raise ValueError(f"no candidate is called {name!r}: use one of {labels}")


def difference(output: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the largest value; NaN where a value is."""
    return float(np.abs(output - expected).max() / np.abs(expected).max())
