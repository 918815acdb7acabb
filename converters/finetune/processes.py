"""Several processes that train one network together: `torch.distributed`, backend gloo."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Sequence

from slim_resnet.frameworks import require
from slim_resnet.processes import Process, ProcessLostError, one_line, ready
from slim_resnet.training.placement import ALONE, Placement

torch = require("torch")
dist = torch.distributed

_GRACE = 30.0  # seconds for a failed process to tell why


def is_first() -> bool:
    """Whether this process is the one that evaluates, prints and writes; only torchrun's differ."""
    return not _under_torchrun() or os.environ["RANK"] == "0"


def world_size(processes: int) -> int:
    """How many processes train, if this one is to start `processes` with itself.

    Raises:
        ValueError: less than one; or several under torchrun, which has started them already.
    """
    if processes < 1:
        raise ValueError(f"{processes} processes cannot train: say 1 or more")
    if not _under_torchrun():
        return processes
    if processes > 1:
        raise ValueError("torchrun has started the processes already: leave --processes out")
    return int(os.environ["WORLD_SIZE"])


def _under_torchrun() -> bool:
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


@contextlib.contextmanager
def launched(processes: int, work: Callable, *args) -> Iterator[Placement]:
    """Yields the place of this process among those that train.

    This process is the first. The others are started here, call `work(*args, placement)` and end.
    Under torchrun nothing is started: the processes are there, and all come this way.

    Args:
        processes: how many, with this one.
        work: a function at the top level of a module, so that it can be pickled.
        *args: what can be pickled.

    Raises:
        ValueError: as `world_size`.
        ProcessLostError: another process failed or was killed.
    """
    size = world_size(processes)
    if _under_torchrun():
        with _group("env://", int(os.environ["RANK"]), size) as placement:
            yield placement
    elif size == 1:
        yield ALONE
    else:
        with _started(size, work, args) as placement:
            yield placement


@contextlib.contextmanager
def _started(size: int, work: Callable, args: tuple) -> Iterator[Placement]:
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        rendezvous = pathlib.Path(folder, "rendezvous").as_uri()
        others = [stack.enter_context(Process(quiet=True)) for _ in range(1, size)]
        for other in others:
            other.submit(_prepare, max(1, threads // size), work, args)
        _check(others)  # or we would wait at the rendezvous for those that never come
        for rank, other in enumerate(others, 1):
            other.submit(_join, rendezvous, rank, size, work, args)
        stack.callback(torch.set_num_threads, threads)
        torch.set_num_threads(max(1, threads // size))
        with _failures_told(others), _group(rendezvous, 0, size) as placement:
            yield placement
        _check(others)


def _prepare(threads: int, work: Callable, args: tuple) -> None:
    """Shows in another process that it has PyTorch, and knows what `work` and `args` are."""
    torch.set_num_threads(threads)


def _join(rendezvous: str, rank: int, size: int, work: Callable, args: tuple) -> None:
    """What another process does: joins the group and works."""
    with _group(rendezvous, rank, size) as placement:
        work(*args, placement)


@contextlib.contextmanager
def _failures_told(others: Sequence[Process]) -> Iterator[None]:
    """Gives the reason where others have failed: gloo's own errors say little of what happened."""
    try:
        yield
    except RuntimeError as error:
        _check(others, _GRACE, error)
        raise


def _check(
    others: Sequence[Process], timeout: float | None = None, cause: Exception | None = None
) -> None:
    """Waits for what the others do.

    Args:
        others: with a call each.
        timeout: seconds to wait for each; None: for ever.
        cause: by which a failure here was noticed.

    Raises:
        ProcessLostError: one of them has failed.
    """
    failures = [error for other in others if (error := _failure(other, timeout))]
    if failures:  # one that was killed first: the rest failed for want of it
        first = min(failures, key=lambda error: not isinstance(error, ProcessLostError))
        reason = str(first) if isinstance(first, ProcessLostError) else one_line(first)
        raise ProcessLostError(
            f"a process of the training was lost, and nothing is written: {reason}"
        ) from (cause or first)


def _failure(other: Process, timeout: float | None) -> Exception | None:
    """What its call raises; None where that succeeds, or is not over in time."""
    if ready([other], timeout):
        try:
            other.result()
        except Exception as error:
            return error
    return None


@contextlib.contextmanager
def _group(rendezvous: str, rank: int, size: int) -> Iterator[Placement]:
    """Membership in the group of processes that find each other there."""
    dist.init_process_group("gloo", rendezvous, world_size=size, rank=rank)
    try:
        yield Placement(is_chief=rank == 0, worker=rank, num_workers=size)
    finally:
        dist.destroy_process_group()
