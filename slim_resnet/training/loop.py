"""The training loop, on TensorFlow's own `MonitoredTrainingSession`."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from slim_resnet import graph as graph_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.compat import tf
from slim_resnet.datasets import Dataset, Stream
from slim_resnet.training import hooks, inputs, model, numerics, ordering, records, resume
from slim_resnet.training.evaluation import Evaluation, evaluate
from slim_resnet.training.evaluator import Evaluator
from slim_resnet.training.observer import Observer, Step
from slim_resnet.training.placement import ALONE, Placement
from slim_resnet.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Run:
    """A training: what, on what, how, and where to.

    Args:
        arch: the network; its number of classes is the dataset's.
        training: the training split, from `datasets.load`.
        test: the split that is evaluated; None: none is.
        recipe: all that decides the curve.
        output: the folder of checkpoints, records and events; made if need be.
        initial: name in `Arch.variables` -> array, for a warm start; others are initialised.
        evaluate_every: epochs from one evaluation to the next.
        save_every: steps from one checkpoint to the next; None: an epoch's.
        keep: how many checkpoints are kept.
        log_every: steps from one row of metrics.csv to the next.
        summary_every: steps from one TensorBoard summary to the next.
    """

    arch: Arch
    training: Dataset | Stream
    test: Dataset | Stream | None
    recipe: Recipe
    output: str | os.PathLike
    initial: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    evaluate_every: int = 1
    save_every: int | None = None
    keep: int = 5
    log_every: int = 10
    summary_every: int = 100

    def __post_init__(self):
        for field in ("evaluate_every", "save_every", "keep", "log_every", "summary_every"):
            value = getattr(self, field)
            if value is not None and value < 1:
                raise ValueError(f"{field} cannot be {value!r}: it counts from 1")

    def settings(self) -> dict:
        """All that decides the curve, as JSON knows it."""
        return {
            "arch": json.loads(self.arch.to_json()),
            "dataset": self.training.name,
            "images": [len(self.training), *self.training.image_shape],
            **self.recipe.to_dict(),
        }


@dataclass(frozen=True)
class Result:
    """How a training ended.

    `signal` is the one that stopped it, None where all steps were made; `evaluation` is the last.
    `images_per_second` is the median over the rows of metrics.csv that this process wrote.
    """

    step: int
    signal: int | None
    evaluation: Evaluation | None
    images_per_second: float | None


def train(run: Run, placement: Placement = ALONE, observer: Observer | None = None) -> Result:
    """Trains until the recipe's last step, from the last whole checkpoint in `run.output` on.

    Args:
        run: the training.
        placement: this process's place among others.
        observer: is told what happens.

    Returns:
        A `Result`.

    Raises:
        DivergedError: the loss or a gradient is not finite; the last checkpoint is from before.
        ValueError: `run.output` holds another run, or `run.initial` does not fit the network.
    """
    observer = observer or Observer()
    output = pathlib.Path(run.output)
    kept, step = [], None
    if placement.is_chief:
        output.mkdir(parents=True, exist_ok=True)
        workers = {"workers": placement.num_workers, "synchronous": placement.synchronous}
        records.check_run(output, {**run.settings(), **workers})
        step, kept, broken = resume.prepare(output)
        for prefix in broken:
            observer.on_warning(f"{prefix} is broken and set aside; an older checkpoint is used")
    return _Training(run, placement, observer, output).train(step or 0, kept)


class _Training:
    """One process's part of a `Run`."""

    def __init__(self, run: Run, placement: Placement, observer: Observer, output: pathlib.Path):
        self.run, self.placement, self.observer, self.output = run, placement, observer, output
        self.evaluator: Evaluator | None = None
        self.evaluation: Evaluation | None = None
        self.step = 0

    def train(self, step: int, kept: list[str]) -> Result:
        self.step = step
        self.observer.on_start(step)
        signals = hooks.Signals()
        with tf.Graph().as_default(), signals.handled():
            graph = model.build(self.run.arch, self.run.training, self.run.recipe, self.placement)
            steps = self._step_hook(graph, step)
            # On the chief this one comes before those that save: what a checkpoint has seen is
            # recorded before it is there.
            first = [steps] if self.placement.is_chief else []
            others = [
                *(() if first else (steps,)),
                *graph.hooks,
                *self._chief_hooks(graph, step),
                tf.train.StopAtStepHook(last_step=self.run.recipe.steps),
                hooks.StopHook(signals),
            ]
            with tf.train.MonitoredTrainingSession(
                master=self.placement.master,
                config=self.placement.config,
                stop_grace_period_secs=self.placement.stop_grace_seconds,
                is_chief=self.placement.is_chief,
                checkpoint_dir=str(self.output),
                scaffold=self._scaffold(graph, kept),
                chief_only_hooks=first,
                hooks=others,
                save_checkpoint_steps=self.run.save_every or self._steps_per_epoch,
                save_checkpoint_secs=None,
                save_summaries_steps=self.run.summary_every,
                log_step_count_steps=None,
            ) as session:
                while step < self.run.recipe.steps and not session.should_stop():
                    self._make_step(session, graph)
        if self.evaluator:
            self.evaluator.close()
        speed = float(np.median(steps.rates)) if steps.rates else None
        return Result(self.step, signals.received, self.evaluation, speed)

    @property
    def _images_per_step(self) -> int:
        return self.placement.images_per_step(self.run.recipe.batch_size)

    @property
    def _steps_per_epoch(self) -> int:
        return -(-len(self.run.training) // self._images_per_step)

    def _make_step(self, session, graph: model.TrainingGraph) -> None:
        try:
            session.run(graph.train_op)
        except tf.errors.InvalidArgumentError as error:
            where = self.run.training, self.run.recipe, self.step, self.placement
            if not numerics.is_divergence(error):
                if isinstance(self.run.training, Stream):
                    inputs.check_decodable(self.run.training, ordering.images_of_step(*where))
                raise
            batch = inputs.training_batch(*where)
            # Past the hooks, which have their own fetches.
            first = session.run_step_fn(
                lambda step_context: numerics.diagnose(step_context.session.run, graph, *batch)
            )
            raise numerics.DivergedError(
                f"step {self.step + 1}: the loss, or what comes of it, is not finite: {first}; the "
                f"last checkpoint in {self.output} is from before: try a smaller learning rate or "
                "a warm-up"
            ) from None

    def _scaffold(self, graph: model.TrainingGraph, kept: list[str]):
        initial = _fitting(graph.variables, self.run.initial)
        saver = tf.train.Saver(max_to_keep=self.run.keep, save_relative_paths=True)
        saver.recover_last_checkpoints(kept)
        return tf.train.Scaffold(
            saver=saver, init_fn=lambda _, session: graph_lib.assign(session, initial)
        )

    def _step_hook(self, graph: model.TrainingGraph, step: int) -> hooks.StepHook:
        table = None
        if self.placement.is_chief:
            table = records.Table(self.output / records.METRICS, hooks.METRICS_COLUMNS)
            table.rewind(step)
        return hooks.StepHook(
            graph,
            self._images_per_step,
            len(self.run.training),
            self._on_step,
            table,
            self.run.log_every,
        )

    def _on_step(self, step: Step) -> None:
        self.step = step.step
        self.observer.on_step(step)

    def _chief_hooks(self, graph: model.TrainingGraph, step: int) -> list:
        if not self.placement.is_chief:
            return []
        found = [hooks.RestartHook(str(self.output))]
        if self.run.test is not None:
            table = records.Table(self.output / records.EVALUATION, hooks.EVALUATION_COLUMNS)
            table.rewind(step)
            self.evaluator = Evaluator(self.run.arch, self.run.recipe.dtype)
            found.append(
                hooks.EvaluationHook(
                    graph,
                    self._evaluate,
                    self.observer.on_evaluation,
                    table,
                    str(self.output),
                    images_per_step=self._images_per_step,
                    epoch_size=len(self.run.training),
                    every=self.run.evaluate_every,
                    last_step=self.run.recipe.steps,
                )
            )
        return found

    def _evaluate(self, values: dict[str, np.ndarray]) -> Evaluation:
        self.evaluator.assign(values)
        self.evaluation = evaluate(self.evaluator, self.run.test)
        return self.evaluation


def _fitting(variables: dict, initial: Mapping[str, np.ndarray]) -> dict:
    """Variable, or moving average of one, -> its initial value.

    Raises:
        ValueError: a value is of no variable, or of another shape.
    """
    averages = {v.op.name: v for v in tf.global_variables()}
    found = {}
    for name, value in initial.items():
        if name not in variables:
            raise ValueError(f"the initial value {name} is of no variable of this network")
        shape = tuple(variables[name].shape.as_list())
        if shape != value.shape:
            raise ValueError(
                f"the initial value {name} has the shape {value.shape}, the network's {shape}"
            )
        found[variables[name]] = value
        average = averages.get(f"{variables[name].op.name}/ExponentialMovingAverage")
        if average is not None:  # begins where its variable does
            found[average] = value
    return found


def input_speed(run: Run, seconds: float = 0.5, placement: Placement = ALONE) -> float:
    """Images per second of the input pipeline when nothing else runs, measured for `seconds`."""
    endless = dataclasses.replace(run.recipe, steps=2**31)
    batches = inputs.iterate(
        lambda: inputs.training_batches(run.training, endless, tf.constant(0, tf.int64), placement)
    )
    for _ in range(3):  # starting it is not counted
        next(batches)
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        next(batches)
        count += 1
    elapsed = time.perf_counter() - begun
    batches.close()
    return count * run.recipe.batch_size / elapsed
