"""Work in processes of its own: fresh interpreters that take calls and give back the results.

Why not `multiprocessing`: no framework survives a fork, a spawned process wants the caller's main
module, and its helper process holds stderr open for ever. A process made here

- imports nothing from the current folder (a `copy.py` that lies there stays unread);
- ends when this process does, however that ends, and takes no Ctrl-C: that is the caller's;
- hands arrays over in shared memory, and errors as what they are.

POSIX only.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from multiprocessing.connection import Connection, Pipe, wait

from slim_resnet import process_calls as calls
from slim_resnet.process_calls import RemoteError

_ROOT = pathlib.Path(__file__).parents[1]
_COMMAND = (
    "import sys; sys.path[:] = sys.argv[4:]; import runpy; "
    "runpy.run_path(sys.argv[1])['serve'](int(sys.argv[2]), sys.argv[3])"
)
# How many threads NumPy, PyTorch, oneDNN and TensorFlow start.
_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
_TRACE = re.compile(r"\s*(@ |\*\*\*|$)")  # what C++ programs say after why they abort


class ProcessLostError(ChildProcessError):
    """A process ended before it answered.

    Attributes:
        code: its exit code; -N where signal N ended it.
    """

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.code = code


def one_line(error: BaseException) -> str:
    """The type of an error, and the first line of what it says; of a `RemoteError`: the other's."""
    text = str(error) if isinstance(error, RemoteError) else calls.typed(error)
    return text.splitlines()[0]


class Process:
    """A fresh interpreter that does what it is told, one call after the other.

    A context manager: its end, or an exception, ends the process.

    Args:
        threads: how many threads its frameworks start, unless the environment says; None: theirs.
        environment: variables that it has besides ours.
        without: packages that cannot be imported there, such as this project's own; functions are
            then loaded from their files, which may import the standard library and frameworks.
        quiet: what it prints stays hidden; the last line is told if it is lost.
        kept_for: what a quiet process is good for once more, such as "tensorflow", which it has
            imported: `kept_processes` says when. "": nothing.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        environment: Mapping[str, str] | None = None,
        without: Collection[str] = (),
        quiet: bool = False,
        kept_for: str = "",
    ) -> None:
        environment = {**_defaults(threads), **os.environ, **(environment or {})}
        kind = (
            (kept_for, tuple(without), *_surroundings(environment)) if kept_for and quiet else None
        )
        self._by_file = bool(without)
        self._is_idle = True
        self._interpreter = _kept.taken(kind) or _Interpreter(without, environment, quiet, kind)

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def pipe(self) -> Connection:
        return self._interpreter.pipe

    @property
    def pid(self) -> int:
        return self._interpreter.pid

    @property
    def alive(self) -> bool:
        return self._interpreter.code is None

    def submit(self, function: Callable, *args, **options) -> None:
        """Begins a call; `result` waits for it.

        Args:
            function: at the top level of a module.
            *args: what can be pickled, as well as `options` and what the function returns.
        """
        by_file = self._by_file or function.__module__ == "__main__"
        module = None if by_file else function.__module__
        where = (module, inspect.getfile(function), function.__name__)
        message = calls.encoded((where, args, options))
        self._is_idle = False
        with contextlib.suppress(OSError):  # it is lost: `result` will say so
            calls.put(self.pipe, *message)

    def result(self):
        """Waits for what the call returns.

        Raises:
            ProcessLostError: the process was killed, or crashed.
            Exception: what the function raised; `RemoteError` where that cannot be had here.
        """
        try:
            message = calls.taken(self.pipe)
        except (EOFError, OSError):
            raise self._interpreter.lost() from None
        self._is_idle = True
        succeeded, value = calls.decoded(*message)
        if not succeeded:
            raise calls.error_of(*value)
        return value

    def call(self, function: Callable, *args, **options):
        """`submit` and `result`."""
        self.submit(function, *args, **options)
        return self.result()

    def terminate(self) -> None:
        """Lets the process end, its `finally` blocks first; `stop` waits for that."""
        self._is_idle = False
        self._interpreter.terminate()

    def stop(self, patience: float = 0.0) -> None:
        """Ends the process, unless it is kept.

        Args:
            patience: seconds that its `finally` blocks may take; 0: it is killed.
        """
        if not (self._is_idle and self.alive and _kept.keep(self._interpreter)):
            self._interpreter.end(patience)


class _Interpreter:
    """A running interpreter, and the pipe to it.

    Attributes:
        pipe: to it.
        kind: what makes two of them alike; None: it is not to be kept.
    """

    def __init__(
        self,
        without: Collection[str],
        environment: Mapping[str, str],
        quiet: bool,
        kind: tuple | None,
    ) -> None:
        self.kind = kind
        self._log = tempfile.TemporaryFile() if quiet else None  # noqa: SIM115
        self.pipe, theirs = Pipe()
        with theirs:  # so that ours ends with the process
            fd = theirs.fileno()
            told = [calls.__file__, str(fd), ",".join(without), *_paths()]
            self._popen = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, *told],
                stdin=subprocess.PIPE,  # its end tells the process that we are gone
                stderr=self._log,
                pass_fds=[fd],
                env=environment,
                start_new_session=True,  # Ctrl-C is for us alone
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None: it runs."""
        return self._popen.poll()

    def terminate(self) -> None:
        self._popen.terminate()

    def end(self, patience: float = 0.0) -> None:
        self.pipe.close()
        if patience and self.code is None:
            self.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(patience)
        self._popen.kill()
        self._popen.wait()
        self._popen.stdin.close()
        if self._log:
            self._log.close()

    def forget(self) -> None:
        """Drops what it has printed."""
        if self._log:
            self._log.seek(0)
            self._log.truncate()

    def lost(self) -> ProcessLostError:
        code = self._popen.wait()
        if code == -signal.SIGKILL:
            reason = "was killed (SIGKILL), as when memory runs out"
        elif code < 0:
            reason = f"was ended by {signal.Signals(-code).name}{self._last_words()}"
        else:
            reason = f"ended with exit code {code}{self._last_words()}"
        return ProcessLostError(f"a process {reason}", code)

    def _last_words(self) -> str:
        if not self._log:
            return ""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        lines = [line.strip() for line in lines if not _TRACE.match(line)]
        return f": {lines[-1]}" if lines else ""


