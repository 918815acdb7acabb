"""Calls between processes: how they cross, and what answers them in the other process.

That process runs this file by its path, also where this project must be absent: it imports the
standard library alone.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import mmap
import os
import pathlib
import pickle
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from types import ModuleType

_SHARED = 1 << 16  # bytes from which an array goes through shared memory
_ALIGNMENT = 64  # bytes


class RemoteError(RuntimeError):
    """An error that another process met, of a type that is not loaded here; its text names it."""


def typed(error: BaseException) -> str:
    """The type of an error, and what it says."""
    return f"{type(error).__name__}: {str(error).strip()}".rstrip(": ")


# How values cross. Large arrays lie in a file without a name, which both sides map.


def encoded(value: object) -> tuple[bytes, list[memoryview]]:
    """A value pickled, and its large arrays beside."""
    large: list[memoryview] = []

    def keep_small(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes < _SHARED:
            return True
        large.append(view)
        return False

    return pickle.dumps(value, 5, buffer_callback=keep_small), large


def put(pipe: Connection, content: bytes, large: Sequence[memoryview]) -> None:
    """Sends what `encoded` made."""
    pipe.send((content, [view.nbytes for view in large]))
    if not large:
        return
    with tempfile.TemporaryFile() as file, _socket(pipe) as channel:
        for view in large:
            file.write(view)
            file.write(bytes(-view.nbytes % _ALIGNMENT))
        file.flush()
        socket.send_fds(channel, [b"!"], [file.fileno()])


def taken(pipe: Connection) -> tuple[bytes, list[memoryview]]:
    """What `put` sent."""
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


def decoded(content: bytes, large: Sequence[memoryview]):
    """The reverse of `encoded`."""
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


def error_of(content: bytes | None, text: str, trace: str) -> BaseException:
    """An error that the other process met, as it was, or as a `RemoteError`."""
    try:
        error = _Loaded(io.BytesIO(content)).load()
    except Exception:  # whatever its class makes of that
        error = RemoteError(text)
    error.__cause__ = RemoteError(f"in another process:\n{trace}")
    return error


def _described(error: BaseException) -> tuple[bytes | None, str, str]:
    """An error as `error_of` takes it."""
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
    except Exception:  # some cannot be made again from what they hold
        content = None
    return content, typed(error), "".join(traceback.format_exception(error))


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
            put(pipe, *_answer(*taken(pipe)))


def _answer(content: bytes, large: Sequence[memoryview]) -> tuple[bytes, list[memoryview]]:
    """Does what a message asks for; the answer: whether it succeeded, and what came of it."""
    try:
        where, args, options = decoded(content, large)
        return encoded((True, _function(*where)(*args, **options)))
    except Exception as error:
        return encoded((False, _described(error)))


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
