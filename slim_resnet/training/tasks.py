"""Which process of a cluster this one is: TF_CONFIG, as `tf.estimator` and cloud services set it.

Imports no framework.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

CHIEFS = ("chief", "master")  # "master" is what TensorFlow called a chief before 1.9
JOBS = (*CHIEFS, "worker", "ps", "evaluator")

_EXAMPLE = (
    '{"cluster": {"chief": ["host0:2222"], "worker": ["host1:2222"], "ps": ["host2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


class ClusterError(ValueError):
    """TF_CONFIG describes no cluster that can train."""


@dataclass(frozen=True)
class Task:
    """One process of a cluster.

    Attributes:
        job: "chief" (or "master"), "worker", "ps" or "evaluator".
        index: its number within the job, from 0.
        cluster: job -> addresses, each "host:port". Without a chief, worker 0 is it. Where it
            names an evaluator (whose address nobody uses), the chief leaves evaluation to that.
    """

    job: str
    index: int
    cluster: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        return self.job if self.job in (*CHIEFS, "evaluator") else f"{self.job} {self.index}"

    @property
    def is_chief(self) -> bool:
        return self.job in CHIEFS or (self.job == "worker" and self._first_worker + self.index == 0)

    @property
    def worker(self) -> int:
        """The number of this worker among all that train; the chief is 0."""
        return 0 if self.job in CHIEFS else self._first_worker + self.index

    @property
    def num_workers(self) -> int:
        """How many processes train, the chief with them."""
        return self._first_worker + len(self.cluster.get("worker", ()))

    @property
    def _first_worker(self) -> int:
        return sum(len(self.cluster.get(job, ())) for job in CHIEFS)


def from_environment(environ: Mapping[str, str] = os.environ) -> Task | None:
    """The task that TF_CONFIG names; None where it is not set, or names no cluster.

    Raises:
        ClusterError: it is not what `_EXAMPLE` shows; the message says where.
    """
    text = environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text or "{}")
        cluster = {job: tuple(map(str, hosts)) for job, hosts in config.get("cluster", {}).items()}
        task = config.get("task", {})
        job, index = str(task.get("type", "")), int(task.get("index", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise ClusterError(f"TF_CONFIG is not of the form {_EXAMPLE}: {error}") from error
    if not cluster:
        return None
    _check(job, index, cluster)
    return Task(job, index, cluster)


def _check(job: str, index: int, cluster: Mapping[str, tuple[str, ...]]) -> None:
    unknown = sorted({*cluster, job} - set(JOBS))
    if unknown:
        raise ClusterError(f"TF_CONFIG names the job {unknown[0]!r}: jobs are {', '.join(JOBS)}")
    size = len(cluster.get(job, ()))
    if job != "evaluator" and not 0 <= index < size:
        raise ClusterError(f"TF_CONFIG: the task is {job} {index}, its cluster has {size} of {job}")
    if sum(len(cluster.get(chief, ())) for chief in CHIEFS) > 1:
        raise ClusterError("TF_CONFIG names more than one chief")
    if not cluster.get("ps") or not any(cluster.get(job) for job in (*CHIEFS, "worker")):
        raise ClusterError(
            "TF_CONFIG's cluster needs at least one ps, which holds the variables, and one chief "
            "or worker"
        )
