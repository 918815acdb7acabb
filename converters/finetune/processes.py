"""Several processes that train one network together: `torch.distributed`, backend gloo."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

from slim_resnet.frameworks import require
from slim_resnet.training.placement import ALONE, Placement

torch = require("torch")
dist = torch.distributed

# Not multiprocessing, whose helper process would hold our stderr open for ever.
_COMMAND = "from converters.finetune import processes; processes.join()"
_GRACE = 30.0  # seconds for a failed process to tell why


class ProcessLostError(ChildProcessError):
    """One of the processes ended before the training did."""


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
    all_threads = torch.get_num_threads()
    threads = max(1, all_threads // size)
    with tempfile.TemporaryDirectory() as folder:
        meeting = pathlib.Path(folder, "meeting").as_uri()
        others = []
        try:
            for rank in range(1, size):
                log = pathlib.Path(folder, f"{rank}.log")
                others.append(_Other(log, (meeting, rank, size, threads, work, args)))
            if not all(other.starts() for other in others):
                _check(others, _GRACE)
            torch.set_num_threads(threads)
            with contextlib.ExitStack() as group:
                try:
                    yield group.enter_context(_group(meeting, 0, size))
                except RuntimeError as error:  # gloo's: it says little of what happened
                    _check(others, _GRACE, error)
                    raise
            _check(others)
        finally:
            torch.set_num_threads(all_threads)
            for other in others:
                other.process.kill()
                other.process.wait()


class _Other:
    """Another process, started here; what it prints goes into a file."""

    def __init__(self, log: pathlib.Path, task: tuple):
        self.log = log
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        content = pickle.dumps(task)
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _COMMAND],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, env=environment,
            )  # fmt: skip
        with contextlib.suppress(BrokenPipeError), self.process.stdin as pipe:
            pipe.write(content)

    def starts(self) -> bool:
        """Waits until it has understood its task; False: it has not, and has ended."""
        with self.process.stdout as pipe:
            return bool(pipe.read(1))

    def code(self, patience: float | None) -> int:
        """Its exit code; 0 while it lives on."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        return self.process.returncode or 0

    @property
    def reason(self) -> str:
        """Why it failed: the last line of a traceback is the error itself."""
        code = self.process.returncode
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else (lines or ["?"])[-1]


def _check(
    others: list[_Other], patience: float | None = None, cause: Exception | None = None
) -> None:
    """Waits for the others to end; a failed one is an error."""
    failed = [other for other in others if other.code(patience)]
    if failed:  # one that was killed first: the rest failed for want of it
        first = min(failed, key=lambda other: other.code(0))
        raise ProcessLostError(
            f"a process of the training was lost, and nothing is written: {first.reason}"
        ) from cause


def join() -> None:
    """What a started process does: joins the others, works and ends."""
    meeting, rank, size, threads, work, args = pickle.load(sys.stdin.buffer)
    os.write(1, b"!")  # see `_Other.starts`
    os.dup2(2, 1)
    torch.set_num_threads(threads)
    with _group(meeting, rank, size) as placement:
        work(*args, placement)


@contextlib.contextmanager
def _group(meeting: str, rank: int, size: int) -> Iterator[Placement]:
    """Membership in the group of processes that meet there."""
    dist.init_process_group("gloo", meeting, world_size=size, rank=rank)
    try:
        yield Placement(is_chief=rank == 0, worker=rank, num_workers=size)
    finally:
        dist.destroy_process_group()
