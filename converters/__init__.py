"""Slim checkpoints in, PyTorch and Keras 3 models out, with proof that the outputs match.

    ckpt = converters.load_checkpoint("model.ckpt-60")
    net = converters.to_torch(ckpt)
    model = converters.to_keras(ckpt)
    report = converters.verify(ckpt)

Importing this package imports no framework; each function imports the one it needs.
"""

from __future__ import annotations

import importlib

from .checkpoint import CheckpointError
from .slim_checkpoint import SlimCheckpoint, load_checkpoint
from .targets import to_keras, to_torch
from .transcode import transcode
from .verification import Report, verify

__all__ = [
    "CheckpointError",
    "Report",
    "SlimCheckpoint",
    "load_checkpoint",
    "to_keras",
    "to_torch",
    "transcode",
    "verify",
]

_LAZY = ("exchange", "exchange_files", "export", "keras_model", "torch_model", "training")


def __getattr__(name: str):
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
