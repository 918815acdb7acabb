"""A process for each candidate, so that thread pools and peaks of memory do not mix."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import pickle
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

import numpy as np

from converters.benchmark.timing import seconds
from slim_resnet.frameworks import quiet_stderr

# What a candidate is timed by, and what its result is compared by; see `engines`.
Calls = tuple[Callable[[], object], Callable[[], np.ndarray]]


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
        # Not multiprocessing, whose helper process would hold our stderr open for ever.
        self._process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                **(environment or {}),
            },
        )
        self._send((build, job))

    def output(self) -> np.ndarray | None:
        """Waits until the candidate is built; what it computes, None when it has failed.

        Raises:
            ImportError: it needs something that is not installed.
        """
        return self._receive()

    def step(self) -> float:
        """Lets the candidate work once; its seconds, NaN when it has failed."""
        found = self._ask("step")
        return float("nan") if found is None else found

    def peak_memory(self) -> int | None:
        """Bytes of the process's largest resident set since it was built; None: it has failed."""
        return self._ask("peak")

    def stop(self) -> None:
        """Ends the process."""
        self._process.kill()
        with contextlib.suppress(OSError):  # what it has not read is lost
            self._process.communicate()

    def _ask(self, question: str):
        if self.failure:
            return None
        self._send(question)
        return self._receive()

    def _send(self, message) -> None:
        with contextlib.suppress(OSError):  # it has died, which `_receive` tells
            _write(self._process.stdin, message)

    def _receive(self):
        try:
            kind, answer = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError):  # at once, or in the middle of an answer
            kind, answer = "failed", _died(self._process.wait())
        if kind == "missing":
            raise ImportError(answer)
        if kind == "failed":
            self.failure = answer
            return None
        return answer


def _died(code: int) -> str:
    if code == -signal.SIGKILL:
        return "was killed: was there too little memory?"
    return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _write(stream: BinaryIO, message) -> None:
    pickle.dump(message, stream)
    stream.flush()


def serve() -> None:
    """The process: tells what the candidate computes, then answers while it is asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    warnings.simplefilter("ignore")  # of several processes at once
    logging.disable(logging.WARNING)
    questions = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a framework prints is no answer
    build, job = pickle.load(questions)
    known = {"peak": peak_memory}

    def start() -> np.ndarray:
        work, check = build(job)
        known["step"] = partial(seconds, work)
        output = check()
        forget_peak()  # of building
        return output

    with contextlib.suppress(EOFError, BrokenPipeError):  # the parent is gone
        _write(answers, _answer(start))
        while True:
            _write(answers, _answer(known[pickle.load(questions)]))


def _answer(function: Callable) -> tuple[str, object]:
    try:
        with quiet_stderr():
            return "ok", function()
    except ImportError as error:
        return "missing", str(error)
    except Exception as error:  # whatever it is, the other candidates go on
        lines = str(error).strip().splitlines() or [""]
        return "failed", f"{type(error).__name__}: {lines[0]}"


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
