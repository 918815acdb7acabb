"""What is run of a graph: data that goes to the process that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from converters.files.errors import CheckpointError


class GraphRunError(CheckpointError):
    """A graph cannot be run on what it is fed, such as images of a size that it does not take."""


@dataclass(frozen=True)
class Fed:
    """An operation whose value is given.

    Attributes:
        dtype: NumPy's name of the type that the graph has.
        shape: its axes' sizes, None where any will do.
    """

    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Plan:
    """What of a graph is run, and how.

    Values are named as in the graph: "scope/Relu", "scope/split:1".

    Attributes:
        path: of the graph, for errors.
        fetches: the values that are asked for.
        inputs: the values that are fed; what computes them is not run.
        dtype: "float32", as the graph is, or "float64".
        scalars: placeholders with the value that they have, such as {"is_training": False}.
        numbers: constants of one number -> what they are in float64. Others become the decimal
            that was written in the code: 0.001, and not 0.0010000000474974513.
        passed: value -> the value that takes its place: dropouts, statistics of a batch.
        norms: fused batch norm in training -> the values, moving mean and variance, by which it
            normalises instead of the batch's.
        is_training: what a placeholder that tells training from inference is fed. In training,
            random numbers are such that dropouts keep every value, and noise is 0; and constants
            may be fractions, as what dropouts scale by is.
        updates: operations that run beside, such as those of moving statistics.
    """

    path: str
    fetches: tuple[str, ...]
    inputs: Mapping[str, Fed]
    dtype: str = "float64"
    scalars: Mapping[str, bool | int | float] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    passed: Mapping[str, str] = field(default_factory=dict)
    norms: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    is_training: bool = False
    updates: tuple[str, ...] = ()
