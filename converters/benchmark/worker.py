"""A process for each candidate, so that thread pools and peaks of memory do not mix."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import signal
import sys
import warnings
from collections.abc import Callable

import numpy as np

from converters.benchmark.timing import seconds
from slim_resnet.frameworks import quiet_stderr
from slim_resnet.processes import Process, ProcessLostError, one_line

# What a candidate is timed by, and what its result is compared by; see `engines`.
Calls = tuple[Callable[[], object], Callable[[], np.ndarray]]

# In a worker's process: what the candidate is timed by.
_work: Callable[[], object] | None = None


class Worker:
    """A candidate in a process of its own, which works only when it is told to.

    Building begins at once, so that several workers build side by side.

    Args:
        build: a function of a module: job -> `Calls`; it runs in the process.
        job: what it is given; both are pickled.
        environment: variables that the process has besides ours.

    Attributes:
        failure: why it has no more answers, one sentence; None while it has.
    """

    def __init__(self, build: Callable[..., Calls], job, environment: dict[str, str] | None = None):
        self.failure: str | None = None
        self._process = Process(environment=environment)
        self._process.submit(_build, build, job)

    def output(self) -> np.ndarray | None:
        """Waits until the candidate is built; what it computes, None when it has failed.

        Raises:
            ImportError: it needs something that is not installed.
        """
        return self._result()

    def step(self) -> float:
        """Lets the candidate work once; its seconds, NaN when it has failed."""
        found = self._call(_step)
        return float("nan") if found is None else found

    def peak_memory(self) -> int | None:
        """Bytes of the process's largest resident set since it was built; None: it has failed."""
        return self._call(peak_memory)

    def stop(self) -> None:
        """Ends the process."""
        self._process.stop()

    def _call(self, function: Callable):
        if self.failure:
            return None
        self._process.submit(function)
        return self._result()

    def _result(self):
        try:
            return self._process.result()
        except ImportError:
            raise
        except ProcessLostError as error:
            self.failure = _told(error)
        except Exception as error:  # whatever it is, the other candidates go on
            self.failure = one_line(error)
        return None


def _told(error: ProcessLostError) -> str:
    killed = error.code == -signal.SIGKILL
    return "was killed: was there too little memory?" if killed else str(error)


def _build(build: Callable[..., Calls], job) -> np.ndarray:
    """Makes this process a candidate's; what that computes."""
    global _work
    warnings.simplefilter("ignore")  # of several processes at once
    logging.disable(logging.WARNING)
    with quiet_stderr():
        _work, check = build(job)
        output = check()
    forget_peak()  # of building
    return output


def _step() -> float:
    with quiet_stderr():
        return seconds(_work)


def forget_peak() -> None:
    """Lets `peak_memory` begin anew, where the system can do that, without what is free again."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_memory() -> int:
    """Bytes of the largest resident set of this process since `forget_peak`, or its start."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            (line,) = (line for line in lines if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except OSError:  # not Linux
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
