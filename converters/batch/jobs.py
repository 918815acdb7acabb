"""One checkpoint opened, proved and written, and what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from converters.formats import export
from converters.formats import library_files as exchange_files
from converters.models.resume import Recipe
from converters.proof.verification import Report, verify
from converters.recognise.checkpoint import SlimCheckpoint, load_checkpoint
from slim_resnet.files import atomic_path, check_target

LeftOut = tuple[tuple[str, tuple[str, ...]], ...]

# What of `Settings.network` other libraries' weights have.
_OF_WEIGHTS = ("arch", "convention", "scope")


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
        target: one of `export.targets()`.
        library: whose weights the sources hold: "slim", or a key of `exchange.LIBRARIES`.
        network: keywords of `load_checkpoint`.
        verified: whether to prove the conversion before anything is written.
        recipe: with which the optimizer goes along; None: it does not.
        fold: whether batch norms go into the convolutions before them.
    """

    target: str
    library: str = "slim"
    network: Mapping[str, object] = field(default_factory=dict)
    verified: bool = True
    recipe: Recipe | None = None
    fold: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        job: the job.
        network: the name of the network; "" when it was not recognised.
        notes: of how the source was read, a sentence each.
        left_out: (kind, names) of the variables that were not written.
        reports: of the verification, in float64 first.
        error: why nothing was written; "" when it was.
        seconds: how long it took.
    """

    job: Job
    network: str = ""
    notes: tuple[str, ...] = ()
    left_out: LeftOut = ()
    reports: tuple[Report, ...] = ()
    error: str = ""
    seconds: float = 0.0

    @property
    def difference(self) -> float | None:
        """The largest relative difference in float64; None: not verified."""
        return self.reports[0].max_rel_error if self.reports else None

    def write_report(self) -> None:
        """Writes everything as JSON to the job's report, if one is wanted."""
        if self.job.report is None:
            return
        value = {
            "source": self.job.source,
            "output": None if self.error else self.job.output,
            "network": self.network,
            "error": self.error,
            "seconds": round(self.seconds, 3),
            "notes": self.notes,
            "left_out": dict(self.left_out),
            **{report.dtype: report.to_dict() for report in self.reports},
        }
        with atomic_path(self.job.report) as path:
            path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def convert(
    job: Job,
    settings: Settings,
    *,
    opened: Callable[[SlimCheckpoint, LeftOut], None] = lambda ckpt, left_out: None,
    progress: Callable[[str], None] = lambda step: None,
) -> Outcome:
    """Converts one source; what is not verified is not written.

    Args:
        job: what to convert.
        settings: how.
        opened: called with the checkpoint and what will be left out of it.
        progress: called with a line for each step.

    Returns:
        What came of it; its `error` tells of a failed verification.

    Raises:
        ValueError, OSError, ImportError: the input is bad, the file cannot be written, or a
            framework is missing. Nothing is written then.
    """
    start = time.perf_counter()
    write = export.writer(settings.target, job.output, settings.recipe, fold=settings.fold)
    if job.report is not None:
        check_target(job.report)
    ckpt = _load(job.source, settings)
    left_out = tuple((kind, tuple(names)) for kind, names in write.left_out(ckpt))
    opened(ckpt, left_out)
    reports = _proof(ckpt, settings.target, progress) if settings.verified else ()
    error = _verdict(reports)
    if not error:
        progress(f"writing {job.output}")
        write(ckpt)
    seconds = time.perf_counter() - start
    outcome = Outcome(job, ckpt.arch.name, tuple(ckpt.notes), left_out, reports, error, seconds)
    outcome.write_report()
    return outcome


def attempt(job: Job, settings: Settings) -> Outcome:
    """`convert`, with everything that goes wrong as the outcome's `error`."""
    start = time.perf_counter()
    try:
        return convert(job, settings)
    except (ValueError, OSError, ImportError) as error:
        reason = str(error)
    except Exception as error:  # a fault of ours, or of a framework's, must not stop the others
        reason = f"{type(error).__name__}: {error}"
    outcome = Outcome(job, error=reason, seconds=time.perf_counter() - start)
    return reported(outcome)


def reported(outcome: Outcome) -> Outcome:
    """Writes the report on a failure; that it cannot be written becomes part of the error."""
    try:
        outcome.write_report()
    except OSError as error:
        return replace(outcome, error=f"{outcome.error}; no report: {error}")
    return outcome


def _load(source: str, settings: Settings) -> SlimCheckpoint:
    if settings.library == "slim":
        return load_checkpoint(source, **settings.network)
    given = {name: settings.network[name] for name in _OF_WEIGHTS if name in settings.network}
    return exchange_files.load_weights(source, settings.library, **given)


def _proof(
    ckpt: SlimCheckpoint, target: str, progress: Callable[[str], None]
) -> tuple[Report, ...]:
    """float64 decides; float32 is what users will run, and is reported."""
    ckpt.check_sums()
    # All but Keras's files hold what our torch module computes.
    model = "keras" if target == "keras" else "torch"
    return tuple(
        verify(ckpt, [model], dtype, progress=progress) for dtype in ("float64", "float32")
    )


def _verdict(reports: tuple[Report, ...]) -> str:
    """What is wrong by the float64 report, "" for nothing."""
    first = reports[0].first_divergence if reports else None
    if first is None:
        return ""
    return (
        f"verification failed: {first.end_point} is the first end point that differs, by "
        f"{first.max_rel_error:.1e} at {first.image_size}; nothing written"
    )
