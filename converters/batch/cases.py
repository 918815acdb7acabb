"""Recorded cases: checkpoints with what TensorFlow 1 computed with them, converted and compared.

A case is a folder::

    case.json    "checkpoint": its prefix, "ref": the name of the recorded arrays' file; "inputs"
                 and "outputs": {operation: key of its array}; "note": what it is, in a line;
                 "random": where TensorFlow draws what it computes, so that nothing is to be
                 compared: what; "bound": of the difference, where the graph computes in less
                 than float32
    ref.npz      the arrays, images [batch, height, width, channels]
    model.ckpt.index, .data-..., .meta      or a frozen graph, a SavedModel
"""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from converters import formats
from converters.conversion import Unproved, convert
from converters.proof.conversions import about
from converters.proof.written import RUNNERS
from converters.recognise.recognised import Recognised
from slim_resnet.processes import Process, keep_processes, one_line

Arrays = Mapping[str, np.ndarray]
_ENVIRONMENT = {"PYTHONWARNINGS": "ignore", "TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Case:
    """What was recorded.

    Attributes:
        name: of its folder.
        checkpoint: the file, or prefix, to convert.
        inputs: name of an operation -> what was fed to it.
        outputs: name of an operation -> what it gave.
        note: what it is.
        random: what is drawn at random in it; "": nothing.
        bound: of the largest difference over the largest recorded value.
    """

    name: str
    checkpoint: str
    inputs: Arrays
    outputs: Arrays
    note: str = ""
    random: str = ""
    bound: float = 1e-4


@dataclass(frozen=True)
class CaseResult:
    """What came of a case in one target.

    Attributes:
        parameters: how many numbers its layers read.
        layers: of the network.
        seconds: of the conversion, with its proof where that was wanted.
        difference: the largest over the largest recorded value, at the worst output.
        worst: that output.
        rounding: how far the same file is from itself in float64, where its target can tell: what
            float32 costs in this network, TensorFlow's as well.
        error: why there is no file.
    """

    parameters: int | None = None
    layers: int | None = None
    seconds: float | None = None
    difference: float | None = None
    worst: str = ""
    rounding: float | None = None
    error: str = ""


def read_case(folder: str | os.PathLike) -> Case:
    """Reads a case.

    Raises:
        OSError, ValueError, KeyError: the folder is no case.
    """
    folder = pathlib.Path(folder)
    told = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    with np.load(folder / told["ref"], allow_pickle=False) as recorded:
        inputs, outputs = (
            {name: recorded[key] for name, key in told[side].items()}
            for side in ("inputs", "outputs")
        )
    checkpoint = str(folder / told["checkpoint"])
    more = {name: told[name] for name in ("note", "random", "bound") if name in told}
    return Case(folder.name, checkpoint, inputs, outputs, **more)


class CaseConverter:
    """Converts cases one after the other in processes of its own; a context manager.

    Frameworks are imported once: one process converts, and one for each target runs what was
    written, as `converters.proof.written` runs it. One that is lost is that case's error.

    Args:
        folder: where the files are written, each named after its case.
        verified: whether to prove each conversion, too, before its file is there.
    """

    def __init__(self, folder: str | os.PathLike, verified: bool = True) -> None:
        self._folder = os.fspath(folder)
        self._verified = verified
        self._processes: dict[str, Process] = {}

    def __enter__(self) -> CaseConverter:
        return self

    def __exit__(self, *_) -> None:
        for process in self._processes.values():
            process.stop()

    def convert(self, case: Case, target: str) -> CaseResult:
        """Converts a case, runs the written file on what was recorded, and compares.

        Args:
            case: from `read_case`.
            target: one of `formats.targets()`.

        Returns:
            What came of it; everything that goes wrong is its `error`.
        """
        path = os.path.join(self._folder, case.name + formats.usual_suffix(target))
        try:
            process = self._process("", lambda: Process(environment=_ENVIRONMENT, quiet=True))
            result, format, told = process.call(_write, case, target, path, self._verified)
            runner = RUNNERS[format]
            process = self._process(format, runner.process)
            (arrays,) = process.call(runner.run, path, [case.inputs], told)
            if runner.doubles:
                told = {**told, "dtype": "float64", "end_points": True}
                (exact,) = process.call(runner.run, path, [case.inputs], told)
                exact = {name: exact[name] for name in told["outputs"]}
                result = replace(result, rounding=worst_difference(exact, arrays)["difference"])
            return replace(result, **worst_difference(case.outputs, arrays))
        except (ValueError, OSError, ImportError) as error:
            return CaseResult(error=str(error))
        except Exception as error:  # a fault of ours, or a framework's, must not stop the others
            return CaseResult(error=one_line(error))

    def _process(self, key: str, make: Callable[[], Process]) -> Process:
        if key not in self._processes or not self._processes[key].alive:
            self._processes[key] = make()
        return self._processes[key]


def _write(
    case: Case, target: str, path: str, verified: bool
) -> tuple[CaseResult, str, dict[str, object]]:
    """Converts a case; how large it is, and what `RUNNERS` need to run the file.

    Raises:
        ValueError, OSError, ImportError: as `converters.convert`, and where its proof failed.
    """
    keep_processes()
    found: list[Recognised] = []
    outcome = convert(
        case.checkpoint,
        path,
        target,
        verified=verified,
        inputs=tuple(case.inputs),
        outputs=tuple(case.outputs),
        overwrite=True,  # in a folder of the converter's own
        opened=lambda ckpt, left_out: found.append(ckpt),
    )
    if outcome.error:
        raise Unproved(outcome.error)
    (ckpt,) = found
    format = formats.find_format(target, path)
    return CaseResult(*_size(ckpt), outcome.seconds), format.runner, about(ckpt, format)


def worst_difference(recorded: Arrays, arrays: Arrays) -> dict[str, object]:
    """The largest "difference" over the largest recorded value, and the "worst" output.

    Args:
        recorded: name of an output -> its array.
        arrays: what was computed, in the same order; one output may have another name.

    Raises:
        ValueError: shapes differ.
    """
    differences = {
        name: _difference(expected.astype(np.float64), np.asarray(found).astype(np.float64))
        for (name, expected), found in zip(recorded.items(), arrays.values(), strict=True)
    }
    worst = max(differences, key=differences.get)
    return {"difference": differences[worst], "worst": worst}


def _difference(expected: np.ndarray, found: np.ndarray) -> float:
    if expected.shape != found.shape:
        shapes = f"{list(found.shape)}, recorded was {list(expected.shape)}"
        raise ValueError(f"an output's shape is {shapes}")
    largest = np.abs(expected).max(initial=0.0)
    difference = np.abs(expected - found).max(initial=0.0) / (largest or 1.0)
    return float(difference) if np.isfinite(difference) else math.inf


def _size(ckpt: Recognised) -> tuple[int, int]:
    """How many numbers the layers read, and how many layers."""
    if ckpt.network is None:
        return ckpt.arch.num_parameters, len(ckpt.arch.end_points)
    numbers = (np.prod(p.shape, dtype=int) for p in ckpt.network.parameters.values())
    return int(sum(numbers)), len(ckpt.network.layers)
