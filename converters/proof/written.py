"""The written file, opened and run by what its user will open it with, in a process of its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from converters.files.errors import CheckpointError
from converters.proof import ours, standalone
from slim_resnet.processes import Process, ProcessLostError

Arrays = Mapping[str, np.ndarray]
Run = Callable[[str, Sequence[Arrays], Mapping[str, object]], list[dict[str, np.ndarray]]]

# What a file must do without that is to be opened where this project is not.
_PROJECT = ("converters", "slim_resnet", "tools")
_CPU = {"CUDA_VISIBLE_DEVICES": "-1"}


@dataclass(frozen=True)
class Runner:
    """How files of a format are run.

    Attributes:
        run: opens and runs one; `converters.proof.standalone` states the contract.
        needs: the modules that have to be installed.
        opener: what opens it, in words.
        doubles: it also runs in float64, and gives the end points ("dtype" and "end_points" of
            `converters.proof.ours`).
    """

    run: Run
    needs: tuple[str, ...]
    opener: str
    doubles: bool = False

    @property
    def is_standalone(self) -> bool:
        """Whether its files are opened without this project."""
        return self.run.__module__ == standalone.__name__

    @property
    def missing(self) -> str | None:
        """The first module that is needed and not installed."""
        return next((name for name in self.needs if not importlib.util.find_spec(name)), None)

    def process(self, threads: int | None = None) -> Process:
        """A process that can `run` its files; threads of its framework, None: as cores there are.

        Where it `is_standalone`, that process cannot import this project.
        """
        without = _PROJECT if self.is_standalone else ()
        return Process(
            threads=threads,
            environment=_CPU,
            without=without,
            quiet=True,
            kept_for=self.needs[0],
        )


# Formats by what is written, with the suffix where a target has several.
RUNNERS: dict[str, Runner] = {
    "torch": Runner(ours.run_torch, ("torch",), "torch_model.load", doubles=True),
    "pt2": Runner(standalone.run_pt2, ("torch",), "torch.export.load"),
    "torch-source": Runner(standalone.run_torch_source, ("torch",), "its own model.py"),
    "torchvision": Runner(standalone.run_torchvision, ("torchvision",), "torchvision's class"),
    "timm": Runner(standalone.run_timm, ("timm",), "timm's class"),
    "keras": Runner(standalone.run_keras, ("keras",), "keras.saving.load_model"),
    "keras-weights": Runner(ours.run_keras_weights, ("keras",), "keras.Model.load_weights"),
    "keras_applications": Runner(
        standalone.run_keras_applications, ("keras",), "keras.applications' model"
    ),
    "onnx": Runner(standalone.run_onnx, ("onnxruntime",), "onnxruntime"),
    "frozen": Runner(standalone.run_frozen, ("tensorflow",), "a session of its graph"),
    "saved_model": Runner(standalone.run_saved_model, ("tensorflow",), "TensorFlow's loader"),
    "slim": Runner(ours.run_slim, ("tensorflow", "tf_slim"), "a plain tf.train.Saver"),
}


class WrittenFileError(CheckpointError):
    """A written file cannot be opened, or run, by what it is for."""


class WrittenFile:
    """A process in which a written file is run; a context manager.

    Args:
        format: a key of `RUNNERS`; nothing it needs may be `missing`.
        path: the file, or folder.
        about: what the file does not tell; see `converters.proof.standalone` and
            `converters.proof.ours`.
        threads: of its framework; None: as many as there are cores.
    """

    notes = ()
    tolerances: Mapping[str, float] = {}

    def __init__(
        self,
        format: str,
        path: str,
        about: Mapping[str, object],
        *,
        threads: int | None = None,
    ) -> None:
        self._runner = RUNNERS[format]
        self._path = path
        self._about = dict(about)
        self._process = self._runner.process(threads)

    def __enter__(self) -> WrittenFile:
        return self

    def __exit__(self, *_) -> None:
        self._process.stop()

    def run(self, batches: Sequence[Arrays], **about: object) -> None:
        """Begins to run the file; `result` waits.

        Args:
            batches: {name of an input: array}, images [batch, height, width, channels].
            **about: more of what the file does not tell.
        """
        self._process.submit(self._runner.run, self._path, list(batches), self._about | about)

    def result(self) -> list[dict[str, np.ndarray]]:
        """For each of the batches, name of an output -> array, images channels last.

        Raises:
            WrittenFileError: it cannot be opened or run; the message says by what, and why.
            ProcessLostError: the process was killed, as when memory runs out.
        """
        try:
            return self._process.result()
        except (ProcessLostError, WrittenFileError):
            raise
        except Exception as error:  # whatever its framework says of a bad file
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise WrittenFileError(
                f"{self._path}: {self._runner.opener} cannot run what was written: {lines[0]}"
            ) from error


def run_written(
    format: str,
    path: str,
    batches: Sequence[Arrays],
    about: Mapping[str, object],
    *,
    threads: int | None = None,
) -> list[dict[str, np.ndarray]]:
    """Runs a written file in a process of its own; see `WrittenFile`.

    Raises:
        WrittenFileError: it cannot be opened or run.
    """
    with WrittenFile(format, path, about, threads=threads) as file:
        file.run(batches)
        return file.result()


# Files of arrays alone: read by the library that their user has, and compared bit by bit.


def _npz(path: str) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _hdf5(path: str) -> dict[str, np.ndarray]:
    import h5py

    found = {}

    def visit(name: str, item: object) -> None:
        if hasattr(item, "shape"):  # a dataset, no group
            found[name] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


ARRAY_READERS: dict[str, Callable[[str], dict[str, np.ndarray]]] = {"npz": _npz, "hdf5": _hdf5}


def differing_arrays(format: str, path: str, expected: Arrays) -> list[str]:
    """The names of the arrays that a written file lacks, has besides, or has otherwise.

    Args:
        format: a key of `ARRAY_READERS`.
        path: the file.
        expected: name -> array, all that was to be written.

    Raises:
        WrittenFileError: it cannot be opened.
    """
    try:
        found = ARRAY_READERS[format](path)
    except Exception as error:  # whatever its library says of a bad file
        raise WrittenFileError(f"{path}: what was written cannot be read: {error}") from error
    names = dict.fromkeys([*expected, *found])
    return [name for name in names if not _same(found.get(name), expected.get(name))]


def _same(left: np.ndarray | None, right: np.ndarray | None) -> bool:
    if left is None or right is None or left.shape != right.shape or left.dtype != right.dtype:
        return False
    return left.tobytes() == right.tobytes()
