"""ResNets v1 (arXiv:1512.03385) and v2 (arXiv:1603.05027), as `tf_slim.nets` has them."""

from __future__ import annotations

import dataclasses

from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.family import Family, add, register
from slim_resnet.arch.parts import Stage, stage_width

# Depth -> units of each block.
UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}


def imagenet(family: str, unit: str, depth: int, groups: str | None = None) -> Arch:
    """A network of four blocks for ImageNet.

    Args:
        family: its family.
        unit: its kind of unit.
        depth: a key of `UNITS`.
        groups: the ResNeXt paper's "32x4d": cardinality 32, 4 channels in each group at 64 planes.
    """
    cardinality, base_width = map(int, groups[:-1].split("x")) if groups else (1, 64)
    expansion = 1 if unit.startswith("basic") else 4
    stages = tuple(
        Stage(units, expansion * planes, stage_width(planes, cardinality, base_width), stride)
        for units, planes, stride in zip(
            UNITS[depth], (64, 128, 256, 512), (2, 2, 2, 1), strict=True
        )
    )
    name = f"{family}_{depth}" + (f"_{groups}" if groups not in (None, "32x4d") else "")
    return Arch(name, family, unit, stages, cardinality)


def with_se(arch: Arch) -> Arch:
    """`arch` with squeeze-and-excitation (arXiv:1709.01507), of a sixteenth of its channels."""
    stages = (dataclasses.replace(s, se_depth=max(s.depth // 16, 8)) for s in arch.stages)
    return arch.replace(name=f"se_{arch.name}", stages=tuple(stages))


def resnet_d(depth: int) -> Arch:
    """ResNet-D of arXiv:1812.01187: a root of three 3x3, and nothing skipped by projections.

    Its blocks have their strides in the first unit, where the projections are.
    """
    arch = imagenet("resnet_v1", "bottleneck_v1", depth)
    return arch.replace(
        name=f"{arch.name}_d",
        deep_stem=(32, 32),
        root_kernel=3,
        shortcut="average_projection",
        convention="torchvision",
    )


# What slim's published checkpoints take, by its README and preprocessing code
# (`vgg_preprocessing.py`, `inception_preprocessing.py`).
register(
    Family(
        name="resnet_v1",
        generator="resnet_v1:resnet_v1",
        unit_fns={"basic_v1": "resnet_v1:basic", "bottleneck_v1": "resnet_v1:bottleneck"},
        fixed={"cardinality": 1},
        prototypes={"basic_v1": "resnet_v1_18", "bottleneck_v1": "resnet_v1_50"},
        grouped="resnext_v1",
        preprocessing="RGB, 0 to 255, minus the means 123.68, 116.779, 103.939",
    )
)
add(*(imagenet("resnet_v1", "basic_v1", depth) for depth in (18, 34)))
add(*(imagenet("resnet_v1", "bottleneck_v1", depth) for depth in (50, 101, 152, 200)))
# Twice as wide in the 3x3 convolutions (arXiv:1605.07146); torchvision's wide_resnet50_2 and so on.
add(
    *(
        imagenet("resnet_v1", "bottleneck_v1", depth, "1x128d").replace(
            name=f"wide_resnet_v1_{depth}_2"
        )
        for depth in (50, 101)
    )
)
add(with_se(imagenet("resnet_v1", "bottleneck_v1", 50)))
add(*map(resnet_d, (50, 101)))

register(
    Family(
        name="resnet_v2",
        generator="resnet_v2:resnet_v2",
        unit_fns={"bottleneck_v2": "resnet_v2:bottleneck"},
        fixed={"cardinality": 1},
        prototypes={"bottleneck_v2": "resnet_v2_50"},
        grouped="resnext_v2",
        preprocessing="RGB, scaled to -1 to 1",
    )
)
add(*(imagenet("resnet_v2", "bottleneck_v2", depth) for depth in (50, 101, 152, 200)))
