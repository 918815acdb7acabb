"""Slim checkpoints in, PyTorch and Keras 3 models out, with proof that the outputs match.

    converters.convert("model.ckpt-60", "resnet.safetensors", "torch")

    ckpt = converters.load_checkpoint("model.ckpt-60")
    net = converters.to_torch(ckpt)
    model = converters.to_keras(ckpt)
    report = converters.verify(ckpt)

Importing this package imports no framework; each function imports the one it needs.
"""

from __future__ import annotations

import importlib

from converters.conversion import Outcome, convert
from converters.files import CheckpointError, WeightsFile, open_weights
from converters.models.targets import to_keras, to_torch
from converters.models.transcoding import transcode
from converters.proof.report import Report
from converters.proof.verification import verify
from converters.recognise.loading import load_checkpoint
from converters.recognise.recognised import Recognised
from slim_resnet.processes import kept_processes

__all__ = [
    "CheckpointError",
    "Outcome",
    "Report",
    "Recognised",
    "WeightsFile",
    "convert",
    "kept_processes",
    "load_checkpoint",
    "open_weights",
    "to_keras",
    "to_torch",
    "transcode",
    "verify",
]

# Modules by their short names; each imports the framework that it needs.
_MODULES = {
    "keras_model": "models.keras_model",
    "libraries": "formats.libraries",
    "library_files": "formats.library_files",
    "torch_model": "models.torch_model",
    "training": "models.training",
}


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{_MODULES[name]}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
