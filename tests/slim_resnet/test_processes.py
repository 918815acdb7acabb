"""Calls in processes of their own: results, errors, and processes that are lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from slim_resnet.frameworks import MissingFrameworkError
from slim_resnet.processes import Process, ProcessLostError, RemoteError, kept_processes, ready

# What the processes below do; they import this module.


def double(arrays, *, scale=2):
    print("what a framework prints is no answer")
    return {name: array * scale for name, array in arrays.items()}


def fail(error):
    raise error


def fail_with_a_type_of_its_own():
    import decimal

    raise decimal.InvalidOperation("3.14 is not enough")


def unpicklable():
    return lambda: None


def die(signum):
    os.kill(os.getpid(), signum)


def leave(code):
    sys.stderr.write("out of ideas\n")
    sys.stderr.flush()
    os._exit(code)


def abort(reason):
    """As C++ does when a check fails."""
    sys.stderr.write(f"{reason}\n*** Check failure stack trace: ***\n    @ 0x7f main\n")
    sys.stderr.flush()
    os.abort()


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def import_module(name):
    return __import__(name).__file__


def variable(name):
    return os.environ.get(name)


def clean_up(folder):
    try:
        time.sleep(60)
    finally:
        with open(os.path.join(folder, "cleaned"), "w") as file:
            file.write("yes")


@pytest.fixture
def process():
    with Process(quiet=True) as started:
        yield started


def test_arrays_of_any_size_go_there_and_back(process):
    arrays = {
        "empty": np.zeros((0, 3)),
        "small": np.arange(3),
        "large": np.arange(200_001, dtype=np.float32),
        "strided": np.arange(400_000.0).reshape(2, -1)[:, ::2],
        "transposed": np.arange(400_000.0).reshape(2, -1).T,
    }
    for scale in (3, -1):  # several calls to one process
        found = process.call(double, arrays, scale=scale)
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array * scale)
    found["large"] += 1  # the caller's own


def test_an_error_is_raised_as_what_it_is(process):
    with pytest.raises(ValueError, match="no such thing") as caught:
        process.call(fail, ValueError("no such thing"))
    assert "in fail" in str(caught.value.__cause__)
    with pytest.raises(MissingFrameworkError, match="pip install"):
        process.call(fail, MissingFrameworkError("pip install it", name="it"))
    assert process.call(sleep, 0) == 0, "and the process goes on"


def test_an_error_of_a_module_that_is_not_loaded_here_is_told(process, monkeypatch):
    for name in [name for name in sys.modules if "decimal" in name]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(RemoteError, match="InvalidOperation: 3.14 is not enough"):
        process.call(fail_with_a_type_of_its_own)


def test_a_result_that_cannot_cross_is_an_error(process):
    with pytest.raises((RemoteError, AttributeError, TypeError), match="lambda"):
        process.call(unpicklable)


@pytest.mark.parametrize(
    ("function", "argument", "reason"),
    [
        (die, signal.SIGKILL, r"killed \(SIGKILL\), as when memory runs out"),
        (die, signal.SIGSEGV, "SIGSEGV"),
        (leave, 3, "exit code 3: out of ideas"),
        (abort, "Check failed: a == b", "SIGABRT: Check failed: a == b$"),
    ],
)
def test_a_lost_process_is_an_error(process, function, argument, reason):
    with pytest.raises(ProcessLostError, match=reason):
        process.call(function, argument)
    with pytest.raises(ProcessLostError):
        process.call(sleep, 0)
    assert not process.alive


def test_the_first_that_is_ready_is_told():
    with Process() as slow, Process() as fast:
        slow.submit(sleep, 30)
        fast.submit(sleep, 0)
        assert ready([slow, fast]) == [fast]
        assert fast.result() == 0


def test_the_current_folder_is_not_searched(tmp_path, monkeypatch):
    """A script of the user's that has the name of a module."""
    for name in ("copy", "only_here", "runpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('executed')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # as `python -m` does
    monkeypatch.syspath_prepend("")  # as `python -c` does
    with Process(quiet=True) as process:
        assert str(tmp_path) not in process.call(import_module, "copy")
        with pytest.raises(ModuleNotFoundError):
            process.call(import_module, "only_here")


def test_a_process_can_do_without_this_project():
    blocked = pytest.raises(ModuleNotFoundError, match="slim_resnet")
    with Process(without=("slim_resnet", "converters")) as process, blocked:
        process.call(import_module, "slim_resnet")


def test_threads_are_a_default(monkeypatch):
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with Process(threads=3, environment={"GREETING": "hello"}) as process:
        assert process.call(variable, "OMP_NUM_THREADS") == "3"
        assert process.call(variable, "MKL_NUM_THREADS") == "5"
        assert process.call(variable, "GREETING") == "hello"


def test_a_process_may_clean_up_before_it_ends(tmp_path):
    with Process(quiet=True) as process:
        process.call(sleep, 0)  # it has begun
        process.submit(clean_up, str(tmp_path))
        time.sleep(0.3)
        process.stop(patience=10)
        assert (tmp_path / "cleaned").exists()


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_a_process_ends_with_the_one_that_made_it(tmp_path, signum):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import signal
        from slim_resnet.processes import Process
        from tests.slim_resnet.test_processes import sleep, variable

        signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
        with Process() as process:
            print(process.pid, flush=True)
            process.call(sleep, 60)
        """)
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    child = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.send_signal(signum)
    assert parent.wait(10) != 0
    parent.stdout.close()
    for _ in range(100):
        if not _runs(child):
            return
        time.sleep(0.05)
    pytest.fail("it lives on")


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def remember(value):
    _remembered.append(value)
    return os.getpid(), list(_remembered)


_remembered: list = []


def test_a_process_is_kept_for_its_kind_alone(tmp_path, monkeypatch):
    def said(**options):
        with Process(quiet=True, **options) as process:
            return process.call(remember, "x")

    with kept_processes():
        first, _ = said(kept_for="torch")
        assert said(kept_for="torch") == (first, ["x", "x"])
        others = [said(), said(kept_for="keras"), said(kept_for="torch", environment={"A": "1"})]
        assert [values for _, values in others] == [["x"]] * 3
        assert said(kept_for="torch")[0] == first
        monkeypatch.chdir(tmp_path)
        assert said(kept_for="torch")[0] != first
    assert said(kept_for="torch")[1] == ["x"], "and no longer than that"
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_a_process_that_was_lost_or_is_at_work_is_not_kept():
    with kept_processes():
        with Process(quiet=True, kept_for="torch") as process:
            busy, _ = process.call(remember, "x")
            process.submit(sleep, 60)
        with Process(quiet=True, kept_for="torch") as process:
            assert process.call(remember, "x")[0] != busy
            with pytest.raises(ProcessLostError, match="code 3: out of ideas"):
                process.call(leave, 3)
        with Process(quiet=True, kept_for="torch") as process:
            assert process.call(remember, "x")[1] == ["x"]
            with pytest.raises(ValueError, match="no such thing"):
                process.call(fail, ValueError("no such thing"))
        with Process(quiet=True, kept_for="torch") as process:
            assert process.call(remember, "y")[1] == ["x", "y"], "an error is an answer"


def test_the_longest_unused_of_the_kept_is_ended():
    with kept_processes(limit=2):
        pids = {}
        for name in ("a", "b", "c"):
            with Process(quiet=True, kept_for=name) as process:
                pids[name], _ = process.call(remember, name)
        for name, values in (("c", ["c", "c"]), ("b", ["b", "b"]), ("a", ["a"])):
            with Process(quiet=True, kept_for=name) as process:
                assert process.call(remember, name)[1] == values
