"""Where a training process stands among others; by default it is alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def _as_it_is(optimizer):
    return optimizer, ()


@dataclass(frozen=True)
class Placement:
    """One process of a training.

    Args:
        master: what a session connects to; "" is this process.
        is_chief: whether this process initialises, saves and evaluates.
        device: what `tf.device` takes, e.g. a `tf.train.replica_device_setter`.
        worker: the number of this worker, from 0.
        num_workers: the number of workers.
        synchronous: whether the workers make each step together; else each makes its own.
        wrap_optimizer: optimizer -> (optimizer, hooks), e.g. a `SyncReplicasOptimizer` and its.
        config: the session's `tf.ConfigProto`.
        stop_grace_seconds: how long the session waits for its threads when it is closed.
    """

    master: str = ""
    is_chief: bool = True
    device: object = None
    worker: int = 0
    num_workers: int = 1
    synchronous: bool = True
    wrap_optimizer: Callable = _as_it_is
    config: object = None
    stop_grace_seconds: int = 120

    def images_per_step(self, batch_size: int) -> int:
        """Images that go into one step of the global step, on all workers together."""
        return batch_size * (self.num_workers if self.synchronous else 1)


ALONE = Placement()