class _Kept:
    """Interpreters that wait for more of what they did; the longest unused is ended first."""

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit
        self._waiting: list[_Interpreter] = []
        self._lock = threading.Lock()

    def taken(self, kind: tuple | None) -> _Interpreter | None:
        """One of a kind that waits, which is the caller's then."""
        with self._lock:
            found = [each for each in self._waiting if each.kind == kind]
            for each in reversed(found):
                self._waiting.remove(each)
                if each.code is None:
                    each.forget()
                    return each
                each.end()
        return None

    def keep(self, interpreter: _Interpreter) -> bool:
        """Whether it is kept; otherwise it is still the caller's."""
        if not self.limit or interpreter.kind is None:
            return False
        with self._lock:
            self._waiting.append(interpreter)
            while len(self._waiting) > self.limit:
                self._waiting.pop(0).end()
        return True

    def end(self) -> None:
        with self._lock:
            while self._waiting:
                self._waiting.pop().end()


_kept = _Kept()


@contextlib.contextmanager
def kept_processes(limit: int = 4) -> Iterator[None]:
    """Inside, processes are used again, so that what they import is imported once.

    A process that was made to be `kept_for` something, and has nothing to do, waits for the next of
    its kind instead of ending: with the same packages, environment and current folder. It is no
    fresh one then: it has done what it did. All of them end with the block.

    Args:
        limit: how many may wait at a time; each holds the memory of its frameworks.
    """
    global _kept
    outer, _kept = _kept, _Kept(limit)
    try:
        yield
    finally:
        _kept.end()
        _kept = outer


def keep_processes(limit: int = 4) -> None:
    """`kept_processes`, until this process ends."""
    _kept.limit = limit


def ready(processes: Iterable[Process], timeout: float | None = None) -> list[Process]:
    """Waits until a process has an answer, or is lost; those that have, or are.

    Args:
        processes: with a call each.
        timeout: seconds to wait; None: for ever.
    """
    by_pipe = {process.pipe: process for process in processes}
    return [by_pipe[pipe] for pipe in wait(list(by_pipe), timeout)]


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _paths() -> list[str]:
    """Where modules are sought: as here, but for the current folder."""
    root, current = str(_ROOT), _folder()
    paths = [path for path in sys.path if path and (path == root or path != current)]
    return paths if root in paths else [*paths, root]


def _folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed
        return None


def _surroundings(environment: Mapping[str, str]) -> tuple:
    """What a process has from where it is started, but for the name of the test that runs."""
    named = (item for item in environment.items() if item[0] != "PYTEST_CURRENT_TEST")
    return tuple(sorted(named)), tuple(_paths()), _folder()


def _defaults(threads: int | None) -> dict[str, str]:
    return {} if threads is None else dict.fromkeys(_THREADS, str(threads))
