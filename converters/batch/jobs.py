"""What several conversions have in common, and one of them that must not stop the others."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from converters.conversion import Outcome, convert
from converters.models.resume import Recipe


@dataclass(frozen=True)
class Job:
    """A source, the file to write, and the report on it, if one is wanted."""

    source: str
    output: str
    report: str | None = None


@dataclass(frozen=True)
class Settings:
    """What the conversions of several sources have in common.

    Attributes:
        target: one of `formats.targets()`.
        library: whose weights the sources hold: "slim", or a key of `libraries.LIBRARIES`.
        network: keywords of `load_checkpoint`.
        verified: whether to prove the conversion before anything is published.
        recipe: with which the optimizer goes along; None: it does not.
        fold: whether batch norms go into the convolutions before them.
        overwrite: whether older outputs and reports may be replaced.
    """

    target: str
    library: str = "slim"
    network: Mapping[str, object] = field(default_factory=dict)
    verified: bool = True
    recipe: Recipe | None = None
    fold: bool = False
    overwrite: bool = False


def run(job: Job, settings: Settings, **callbacks) -> Outcome:
    """`converters.convert` for one job.

    Args:
        job: what to convert.
        settings: how.
        **callbacks: `opened` and `progress` of `converters.convert`.
    """
    return convert(
        job.source,
        job.output,
        settings.target,
        library=settings.library,
        verified=settings.verified,
        recipe=settings.recipe,
        fold=settings.fold,
        report=job.report,
        overwrite=settings.overwrite,
        **callbacks,
        **settings.network,
    )


def attempt(job: Job, settings: Settings) -> Outcome:
    """`run`, with everything that goes wrong as the outcome's `error`."""
    start = time.perf_counter()
    try:
        return run(job, settings)
    except (ValueError, OSError, ImportError) as error:
        reason = str(error)
    except Exception as error:  # a fault of ours, or of a framework's, must not stop the others
        reason = f"{type(error).__name__}: {error}"
    return failed(job, reason, time.perf_counter() - start)


def failed(job: Job, reason: str, seconds: float) -> Outcome:
    """The outcome of a job that failed, its report written; that it cannot be is in the error."""
    outcome = Outcome(job.source, job.output, error=reason, seconds=seconds)
    if job.report is None:
        return outcome
    try:
        outcome.write_report(job.report)
    except OSError as error:
        return replace(outcome, error=f"{reason}; no report: {error}")
    return outcome
