"""Architectures as data: what a network is made of, and the known ones by name; no framework.

arch = slim_resnet.arch.get("resnext_v1_50", num_classes=10)
arch.units, arch.variables, arch.end_points  # spelled out layer by layer
"""

from __future__ import annotations

from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.facts import with_facts
from slim_resnet.arch.parts import Activation, Conv, Norm, Stage, Unit, Variable
from slim_resnet.arch.registry import REGISTRY, get, resnext_cifar
from slim_resnet.arch.sentences import assumptions

__all__ = [
    "REGISTRY",
    "Activation",
    "Arch",
    "Conv",
    "Norm",
    "Stage",
    "Unit",
    "Variable",
    "assumptions",
    "get",
    "resnext_cifar",
    "with_facts",
]
