"""ResNeXt-29 for CIFAR, section 5.2 of arXiv:1611.05431."""

from __future__ import annotations

from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.families.cifar_resnet import CIFAR
from slim_resnet.arch.family import Family, add, register
from slim_resnet.arch.parts import Stage, stage_width


def resnext_29(cardinality: int, base_width: int) -> Arch:
    """Bottleneck units, three blocks of three."""
    stages = tuple(
        Stage(3, 4 * planes, stage_width(planes, cardinality, base_width), stride)
        for planes, stride in zip((64, 128, 256), (1, 2, 2), strict=True)
    )
    name = f"resnext_29_{cardinality}x{base_width}d"
    return Arch(name, "resnext_29", "bottleneck_v1", stages, cardinality, **CIFAR)


register(
    Family(
        name="resnext_29",
        generator="resnext_cifar:resnext_29",
        unit_fns={"bottleneck_v1": "resnext_v1:bottleneck"},
        prototypes={"bottleneck_v1": "resnext_29_8x64d"},
    )
)
add(resnext_29(8, 64), resnext_29(16, 64))
