"""Work in processes of its own: fresh interpreters that take calls and give back the results.

Why not `multiprocessing`: no framework survives a fork, a spawned process wants the caller's main
module, and its helper process holds stderr open for ever. A process made here

- imports nothing from the current folder (a `copy.py` that lies there stays unread);
- ends when this process does, however that ends, and takes no Ctrl-C: that is the caller's;
- hands arrays over in shared memory, and errors as what they are.

POSIX only. Imports the standard library alone, as it also runs where this project must be absent.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import io
import mmap
import os
import pathlib
import pickle
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from types import ModuleType

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
_SHARED = 1 << 16  # bytes from which an array goes through shared memory
_ALIGNMENT = 64  # bytes
_TRACE = re.compile(r"\s*(@ |\*\*\*|$)")  # what C++ programs say after why they abort


class ProcessLostError(ChildProcessError):
    """A process ended before it answered.

    Attributes:
        code: its exit code; -N where signal N ended it.
    """

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.code = code


class RemoteError(RuntimeError):
    """An error that another process met, of a type that is not loaded here; its text names it."""


def one_line(error: BaseException) -> str:
    """The type of an error, and the first line of what it says; of a `RemoteError`: the other's."""
    text = str(error) if isinstance(error, RemoteError) else _typed(error)
    return text.splitlines()[0]


def _typed(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip()}".rstrip(": ")


