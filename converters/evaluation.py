"""Accuracy of a checkpoint, or of what it was converted to, on one and the same dataset."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from converters.files import CheckpointError
from converters.formats.table import FORMATS
from converters.models.targets import to_keras, to_torch
from converters.recognise.loading import load_checkpoint
from converters.recognise.recognised import Recognised
from slim_resnet.frameworks import require

ENGINES = ("slim", "torch", "keras")
Predict = Callable[[np.ndarray], np.ndarray]


def engine_of(path: str | os.PathLike) -> str | None:
    """The engine of a converted file, from its suffix; None for a slim checkpoint."""
    found = (each for each in _FILES if os.fspath(path).endswith(suffixes_of(each)))
    return next(found, None)


def suffixes_of(engine: str) -> tuple[str, ...]:
    """The suffixes of the files that `predictor` runs on an engine of their own."""
    return tuple(format.suffix for format in FORMATS if format.runner == engine)


def predictor(path: str | os.PathLike, engine: str = "slim", **options) -> Predict:
    """The model in a file, as a function that `slim_resnet.training.evaluation.evaluate` takes.

    Args:
        path: a slim checkpoint (all that `load_checkpoint` reads), or what was converted from one:
            `.pt`, `.safetensors` (PyTorch) or `.keras`.
        engine: one of `ENGINES`, what a slim checkpoint runs on; a converted file has its own.
        **options: of `load_checkpoint`.

    Returns:
        A function from images [n, height, width, 3], float32, to logits [n, classes].

    Raises:
        CheckpointError: the file is missing, broken or of something else.
        ValueError: an unknown engine.
        MissingFrameworkError: the engine is not installed.
    """
    own = engine_of(path)
    if own:
        return _FILES[own](os.fspath(path))
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r}: use {', '.join(ENGINES)}")
    ckpt = load_checkpoint(path, **options)
    if ckpt.num_classes is None:
        raise CheckpointError(f"{ckpt.path}: the network in it has no logits, and so no accuracy")
    return _CHECKPOINTS[engine](ckpt)


def warm_start(path: str | os.PathLike, arch, **options) -> dict[str, np.ndarray]:
    """The weights of a checkpoint as initial values of another training.

    Args:
        path: what `load_checkpoint` reads, of any form of the network.
        arch: the `Arch` to be trained; where its number of classes is another, the logits layer
            is left out.
        **options: of `load_checkpoint`.

    Returns:
        Name in `arch.variables` -> array.

    Raises:
        CheckpointError: as `load_checkpoint`; or the checkpoint is of another network.
    """
    from converters.models.transcoding import transcode

    ckpt = load_checkpoint(path, **options)
    if ckpt.arch.form != arch.form:
        ckpt = transcode(ckpt, arch.form)
    values = ckpt.stored()
    found = {}
    for variable in arch.variables:
        value = values.get(variable.name)
        if value is None or value.shape != variable.shape:
            if arch.num_classes != ckpt.num_classes and _is_logits(variable.name):
                continue
            has = "it is not there" if value is None else f"its shape there is {value.shape}"
            raise CheckpointError(
                f"{ckpt.path}: of another network than {arch.name} ({arch.describe()}): "
                f"{variable.name} has the shape {variable.shape}, {has}"
            )
        found[variable.name] = value
    return found


def _is_logits(name: str) -> bool:
    return name.startswith(("logits/", "linear/"))


def _slim(ckpt: Recognised) -> Predict:
    require("tensorflow")
    from slim_resnet.training.evaluator import Evaluator

    values = ckpt.stored()
    evaluator = Evaluator(ckpt.arch, next(iter(values.values())).dtype.name)
    evaluator.assign(values)
    return evaluator


def of_torch(net) -> Predict:
    torch = require("torch")
    dtype = next(net.parameters()).dtype

    def predict(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return net(torch.from_numpy(images).permute(0, 3, 1, 2).to(dtype)).numpy()

    return predict


def _keras(model) -> Predict:
    keras = require("keras")
    return lambda images: keras.ops.convert_to_numpy(model(images, training=False))


def _keras_checkpoint(ckpt: Recognised) -> Predict:
    dtype = next(iter(ckpt.stored().values())).dtype.name
    return _keras(to_keras(ckpt, dtype))


def _torch_file(path: str) -> Predict:
    from converters.models import torch_model

    return of_torch(torch_model.load(path))


def _keras_file(path: str) -> Predict:
    keras = require("keras")
    if not os.path.exists(path):
        raise CheckpointError(f"{path}: no such file")
    try:
        return _keras(keras.saving.load_model(path, compile=False, safe_mode=True))
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: cannot be read: {(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from error


_CHECKPOINTS = {
    "slim": _slim,
    "torch": lambda ckpt: of_torch(to_torch(ckpt)),
    "keras": _keras_checkpoint,
}
_FILES = {"torch": _torch_file, "keras": _keras_file}
