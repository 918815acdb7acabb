"""Learning curves, from the CSV files that a training wrote."""

from __future__ import annotations

import os
import pathlib

from slim_resnet.files import atomic_path
from slim_resnet.frameworks import require
from slim_resnet.training import records

FILE = "curves.png"


def draw(folder: str | os.PathLike, title: str = "") -> pathlib.Path:
    """Draws loss, accuracy and learning rate over the epochs into `folder`/curves.png.

    Args:
        folder: a training's folder, with metrics.csv and perhaps evaluation.csv.
        title: above the curves.

    Returns:
        The path of the picture.

    Raises:
        MissingFrameworkError: matplotlib is not installed.
    """
    folder = pathlib.Path(folder)
    training = records.read(folder / records.METRICS)
    test = records.read(folder / records.EVALUATION)
    figure = require("matplotlib.figure").Figure(figsize=(12, 3.6), layout="constrained")
    figure.suptitle(title)
    for axes, column in zip(
        figure.subplots(1, 3), ("cross_entropy", "accuracy", "learning_rate"), strict=True
    ):
        axes.plot(*_curve(training, column), linewidth=0.8, label="training, by batch")
        if test and column != "learning_rate":
            tested = "loss" if column == "cross_entropy" else column
            axes.plot(*_curve(test, tested), marker="o", markersize=3, label="test")
            axes.legend()
        axes.set_xlabel("epoch")
        axes.set_title(column.replace("_", " "))
        axes.grid(alpha=0.3)
        if column != "accuracy":
            axes.set_yscale("log")
    path = folder / FILE
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)
    return path


def _curve(rows: list[dict[str, float]], column: str) -> tuple[list[float], list[float]]:
    return [row["epoch"] for row in rows], [row[column] for row in rows]
