"""Runs a script or module under the shim as `python` runs it, in a process of its own.

The shim stays in place afterwards: threads and exit handlers of the script still need it.
"""

from __future__ import annotations

import builtins
import glob
import os
import runpy
import sys
import traceback
from collections.abc import Callable
from types import ModuleType

import numpy as np

from slim_resnet import legacy
from slim_resnet.frameworks import quiet_stderr, require
from slim_resnet.legacy.running.script_source import compile_script, is_script
from slim_resnet.legacy.tables import numpy_changes, python2, python37

_LEGACY = os.path.dirname(os.path.abspath(legacy.__file__))
_NOT_THE_SCRIPTS = (_LEGACY, "<frozen runpy>", "<frozen importlib", runpy.__file__)
_PYTHON_2_NAMES = (*python2.NAMES, *python2.METHODS, *python2.MODULES, "has_key")


def run_path(path: str, args: list[str], packages: tuple[str, ...] = ()) -> int:
    """Runs a file as `python file args...` does: its folder on sys.path, `__main__`, sys.argv.

    Args:
        path: the script.
        args: what it finds in `sys.argv[1:]`.
        packages: see `slim_resnet.legacy.install`.

    Returns:
        The exit code: the script's own, 1 after an exception (whose traceback is printed), 2 where
        it is Python 2.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        source = file.read()
    try:
        code = compile_script(source, path)
    except SyntaxError as error:
        return _report(error)

    def execute() -> None:
        module = ModuleType("__main__")
        vars(module).update(__file__=path, __builtins__=builtins, __cached__=None)
        sys.modules["__main__"] = module
        exec(code, vars(module))

    return _run(execute, [path, *args], os.path.dirname(os.path.realpath(path)), packages)


def run_module(name: str, args: list[str], packages: tuple[str, ...] = ()) -> int:
    """Runs a module as `python -m name args...` does; see `run_path`."""

    def execute() -> None:
        runpy.run_module(name, run_name="__main__", alter_sys=True)

    return _run(execute, [name, *args], os.getcwd(), (*packages, name.partition(".")[0]))


def _run(
    execute: Callable[[], None], argv: list[str], folder: str, packages: tuple[str, ...]
) -> int:
    _start_quietly()
    print(_versions(), file=sys.stderr, flush=True)
    legacy.install(packages)
    sys.argv = argv
    sys.path[0] = folder
    try:
        execute()
    except SystemExit as error:
        return _exit_code(error.code)
    except BaseException as error:
        return _report(error)
    return 0


def _versions() -> str:
    """One line on what the script runs on, and what that means for its arrays."""
    found = f"TensorFlow {require('tensorflow').__version__}, NumPy {np.__version__}"
    if np.__version__.startswith("1."):
        return f"slim_resnet.legacy: {found}"
    return (
        f"slim_resnet.legacy: {found}. NumPy 2 refuses float(v) of one-element arrays, computes "
        "np.uint8(100) + 200 and np.float32(3) * 0.1 in 8 and 32 bits, and more: "
        f"{numpy_changes.OTHER_NUMPY}"
    )


def _start_quietly() -> None:
    """Has TensorFlow find out now, unheard, that there is no GPU.

    Where there may be one it is left alone: the script may still set CUDA_VISIBLE_DEVICES.
    """
    tf = require("tensorflow")
    if not glob.glob("/dev/nvidia[0-9]*"):
        with quiet_stderr():
            tf.config.list_physical_devices()


def _exit_code(code) -> int:
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return 1


def _report(error: BaseException) -> int:
    """Prints the script's own traceback, or for Python 2 what to do about it."""
    if isinstance(error, SyntaxError) and (
        python2.is_python_2(error) or python37.is_python_37(error)
    ):
        print(f"error: {python37.explain(error)}, then run it again", file=sys.stderr)
        return 2
    report = traceback.TracebackException.from_exception(error)
    _drop_frames(report)
    print("".join(report.format()), end="", file=sys.stderr)
    if remedy := _remedy(error, report):
        print(remedy, file=sys.stderr)
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def _remedy(error: BaseException, report: traceback.TracebackException) -> str | None:
    name = getattr(error, "name", None)  # of NameError, ImportError, AttributeError
    if name in _PYTHON_2_NAMES:
        return f"{name} is Python 2: convert the script with 2to3 (part of Python up to 3.12)"
    own = [frame for frame in report.stack if is_script(frame.filename)]
    found = numpy_changes.refusal(str(error), own[-1].line if own else "", np.__version__)
    if found is None:
        return None
    place = f"{own[-1].filename}:{own[-1].lineno}: " if own else ""
    remedy = f"{place}since NumPy {found.since} {found.cause}: {found.remedy}"
    return f"{remedy}; {numpy_changes.OTHER_NUMPY}"


def _drop_frames(report: traceback.TracebackException | None) -> None:
    while report is not None:
        own = (frame for frame in report.stack if not frame.filename.startswith(_NOT_THE_SCRIPTS))
        report.stack = traceback.StackSummary.from_list(own)
        _drop_frames(report.__cause__)
        report = report.__context__
