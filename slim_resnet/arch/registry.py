"""The registry of architectures; what one is made of is in `architecture` and `parts`.

Nothing here imports a framework. Sources: arXiv:1512.03385, arXiv:1603.05027, arXiv:1611.05431.
"""

from __future__ import annotations

import difflib

from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Stage, stage_width

_UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}


def _imagenet(family: str, unit: str, depth: int, groups: str | None = None, **fields) -> Arch:
    """`groups` is the paper's "32x4d": cardinality 32, 4 channels in each group at 64 planes."""
    cardinality, base_width = map(int, groups[:-1].split("x")) if groups else (1, 64)
    expansion = 1 if unit.startswith("basic") else 4
    stages = tuple(
        Stage(units, expansion * planes, stage_width(planes, cardinality, base_width), stride)
        for units, planes, stride in zip(
            _UNITS[depth], (64, 128, 256, 512), (2, 2, 2, 1), strict=True
        )
    )
    name = f"{family}_{depth}" + (f"_{groups}" if groups not in (None, "32x4d") else "")
    return Arch(name, family, unit, stages, cardinality, **fields)


# Nets for CIFAR: three stages on 32x32 images; their papers put the stride into a stage's first
# unit, as torchvision does.
_CIFAR = {"num_classes": 10, "convention": "torchvision", "stem": "cifar"}


def _resnet_cifar(depth: int, option: str) -> Arch:
    """Section 4.2 of arXiv:1512.03385: 6n + 2 layers, shortcut option A or B."""
    stages = tuple(
        Stage((depth - 2) // 6, width, width, stride)
        for width, stride in zip((16, 32, 64), (1, 2, 2), strict=True)
    )
    name = f"resnet_cifar_{depth}" + ("_b" if option == "B" else "")
    shortcut = {"A": "pad", "B": "projection"}[option]
    return Arch(
        name, "resnet_cifar", "basic_v1", stages, root_depth=16, shortcut=shortcut, **_CIFAR
    )


def _resnext_29(cardinality: int, base_width: int) -> Arch:
    """Section 5.2 of arXiv:1611.05431: bottleneck units, three stages of three."""
    stages = tuple(
        Stage(3, 4 * planes, stage_width(planes, cardinality, base_width), stride)
        for planes, stride in zip((64, 128, 256), (1, 2, 2), strict=True)
    )
    name = f"resnext_29_{cardinality}x{base_width}d"
    return Arch(name, "resnext_29", "bottleneck_v1", stages, cardinality, **_CIFAR)


def resnext_cifar(cardinality: int = 8, depth: int = 64, num_classes: int = 10) -> Arch:
    """The net of the widely copied TensorFlow 1 CIFAR script: split, transform, concat, transition.

    Args:
        cardinality: the number of branches.
        depth: channels of a branch.
        num_classes: outputs of the dense layer, which has no bias.
    """
    stages = tuple(
        Stage(3, width, cardinality * depth, stride)
        for width, stride in zip((64, 128, 256), (1, 2, 2), strict=True)
    )
    return Arch(
        "resnext_cifar",
        "resnext_cifar",
        "split_v1",
        stages,
        cardinality,
        num_classes,
        convention="torchvision",
        stem="cifar",
        shortcut="average_pad",
        form="concat" if cardinality > 1 else "grouped",
        batch_norm_epsilon=1e-3,
        batch_norm_decay=0.9,
        logits_bias=False,
    )


REGISTRY: dict[str, Arch] = {
    arch.name: arch
    for arch in (
        *(_imagenet("resnet_v1", "basic_v1", depth) for depth in (18, 34)),
        *(_imagenet("resnet_v1", "bottleneck_v1", depth) for depth in (50, 101, 152, 200)),
        *(_imagenet("resnet_v2", "bottleneck_v2", depth) for depth in (50, 101, 152, 200)),
        *(_imagenet("resnext_v1", "bottleneck_v1", depth, "32x4d") for depth in (50, 101, 152)),
        _imagenet("resnext_v1", "bottleneck_v1", 101, "32x8d"),
        _imagenet("resnext_v1", "bottleneck_v1", 101, "64x4d"),
        *(_imagenet("resnext_v2", "bottleneck_v2", depth, "32x4d") for depth in (50, 101)),
        *(_resnet_cifar(depth, option) for option in "AB" for depth in (20, 32, 44, 56, 110)),
        _resnext_29(8, 64),
        _resnext_29(16, 64),
        resnext_cifar(),
    )
}


def get(name: str, **changes) -> Arch:
    """The registry's `name`, with `Arch.replace(**changes)` applied.

    Raises:
        ValueError: there is no such architecture; the message names the nearest ones.
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=3) or sorted(REGISTRY)
        raise ValueError(f"unknown architecture {name!r}: did you mean {', '.join(near)}?")
    return REGISTRY[name].replace(**changes)
