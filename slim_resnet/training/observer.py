"""What a training tells while it runs. Imports no framework."""

from __future__ import annotations

from dataclasses import dataclass

from slim_resnet.training.evaluation import Evaluation


@dataclass(frozen=True)
class Step:
    """A step that was made.

    Attributes:
        step: its number, from 1.
        epoch: how often the dataset was seen, with this step.
        loss, cross_entropy, accuracy, learning_rate: as in `model.TrainingGraph`.
        images_per_second: since the last row of metrics.csv, evaluation and saving not counted.
    """

    step: int
    epoch: float
    loss: float
    cross_entropy: float
    accuracy: float
    learning_rate: float
    images_per_second: float


class Observer:
    """Override what is of interest."""

    def on_start(self, step: int) -> None:
        """Before the first step, with the number of steps that were done before."""

    def on_step(self, step: Step) -> None:
        """After every step."""

    def on_evaluation(self, step: int, epoch: float, found: Evaluation) -> None:
        """After every evaluation."""

    def on_warning(self, message: str) -> None:
        """One sentence."""
