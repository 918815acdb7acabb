"""A whole cluster on this machine: one process for each task, watched until the training ends.

Imports no framework.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 20.0  # for the others to end when the chief has


@dataclass(frozen=True)
class Plan:
    """What to start.

    Args:
        command: what every process runs, e.g. ["python", "tools/train.py", ...].
        workers: how many processes train; the first one is the chief.
        servers: how many parameter servers hold the variables.
        evaluator: whether one more process evaluates the checkpoints as they come.
        restarts: how often in all a killed worker, or the cluster of a killed chief, is started
            again.
    """

    command: Sequence[str]
    workers: int = 2
    servers: int = 1
    evaluator: bool = False
    restarts: int = 3

    def __post_init__(self):
        for field, least in (("workers", 1), ("servers", 1), ("restarts", 0)):
            if getattr(self, field) < least:
                raise ValueError(f"{field} cannot be {getattr(self, field)}: at least {least}")
        if not self.command:
            raise ValueError("no command to start: give it after --")


def run(plan: Plan, say: Callable[[str], None] = print) -> int:
    """Runs the cluster until the training ends.

    A worker that is killed is started again and catches up. When the chief is killed, all start
    again from the last checkpoint. When a parameter server is killed, its variables are lost: the
    rest is ended, and the same command goes on from the last checkpoint. SIGINT and SIGTERM are
    handed on to those that train, so that they save first.

    Args:
        plan: what to start.
        say: is given each line of the processes' output, after the name of its task, and what
            happens.

    Returns:
        The chief's exit code, or that of the process that failed; 1 where one was killed for good.
    """
    cluster = _Cluster(plan, say)
    before = {s: signal.signal(s, cluster.stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        return cluster.watch()
    finally:
        cluster.end()
        for number, handler in before.items():
            signal.signal(number, handler)


class _Cluster:
    def __init__(self, plan: Plan, say: Callable[[str], None]):
        self._plan = plan
        self._lock = threading.Lock()
        self._write = say
        self._restarts = plan.restarts
        self._stopping = False
        self._start_all()

    def _start_all(self) -> None:
        ports = iter(_free_ports(self._plan.workers + self._plan.servers))
        jobs = {"chief": 1, "worker": self._plan.workers - 1, "ps": self._plan.servers}
        self._addresses = {
            job: [f"localhost:{next(ports)}" for _ in range(n)] for job, n in jobs.items() if n
        }
        tasks = [(job, i) for job, hosts in self._addresses.items() for i in range(len(hosts))]
        if self._plan.evaluator:
            self._addresses["evaluator"] = ["localhost:0"]  # nobody asks it anything
            tasks.append(("evaluator", 0))
        self._processes: dict[tuple[str, int], subprocess.Popen] = {}
        self._pumps: list[threading.Thread] = []
        for task in tasks:
            self._start(task)

    def _start(self, task: tuple[str, int]) -> None:
        job, index = task
        config = {"cluster": self._addresses, "task": {"type": job, "index": index}}
        process = subprocess.Popen(
            self._plan.command,
            env={**os.environ, "TF_CONFIG": json.dumps(config), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C comes to this process alone, which hands it on
        )
        pump = threading.Thread(target=self._pump, args=(_name(task), process.stdout), daemon=True)
        pump.start()
        self._pumps.append(pump)
        self._processes[task] = process
        self._say(f"{_name(task)}: process {process.pid}")

    def _say(self, line: str) -> None:
        with self._lock:
            self._write(line)

    def _pump(self, name: str, lines) -> None:
        for line in lines:
            self._say(f"{name}: {line.rstrip()}")

    def watch(self) -> int:
        """Until the chief is done, or something is that cannot be mended; the exit code."""
        while True:
            ended = [(t, p.poll()) for t, p in self._processes.items() if p.poll() is not None]
            for task, code in sorted(ended, key=lambda each: each[0][0] != "ps"):
                verdict = self._judge(task, code)
                if verdict is not None:
                    return verdict
            time.sleep(_POLL_SECONDS)

    def _judge(self, task: tuple[str, int], code: int) -> int | None:
        """What the end of a process means: an exit code for all, or None to go on."""
        job = task[0]
        if job == "chief" and (code == 0 or self._stopping):
            self._wait_for_the_others()
            return code if code >= 0 else 1
        if code == 0 or self._stopping:
            del self._processes[task]
            return None
        if code > 0:
            self._say(f"{_name(task)} failed with exit code {code}; all are ended")
            return code
        self._say(f"{_name(task)} was killed by {signal.Signals(-code).name}")
        if job == "ps" or not self._restarts:
            self._say("all are ended; the same command goes on from the last checkpoint")
            return 1
        self._restarts -= 1
        if job == "chief":
            self._say("all start again from the last checkpoint")
            self.end()
            self._start_all()
        else:
            self._say(f"{_name(task)} starts again")
            self._start(task)
        return None

    def stop(self, number: int, frame) -> None:
        """Hands a signal on to those that train; a second one ends all."""
        if self._stopping:
            self.end()
        self._stopping = True
        for (job, _), process in self._processes.items():
            if job != "ps" and process.poll() is None:
                process.send_signal(number)

    def _wait_for_the_others(self) -> None:
        deadline = time.monotonic() + _GRACE_SECONDS
        for (job, _), process in self._processes.items():
            try:
                # The evaluator has the last checkpoint before it, however long that takes.
                waits = None if job == "evaluator" and not self._stopping else deadline
                process.wait(waits and max(0.0, waits - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue

    def end(self) -> None:
        """Kills whoever is left: who has lost a parameter server waits for it and hears nothing.

        Checkpoints are whole whenever that is.
        """
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()
        for pump in self._pumps:
            pump.join(timeout=1)


def _name(task: tuple[str, int]) -> str:
    job, index = task
    return f"{job} {index}" if job in ("worker", "ps") else job


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now; held open together, so that no two are one."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def python(command: Sequence[str]) -> list[str]:
    """A command whose first word may be a Python script, as a command of this interpreter."""
    return [sys.executable, *command] if command and command[0].endswith(".py") else list(command)
