"""TF1-slim ResNet and ResNeXt on today's TensorFlow, drop-in for `tf_slim.nets`.

Importing this package imports no framework; TensorFlow and tf-slim load with the first
network module that is touched::

    from slim_resnet import resnet_v1, resnext_v1, resnet_utils
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_MODULES = (
    "arch",
    "compat",
    "datasets",
    "files",
    "forms",
    "frameworks",
    "generator",
    "graph",
    "inference",
    "layers",
    "legacy",
    "processes",
    "regression",
    "resnet_cifar",
    "resnet_utils",
    "resnet_v1",
    "resnet_v2",
    "resnext_cifar",
    "resnext_v1",
    "resnext_v2",
    "training",
)

__all__ = list(_MODULES)


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
