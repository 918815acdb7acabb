"""Accuracy of a model on a dataset, whatever the model runs on. NumPy only but for streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from slim_resnet.datasets import Dataset, Stream

BATCH_SIZE = 100


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a model made of a dataset.

    Attributes:
        predictions: int64 [N], the class with the largest logit, in the dataset's order.
        labels: int64 [N].
        loss: mean cross entropy.
    """

    predictions: np.ndarray
    labels: np.ndarray
    loss: float

    @property
    def total(self) -> int:
        return len(self.labels)

    @property
    def correct(self) -> int:
        return int((self.predictions == self.labels).sum())

    @property
    def accuracy(self) -> float:
        return self.correct / self.total

    def differing(self, other: Evaluation) -> np.ndarray:
        """The numbers of the images that the two models put into different classes."""
        return np.flatnonzero(self.predictions != other.predictions)


def evaluate(
    predict: Callable[[np.ndarray], np.ndarray],
    dataset: Dataset | Stream,
    batch_size: int = BATCH_SIZE,
) -> Evaluation:
    """Runs a model over all images of a split.

    Args:
        predict: float32 images [n, height, width, 3], normalized -> logits [n, classes].
        dataset: from `datasets.load`.
        batch_size: images at a time; the last batch may be smaller.

    Raises:
        ValueError: the model has another number of classes.
    """
    predictions, labels, losses = [], [], []
    for images, classes in batches(dataset, batch_size):
        logits = np.asarray(predict(images), np.float64)
        if logits.shape != (len(classes), dataset.num_classes):
            raise ValueError(
                f"the model has outputs {list(logits.shape[1:])}, {dataset.name} has "
                f"{dataset.num_classes} classes: was it trained on another dataset?"
            )
        predictions.append(logits.argmax(1))
        labels.append(classes)
        losses.append(_cross_entropy(logits, classes))
    return Evaluation(
        np.concatenate(predictions), np.concatenate(labels), float(np.concatenate(losses).mean())
    )


def batches(dataset: Dataset | Stream, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(normalized images, labels) of a split, in order."""
    if isinstance(dataset, Dataset):
        return dataset.batches(batch_size)
    from slim_resnet.training import inputs

    return inputs.test_batches(dataset, batch_size)


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(1, keepdims=True)
    return np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(labels)), labels]
