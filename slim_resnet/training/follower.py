"""An evaluator's work: every checkpoint of a training is evaluated as it comes."""

from __future__ import annotations

import pathlib
import time

from slim_resnet import graph as graph_lib
from slim_resnet.compat import tf
from slim_resnet.training import hooks, records, resume
from slim_resnet.training.evaluation import evaluate
from slim_resnet.training.evaluator import Evaluator
from slim_resnet.training.loop import Result, Run
from slim_resnet.training.observer import Observer

_POLL_SECONDS = 1.0


def follow(run: Run, images_per_step: int, observer: Observer | None = None) -> Result:
    """Evaluates each checkpoint in `run.output`, up to that of the recipe's last step.

    Args:
        run: the training, which others do; its test split is evaluated.
        images_per_step: of all workers together.
        observer: is told of every evaluation.

    Returns:
        A `Result` with the last evaluation.
    """
    observer = observer or Observer()
    output = pathlib.Path(run.output)
    output.mkdir(parents=True, exist_ok=True)
    table = records.Table(output / records.EVALUATION, hooks.EVALUATION_COLUMNS)
    evaluator = Evaluator(run.arch, run.recipe.dtype)
    seen, found = set(table.steps()), None
    observer.on_start(max(seen, default=0))
    # Asynchronous workers may make a step or two more than there are to make.
    while max(seen, default=0) < run.recipe.steps:
        new = {s: prefix for s, prefix in resume.checkpoints(output).items() if s not in seen}
        for step, prefix in new.items():
            values = _values(run, prefix)
            if values is None:
                continue
            evaluator.assign(values)
            found = evaluate(evaluator, run.test)
            epoch = step * images_per_step / len(run.training)
            table.append(step, epoch, found.loss, found.accuracy, found.correct, found.total)
            observer.on_evaluation(step, epoch, found)
            seen.add(step)
        if not new:
            time.sleep(_POLL_SECONDS)
    evaluator.close()
    return Result(max(seen), None, found, None)


def _values(run: Run, prefix: str) -> dict | None:
    """The network's variables; None where the Saver, which keeps few, has removed them."""
    scope = graph_lib.variable_scope(run.arch, None)
    try:
        reader = tf.train.load_checkpoint(prefix)
        return {
            variable.name: reader.get_tensor(f"{scope}/{variable.name}" if scope else variable.name)
            for variable in run.arch.variables
        }
    except tf.errors.OpError:
        return None
