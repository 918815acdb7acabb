"""Runs a script as `python SCRIPT ARGS...` would, in a process that has run others before."""

from __future__ import annotations

import importlib
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping, Sequence

from slim_resnet.processes import Process, ProcessLostError, keep_processes

ROOT = pathlib.Path(__file__).parents[1]


class ToolProcess:
    """A process for scripts that only read, convert and compare: frameworks are imported once."""

    def __init__(self) -> None:
        self._process: Process | None = None

    def run(self, script: str, args: Sequence[str]) -> subprocess.CompletedProcess:
        """The finished script, with what it printed, in today's folder and environment."""
        if self._process is None or not self._process.alive:
            self._process = Process(quiet=True)
        try:
            told = self._process.call(run_script, script, list(args), os.getcwd(), dict(os.environ))
        except ProcessLostError as error:
            told = (error.code, "", str(error))
        return subprocess.CompletedProcess([script, *args], *told)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()


def run_script(
    script: str, args: Sequence[str], folder: str, environment: Mapping[str, str]
) -> tuple[int, str, str]:
    """The exit code of a script, and what it wrote to the file descriptors 1 and 2."""
    keep_processes()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    before = sys.argv, list(sys.path)
    sys.argv, sys.path[:] = [script, *args], [os.path.dirname(script), *sys.path]
    with _Redirected(1) as out, _Redirected(2) as err, warnings.catch_warnings():
        try:
            code = _exit_code(script)
        finally:
            sys.argv, sys.path[:] = before
            _forget_modules_of(folder)
    return code, out.text, err.text


def _forget_modules_of(folder: str) -> None:
    """The next script may find others of their names; what is installed stays."""
    if ROOT.is_relative_to(folder):
        return
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(folder + os.sep):
            del sys.modules[name]
    importlib.invalidate_caches()


def _exit_code(script: str) -> int:
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(bool(left.code))
    except BaseException:  # as an interpreter does
        traceback.print_exc()
        return 1
    return 0


class _Redirected:
    """A file descriptor that writes to a file for a while; `text` is what came."""

    def __init__(self, fd: int) -> None:
        self.text = ""
        self._fd = fd

    def __enter__(self) -> _Redirected:
        self._flush()
        self._real = os.dup(self._fd)
        self._file = tempfile.TemporaryFile()
        os.dup2(self._file.fileno(), self._fd)
        return self

    def __exit__(self, *_) -> None:
        self._flush()
        os.dup2(self._real, self._fd)
        os.close(self._real)
        with self._file as file:
            file.seek(0)
            self.text = file.read().decode()

    @staticmethod
    def _flush() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
