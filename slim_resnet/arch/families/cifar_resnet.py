"""The CIFAR ResNets of section 4.2 of arXiv:1512.03385, with shortcut option A or B."""

from __future__ import annotations

from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.family import Family, add, register
from slim_resnet.arch.parts import Stage

# Three blocks on 32x32 images; the papers put the stride into a block's first unit.
CIFAR = {
    "num_classes": 10,
    "stride_unit": "first",
    "root_kernel": 3,
    "root_stride": 1,
    "root_pool": "none",
}


def resnet_cifar(depth: int, option: str) -> Arch:
    """The network of 6n + 2 layers."""
    stages = tuple(
        Stage((depth - 2) // 6, width, width, stride)
        for width, stride in zip((16, 32, 64), (1, 2, 2), strict=True)
    )
    name = f"resnet_cifar_{depth}" + ("_b" if option == "B" else "")
    shortcut = {"A": "pad", "B": "projection"}[option]
    return Arch(name, "resnet_cifar", "basic_v1", stages, root_depth=16, shortcut=shortcut, **CIFAR)


register(
    Family(
        name="resnet_cifar",
        generator="resnet_cifar:resnet_cifar",
        unit_fns={"basic_v1": "resnet_v1:basic"},
        fixed={"cardinality": 1},
        prototypes={"basic_v1": "resnet_cifar_20"},
    )
)
add(*(resnet_cifar(depth, option) for option in "AB" for depth in (20, 32, 44, 56, 110)))
