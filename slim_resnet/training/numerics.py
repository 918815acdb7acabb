"""A loss that is not finite: which layer went first."""

from __future__ import annotations

import numpy as np

from slim_resnet.compat import tf
from slim_resnet.training.model import CHECKS, TrainingGraph


class DivergedError(ValueError):
    """A step's loss or gradient is not finite; the message says at which step and where first."""


def is_divergence(error: tf.errors.OpError) -> bool:
    """Whether `error` is of the training graph's checks, or of a summary that was sooner."""
    return any(text in (error.message or "") for text in (*CHECKS, "in summary histogram"))


def diagnose(run, graph: TrainingGraph, images: np.ndarray, labels: np.ndarray) -> str:
    """What went wrong first, on the way of the data through the network.

    Args:
        run: `session.run` of a session whose variables are as before the step.
        graph: the training graph.
        images, labels: the batch of the step.

    Returns:
        Half a sentence, e.g. "block2/unit_1/bottleneck_v1/conv2 is the first layer ...".
    """
    if not np.isfinite(images).all():
        where = np.flatnonzero(~np.isfinite(images).all((1, 2, 3)))
        return f"image {where[0]} of the batch holds {_kind(images[where[0]])}"
    feed = {graph.images: images, graph.labels: labels}
    run(graph.updates, feed)
    variables = run(graph.variables)
    weights = {k: v for k, v in variables.items() if "/moving_" not in k}
    statistics = {k: v for k, v in variables.items() if k not in weights}
    for name, value in weights.items():
        if not np.isfinite(value).all():
            return f"the variable {name} holds {_kind(value)}"
    for layer, value in run(graph.end_points, feed).items():
        if not np.isfinite(value).all():
            return f"{layer} is the first layer whose output holds {_kind(value)}"
        for name, moving in statistics.items():
            if name.startswith(f"{layer}/BatchNorm/") and not np.isfinite(moving).all():
                return f"{layer} is the first layer whose batch statistics overflow ({name})"
    for name, value in statistics.items():
        if not np.isfinite(value).all():
            return f"the batch statistics overflow ({name})"
    entropy, loss = run([graph.cross_entropy, graph.loss], feed)
    largest = max(weights, key=lambda name: np.abs(weights[name]).max())
    size = f"the largest weight, {np.abs(weights[largest]).max():.1e}, is in {largest}"
    if not np.isfinite(entropy):
        return f"every layer's output is finite, their cross entropy is not; {size}"
    if not np.isfinite(loss):
        return f"the cross entropy is finite, the weight decay overflows: {size}"
    # The way back: the last layer comes first.
    for gradient, variable in reversed(graph.gradients):
        value = run(gradient, feed)
        if not np.isfinite(value).all():
            return f"the gradient of {variable.op.name}, from the loss on, holds {_kind(value)}"
    return f"the gradients overflow together; {size}"


def _kind(value: np.ndarray) -> str:
    return "NaN" if np.isnan(value).any() else "infinity"
