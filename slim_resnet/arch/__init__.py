"""Architectures as data: what a network is made of, and the known ones by name; no framework.

arch = slim_resnet.arch.get("resnext_v1_50", num_classes=10)
arch.units, arch.variables, arch.end_points  # spelled out layer by layer
"""

from __future__ import annotations

from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Conv, Norm, Stage, Unit, Variable
from slim_resnet.arch.registry import REGISTRY, get, resnext_cifar

__all__ = [
    "REGISTRY",
    "Arch",
    "Conv",
    "Norm",
    "Stage",
    "Unit",
    "Variable",
    "get",
    "resnext_cifar",
]