class Process:
    """A fresh interpreter that does what it is told, one call after the other.

    A context manager: its end, or an exception, ends the process.

    Args:
        threads: how many threads its frameworks start, unless the environment says; None: theirs.
        environment: variables that it has besides ours.
        without: packages that cannot be imported there, such as this project's own; functions are
            then loaded from their files, which may import the standard library and frameworks.
        quiet: what it prints stays hidden; the last line is told if it is lost.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        environment: Mapping[str, str] | None = None,
        without: Collection[str] = (),
        quiet: bool = False,
    ) -> None:
        self._log = tempfile.TemporaryFile() if quiet else None  # noqa: SIM115
        self._by_file = bool(without)
        self.pipe, theirs = Pipe()
        with theirs:  # so that ours ends with the process
            fd = theirs.fileno()
            self._popen = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, __file__, str(fd), ",".join(without), *_paths()],
                stdin=subprocess.PIPE,  # its end tells the process that we are gone
                stderr=self._log,
                pass_fds=[fd],
                env={**_defaults(threads), **os.environ, **(environment or {})},
                start_new_session=True,  # Ctrl-C is for us alone
            )

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def submit(self, function: Callable, *args, **options) -> None:
        """Begins a call; `result` waits for it.

        Args:
            function: at the top level of a module.
            *args: what can be pickled, as well as `options` and what the function returns.
        """
        by_file = self._by_file or function.__module__ == "__main__"
        module = None if by_file else function.__module__
        where = (module, inspect.getfile(function), function.__name__)
        message = _encoded((where, args, options))
        with contextlib.suppress(OSError):  # it is lost: `result` will say so
            _put(self.pipe, *message)

    def result(self):
        """Waits for what the call returns.

        Raises:
            ProcessLostError: the process was killed, or crashed.
            Exception: what the function raised; `RemoteError` where that cannot be had here.
        """
        try:
            message = _taken(self.pipe)
        except (EOFError, OSError):
            raise self._lost() from None
        succeeded, value = _decoded(*message)
        if not succeeded:
            raise _error(*value)
        return value

    def call(self, function: Callable, *args, **options):
        """`submit` and `result`."""
        self.submit(function, *args, **options)
        return self.result()

    def terminate(self) -> None:
        """Lets the process end, its `finally` blocks first; `stop` waits for that."""
        self._popen.terminate()

    def stop(self, patience: float = 0.0) -> None:
        """Ends the process.

        Args:
            patience: seconds that its `finally` blocks may take; 0: it is killed.
        """
        self.pipe.close()
        if patience and self.alive:
            self.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(patience)
        self._popen.kill()
        self._popen.wait()
        self._popen.stdin.close()
        if self._log:
            self._log.close()

    def _lost(self) -> ProcessLostError:
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
    try:
        current = os.getcwd()
    except FileNotFoundError:  # it was removed
        current = None
    root = str(_ROOT)
    paths = [path for path in sys.path if path and (path == root or path != current)]
    return paths if root in paths else [*paths, root]


def _defaults(threads: int | None) -> dict[str, str]:
    return {} if threads is None else dict.fromkeys(_THREADS, str(threads))


# How values cross. Large arrays lie in a file without a name, which both sides map.


def _encoded(value: object) -> tuple[bytes, list[memoryview]]:
    """A value pickled, and its large arrays beside."""
    large: list[memoryview] = []

    def keep_small(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _SHARED:
            return True
        large.append(view)
        return False

    return pickle.dumps(value, 5, buffer_callback=keep_small), large


def _put(pipe: Connection, content: bytes, large: Sequence[memoryview]) -> None:
    pipe.send((content, [view.nbytes for view in large]))
    if not large:
        return
    with tempfile.TemporaryFile() as file, _socket(pipe) as channel:
        for view in large:
            file.write(view)
            file.write(bytes(-view.nbytes % _ALIGNMENT))
        file.flush()
        socket.send_fds(channel, [b"!"], [file.fileno()])


def _taken(pipe: Connection) -> tuple[bytes, list[memoryview]]:
    """What `_put` sent."""
    content, sizes = pipe.recv()
    if not sizes:
        return content, []
    with _socket(pipe) as channel:
        _, fds, _, _ = socket.recv_fds(channel, 1, 1)
    if not fds:
        raise EOFError
    shared = memoryview(mmap.mmap(fds[0], 0, access=mmap.ACCESS_COPY))
    os.close(fds[0])
    views, start = [], 0
    for size in sizes:
        views.append(shared[start : start + size])
        start += size + -size % _ALIGNMENT
    return content, views


def _decoded(content: bytes, large: Sequence[memoryview]):
    return pickle.loads(content, buffers=large)


def _socket(pipe: Connection) -> socket.socket:
    """The socket below a pipe, for what only sockets carry."""
    return socket.socket(fileno=os.dup(pipe.fileno()))


class _Loaded(pickle.Unpickler):
    """Takes classes from modules that are loaded, and loads none."""

    def find_class(self, module: str, name: str):
        if module not in sys.modules:
            raise pickle.UnpicklingError(module)
        return super().find_class(module, name)


def _error(content: bytes | None, text: str, trace: str) -> BaseException:
    try:
        error = _Loaded(io.BytesIO(content)).load()
    except Exception:  # whatever its class makes of that
        error = RemoteError(text)
    error.__cause__ = RemoteError(f"in another process:\n{trace}")
    return error


def _described(error: BaseException) -> tuple[bytes | None, str, str]:
    """An error as `_error` takes it."""
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
    except Exception:  # some cannot be made again from what they hold
        content = None
    return content, _typed(error), "".join(traceback.format_exception(error))


# What runs in the process.


def serve(fd: int, without: str) -> None:
    """Answers calls until there are no more; `without` are names of packages, between commas."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGTERM, _leave)
    os.dup2(2, 1)  # what a framework prints is no answer
    if without:
        sys.meta_path.insert(0, _Blocked(without.split(",")))
    pipe = Connection(fd)
    with contextlib.suppress(EOFError, OSError):
        while True:
            _put(pipe, *_answer(*_taken(pipe)))


def _answer(content: bytes, large: Sequence[memoryview]) -> tuple[bytes, list[memoryview]]:
    """Does what a message asks for; the answer: whether it succeeded, and what came of it."""
    try:
        where, args, options = _decoded(content, large)
        return _encoded((True, _function(*where)(*args, **options)))
    except Exception as error:
        return _encoded((False, _described(error)))


def _function(module: str | None, file: str, name: str) -> Callable:
    return getattr(_from_file(file) if module is None else importlib.import_module(module), name)


@functools.cache
def _from_file(path: str) -> ModuleType:
    name = f"_{pathlib.Path(path).stem}"  # so that it is no other module's
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _end_with_parent() -> None:
    os.read(0, 1)  # ends when the parent's end of the pipe is gone
    os._exit(1)


def _leave(*_) -> None:
    sys.stderr = None  # where this strikes in a callback, Python would say so, and go on
    sys.exit(1)


class _Blocked:
    """A finder of modules that refuses some packages."""

    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages

    def find_spec(self, name: str, *_) -> None:
        if name.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"{name} cannot be imported in this process", name=name)
