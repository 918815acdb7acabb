"""Processes that convert, each one model at a time.

A process of one's own for every worker bounds the memory by workers x one model, and lets a model
that takes too much of it fail alone.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from converters.batch.jobs import Job, Settings, attempt, failed
from converters.conversion import Outcome
from slim_resnet.files import remove_stale

# A new interpreter, not a fork: no framework survives that. Ours, not `multiprocessing`'s, as that
# wants the caller's main module, and leaves a helper that holds stderr open.
_COMMAND = "import sys; from converters.batch import workers; workers.work(int(sys.argv[1]))"
_ROOT = pathlib.Path(__file__).parents[2]
# How many threads NumPy, PyTorch, oneDNN and TensorFlow start.
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_PATIENCE = 3  # seconds for a worker that is told to stop


def convert_all(
    jobs: Sequence[Job],
    settings: Settings,
    processes: int,
    *,
    started: Callable[[Job], None] = lambda job: None,
) -> Iterator[tuple[Job, Outcome]]:
    """Converts every job, whatever becomes of the others.

    The cores are shared out evenly, unless the environment sets the numbers of threads. Closing the
    iterator, or an exception while it waits (Ctrl-C), ends the processes; what they were at is
    whole or not there.

    Args:
        jobs: from `plan`.
        settings: how to convert them.
        processes: how many at a time, at least 1.
        started: called with each job as it begins.

    Yields:
        Every job and its outcome, as they come. A process that dies is its job's failure.

    Raises:
        ValueError: no processes.
    """
    if processes < 1:
        raise ValueError(f"{processes} processes convert nothing: give at least 1 (--jobs)")
    waiting = list(reversed(jobs))
    count = min(processes, len(jobs))
    threads = max(1, _cores() // max(count, 1))
    workers: list[_Worker] = []
    try:
        while True:
            busy = [worker for worker in workers if worker.job]
            if waiting and len(busy) < count:
                with _uninterrupted():  # or nobody would end a process that has just begun
                    worker = next((w for w in workers if not w.job and w.alive), None)
                    if worker is None:
                        worker = _Worker(settings, threads)
                        workers.append(worker)
                worker.give(waiting.pop())
                started(worker.job)
            elif busy:
                ready = wait([worker.pipe for worker in busy])
                for worker in busy:
                    if worker.pipe in ready:
                        yield worker.job, worker.take()
            else:
                return
    finally:
        with _uninterrupted():
            for worker in workers:
                worker.tell_to_stop()
            for worker in workers:
                worker.stop()


class _Worker:
    """A process that converts, and the job that it is at."""

    def __init__(self, settings: Settings, threads: int):
        self.job: Job | None = None
        self._start = 0.0
        self.pipe, theirs = Pipe()
        fd = theirs.fileno()
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _COMMAND, str(fd)],
            pass_fds=[fd],
            env=_environment(threads),
            start_new_session=True,  # Ctrl-C is for us alone
        )
        theirs.close()  # so that ours ends with the process
        self._send(settings)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def give(self, job: Job) -> None:
        self.job, self._start = job, time.perf_counter()
        self._send(job)

    def _send(self, value: object) -> None:
        with contextlib.suppress(OSError):  # it is dead: `take` will say so
            self.pipe.send(value)

    def take(self) -> Outcome:
        """Waits for the outcome of the job."""
        try:
            outcome = self.pipe.recv()
        except (EOFError, OSError):
            outcome = self._died()
        self.job = None
        return outcome

    def _died(self) -> Outcome:
        error = _cause(self.process.wait())
        _clean(self.job)
        return failed(self.job, error, time.perf_counter() - self._start)

    def tell_to_stop(self) -> None:
        self.pipe.close()  # which is enough for an idle one
        if self.job:
            self.process.terminate()

    def stop(self) -> None:
        """Waits for the process to end, but not long; nothing of unfinished work is left."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_PATIENCE)
        self.process.kill()
        self.process.wait()
        _clean(self.job)


def work(fd: int) -> None:
    """A worker's process: takes settings, then jobs, through a pipe until that is closed."""
    signal.signal(signal.SIGTERM, _leave)
    pipe = Connection(fd)
    with contextlib.suppress(EOFError, OSError):
        settings = pipe.recv()
        while True:
            pipe.send(attempt(pipe.recv(), settings))
            gc.collect()  # Keras's models hold on to themselves


def _leave(*_) -> None:
    """Ends the process so that its temporary files are removed."""
    sys.stderr = None  # where this strikes in a callback, Python would say so, and go on
    sys.exit(1)


def _clean(job: Job | None) -> None:
    """Removes what a dead process left of a job."""
    with contextlib.suppress(OSError):
        if job is not None:
            remove_stale(os.path.dirname(os.path.abspath(job.output)))


def _cause(exit_code: int) -> str:
    """Why a process ended in the middle of its work."""
    if exit_code == -signal.SIGKILL:
        return "its process was killed (SIGKILL), as when memory runs out: use fewer --jobs"
    if exit_code < 0:
        return f"its process was ended by {signal.Signals(-exit_code).name}"
    return f"its process ended with exit code {exit_code}"


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Lets Ctrl-C wait until the block ends."""
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    came = []
    before = signal.signal(signal.SIGINT, lambda *args: came.append(args))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came and callable(before):
            before(*came[0])


def _environment(threads: int) -> dict[str, str]:
    """Ours for a worker: it finds this package, and starts so many threads if nobody says else."""
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **dict.fromkeys(_THREADS, str(threads)),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
