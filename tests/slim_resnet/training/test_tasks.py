"""TF_CONFIG, and the processes that a cluster on this machine is made of."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import threading
import time

import pytest

from slim_resnet.training import launch, tasks

CLUSTER = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}


def task(job, index=0, cluster=CLUSTER):
    config = {"cluster": cluster, "task": {"type": job, "index": index}}
    return tasks.from_environment({"TF_CONFIG": json.dumps(config)})


@pytest.mark.parametrize("environ", [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}])
def test_without_a_cluster_there_is_no_task(environ):
    assert tasks.from_environment(environ) is None


def test_workers_are_numbered_after_the_chief():
    found = [task("chief"), task("worker", 0), task("worker", 1)]
    assert [(t.worker, t.is_chief, t.num_workers) for t in found] == [
        (0, True, 3),
        (1, False, 3),
        (2, False, 3),
    ]
    assert [str(t) for t in found] == ["chief", "worker 0", "worker 1"]
    assert not task("ps").is_chief


def test_without_a_chief_worker_0_is_it():
    cluster = {"worker": ["b:1", "c:1"], "ps": ["d:1"]}
    first, second = task("worker", 0, cluster), task("worker", 1, cluster)
    assert (first.is_chief, first.worker, second.is_chief, second.worker) == (True, 0, False, 1)
    assert task("master", 0, {"master": ["a:1"], "ps": ["d:1"]}).is_chief


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not json", "TF_CONFIG is not of the form"),
        ("[]", "TF_CONFIG is not of the form"),
        ('{"cluster": {"ps": 3}}', "TF_CONFIG is not of the form"),
        (json.dumps({"cluster": CLUSTER}), "names the job ''"),
        (json.dumps({"cluster": CLUSTER, "task": {"type": "cheif"}}), "names the job 'cheif'"),
        (
            json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}),
            "the task is worker 2, its cluster has 2 of worker",
        ),
        (
            json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}),
            "needs at least one ps",
        ),
        (
            json.dumps({"cluster": {**CLUSTER, "master": ["e:1"]}, "task": {"type": "ps"}}),
            "more than one chief",
        ),
    ],
)
def test_what_is_wrong_with_tf_config_is_said(text, says):
    with pytest.raises(tasks.ClusterError, match="TF_CONFIG") as error:
        tasks.from_environment({"TF_CONFIG": text})
    assert says in str(error.value)


# Each task writes its process number and, until "done" is there, lives; then the workers end, and
# the parameter servers after them. A file with a task's name makes it fail.
TASK = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
task = json.loads(os.environ["TF_CONFIG"])["task"]
name = f"{task['type']}{task['index']}"
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
with open(folder / f"{name}.pids", "a") as file:
    file.write(f"{os.getpid()}\\n")
print("begins", flush=True)
while not (folder / ("workers_done" if task["type"] == "ps" else "done")).exists():
    if (folder / f"{name}.fails").exists():
        sys.exit(7)
    time.sleep(0.02)
if task["type"] == "chief":
    (folder / "workers_done").touch()
"""


class Launched:
    """A launch in a thread, whose tasks run `TASK`."""

    def __init__(self, folder: pathlib.Path, monkeypatch, **options):
        # Signals are the main thread's; that they are handed on is tested with a process.
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        self.folder, self.lines, self.code = folder, [], None
        plan = launch.Plan([sys.executable, "-c", TASK, str(folder)], **options)
        self._thread = threading.Thread(target=self._run, args=(plan,))
        self._thread.start()

    def _run(self, plan):
        self.code = launch.run(plan, self.lines.append)

    def pids(self, name, count=1):
        """The processes of a task so far, once there are `count`."""
        path = self.folder / f"{name}.pids"
        deadline = time.monotonic() + 30
        while not path.exists() or len(path.read_text().split()) < count:
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)
        return [int(pid) for pid in path.read_text().split()]

    def kill(self, name, count=1):
        os.kill(self.pids(name, count)[-1], signal.SIGKILL)

    def finish(self):
        (self.folder / "done").touch()
        return self.join()

    def join(self):
        self._thread.join(60)
        assert not self._thread.is_alive(), self.lines
        for path in self.folder.glob("*.pids"):
            for pid in path.read_text().split():
                assert not pathlib.Path(f"/proc/{pid}").exists(), path.name
        return self.code


@pytest.fixture
def launched(tmp_path, monkeypatch):
    def start(**options):
        return Launched(tmp_path, monkeypatch, **options)

    return start


def test_every_task_runs_until_the_chief_is_done(launched):
    found = launched(workers=3, servers=2, evaluator=True)
    for name in ("chief0", "worker0", "worker1", "ps0", "ps1", "evaluator0"):
        found.pids(name)
    assert found.finish() == 0
    assert {"chief: begins", "worker 1: begins", "ps 1: begins", "evaluator: begins"} < {
        *found.lines
    }


def test_a_killed_worker_starts_again(launched):
    found = launched()
    found.kill("worker0")
    assert len(found.pids("worker0", 2)) == 2
    assert found.finish() == 0
    assert len(found.pids("chief0")) == 1
    assert "worker 0 was killed by SIGKILL" in found.lines


def test_with_a_killed_chief_all_start_again(launched):
    found = launched()
    for name in ("worker0", "ps0"):
        found.pids(name)
    found.kill("chief0")
    for name in ("chief0", "worker0", "ps0"):
        assert len(found.pids(name, 2)) == 2
    assert found.finish() == 0


def test_a_killed_parameter_server_ends_all(launched):
    found = launched()
    for name in ("chief0", "worker0"):
        found.pids(name)
    found.kill("ps0")
    assert found.join() == 1
    assert "all are ended; the same command goes on from the last checkpoint" in found.lines


def test_who_is_killed_too_often_ends_all(launched):
    found = launched(restarts=1)
    found.pids("chief0")
    found.kill("worker0")
    found.kill("worker0", 2)
    assert found.join() == 1


def test_who_fails_ends_all_with_its_exit_code(launched, tmp_path):
    found = launched()
    found.pids("chief0")
    (tmp_path / "worker0.fails").touch()
    assert found.join() == 7
    assert "worker 0 failed with exit code 7; all are ended" in found.lines


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"workers": 0}, "workers cannot be 0"),
        ({"servers": 0}, "servers cannot be 0"),
        ({"restarts": -1}, "restarts cannot be -1"),
        ({"command": []}, "no command to start"),
    ],
)
def test_plans_that_cannot_be(options, says):
    with pytest.raises(ValueError, match=says):
        launch.Plan(**{"command": ["true"], **options})
