"""Processes that convert, each one model at a time.

A process of one's own for every worker bounds the memory by workers x one model, and lets a model
that takes too much of it fail alone.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from converters.batch.jobs import Job, Settings, attempt, failed
from converters.conversion import Outcome
from slim_resnet.files import remove_stale
from slim_resnet.processes import Process, ProcessLostError, cores, keep_processes, ready

_ENVIRONMENT = {"PYTHONWARNINGS": "ignore"}  # several frameworks' at once
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
    threads = max(1, cores() // max(count, 1))
    workers: list[_Worker] = []
    try:
        while True:
            busy = [worker for worker in workers if worker.job]
            if waiting and len(busy) < count:
                with _uninterrupted():  # or nobody would end a process that has just begun
                    worker = next((w for w in workers if not w.job and w.process.alive), None)
                    if worker is None:
                        worker = _Worker(settings, threads)
                        workers.append(worker)
                worker.give(waiting.pop())
                started(worker.job)
            elif busy:
                answered = ready(worker.process for worker in busy)
                for worker in busy:
                    if worker.process in answered:
                        yield worker.job, worker.take()
            else:
                return
    finally:
        with _uninterrupted():
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                worker.stop()


class _Worker:
    """A process that converts, and the job that it is at."""

    def __init__(self, settings: Settings, threads: int):
        self.job: Job | None = None
        self._start = 0.0
        self._settings = settings
        self.process = Process(threads=threads, environment=_ENVIRONMENT)

    def give(self, job: Job) -> None:
        self.job, self._start = job, time.perf_counter()
        self.process.submit(_convert, job, self._settings)

    def take(self) -> Outcome:
        """Waits for the outcome of the job."""
        try:
            outcome = self.process.result()
        except ProcessLostError as error:
            outcome = self._lost(error)
        self.job = None
        return outcome

    def _lost(self, error: ProcessLostError) -> Outcome:
        _clean(self.job)
        remedy = ": use fewer --jobs" if error.code == -signal.SIGKILL else ""
        return failed(self.job, f"{error}{remedy}", time.perf_counter() - self._start)

    def stop(self) -> None:
        """Waits for the process to end, but not long; nothing of unfinished work is left."""
        self.process.stop(_PATIENCE if self.job else 0)
        _clean(self.job)


def _convert(job: Job, settings: Settings) -> Outcome:
    """What a process does with a job; those that it starts serve the next, too."""
    keep_processes()
    try:
        return attempt(job, settings)
    finally:
        gc.collect()  # Keras's models hold on to themselves


def _clean(job: Job | None) -> None:
    """Removes what a dead process left of a job."""
    with contextlib.suppress(OSError):
        if job is not None:
            remove_stale(os.path.dirname(os.path.abspath(job.output)))


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
