"""What happens beside the steps of a training: records, evaluation, stopping on a signal."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable

import numpy as np

from slim_resnet.compat import tf
from slim_resnet.training.evaluation import Evaluation
from slim_resnet.training.model import TrainingGraph
from slim_resnet.training.observer import Step
from slim_resnet.training.records import Table

METRICS_COLUMNS = (
    "epoch",
    "loss",
    "cross_entropy",
    "accuracy",
    "learning_rate",
    "images_per_second",
)
EVALUATION_COLUMNS = ("epoch", "loss", "accuracy", "correct", "total")


class StepHook(tf.train.SessionRunHook):
    """Calls `on_step` after every step and writes every `every`-th to metrics.csv.

    Args:
        graph: the training graph.
        images_per_step: of all workers together.
        epoch_size: images in an epoch.
        on_step: what to do with each `Step`.
        table: the metrics; None: not written.
        every: steps from row to row.
    """

    def __init__(
        self,
        graph: TrainingGraph,
        images_per_step: int,
        epoch_size: int,
        on_step: Callable[[Step], None],
        table: Table | None,
        every: int,
    ):
        self._fetches = [
            graph.step, graph.loss, graph.cross_entropy, graph.accuracy, graph.learning_rate
        ]  # fmt: skip
        self._images_per_step, self._epoch_size = images_per_step, epoch_size
        self._on_step, self._table, self._every = on_step, table, every
        self._seconds = self._steps = 0
        self.rates: list[float] = []

    def before_run(self, run_context):
        self._begun = time.perf_counter()
        return tf.train.SessionRunArgs(self._fetches)

    def after_run(self, run_context, run_values):
        self._seconds += time.perf_counter() - self._begun
        self._steps += 1
        before, *values = run_values.results
        step = int(before) + 1
        made = Step(
            step,
            step * self._images_per_step / self._epoch_size,
            *values,
            self._steps * self._images_per_step / self._seconds,
        )
        if step % self._every == 0:
            if self._table:
                self._table.append(*(getattr(made, name) for name in self._table.columns))
            self.rates.append(made.images_per_second)
            self._seconds = self._steps = 0
        self._on_step(made)


class EvaluationHook(tf.train.SessionRunHook):
    """Evaluates at the end of every `every`-th epoch and after the last step.

    Args:
        graph: the training graph.
        evaluate: the network's variables, by name, -> `Evaluation`.
        on_evaluation: called with the step, the epoch and the `Evaluation`.
        table: evaluation.csv.
        folder: where TensorBoard's events go.
        images_per_step, epoch_size: as for `StepHook`.
        every: epochs from one evaluation to the next.
        last_step: the training's.
    """

    def __init__(
        self,
        graph: TrainingGraph,
        evaluate: Callable[[dict[str, np.ndarray]], Evaluation],
        on_evaluation: Callable[[int, float, Evaluation], None],
        table: Table,
        folder: str,
        *,
        images_per_step: int,
        epoch_size: int,
        every: int,
        last_step: int,
    ):
        self._graph, self._evaluate, self._on_evaluation = graph, evaluate, on_evaluation
        self._table, self._folder = table, folder
        self._images_per_step, self._epoch_size = images_per_step, epoch_size
        self._every, self._last_step = every, last_step
        self._global_step = tf.train.get_global_step()

    def after_create_session(self, session, coord):
        # Killed between the checkpoint and its evaluation.
        step = int(session.run(self._global_step))
        if self._is_due(step) and step not in self._table.steps():
            self._run(session, step)

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(self._graph.step)

    def after_run(self, run_context, run_values):
        step = int(run_values.results) + 1
        if self._is_due(step):
            self._run(run_context.session, step)

    def _is_due(self, step: int) -> bool:
        size = self._epoch_size * self._every
        now, before = (n * self._images_per_step // size for n in (step, step - 1))
        return step > 0 and (now > before or step == self._last_step)

    def _run(self, session, step: int) -> None:
        found = self._evaluate(session.run(self._graph.variables))
        epoch = step * self._images_per_step / self._epoch_size
        self._table.append(step, epoch, found.loss, found.accuracy, found.correct, found.total)
        values = {"evaluation/loss": found.loss, "evaluation/accuracy": found.accuracy}
        summary = tf.Summary(
            value=[tf.Summary.Value(tag=k, simple_value=v) for k, v in values.items()]
        )
        tf.summary.FileWriterCache.get(self._folder).add_summary(summary, step)
        self._on_evaluation(step, epoch, found)


class RestartHook(tf.train.SessionRunHook):
    """Tells TensorBoard to forget what was recorded after the checkpoint that is gone on from."""

    def __init__(self, folder: str):
        self._folder = folder
        self._global_step = tf.train.get_global_step()

    def after_create_session(self, session, coord):
        log = tf.SessionLog(status=tf.SessionLog.START)
        writer = tf.summary.FileWriterCache.get(self._folder)
        writer.add_session_log(log, int(session.run(self._global_step)))


class StopHook(tf.train.SessionRunHook):
    """Ends the training, as its last step would, once `asked` is true."""

    def __init__(self, asked: Callable[[], bool]):
        self._asked = asked

    def after_run(self, run_context, run_values):
        if self._asked():
            run_context.request_stop()


class Signals:
    """Remembers the first SIGINT or SIGTERM while in its context; a second one is as ever."""

    def __init__(self):
        self.received: int | None = None

    def __call__(self) -> bool:
        return self.received is not None

    @contextlib.contextmanager
    def handled(self):
        if threading.current_thread() is not threading.main_thread():
            yield self  # signals are the main thread's alone
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def receive(number, frame):
            self.received = number
            for each, handler in before.items():
                signal.signal(each, handler)

        for number in before:
            signal.signal(number, receive)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
