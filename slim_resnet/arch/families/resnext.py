"""ResNeXt (arXiv:1611.05431) as slim would have built it, with units of v1 and of v2."""

from __future__ import annotations

from slim_resnet.arch.families.resnet import imagenet, with_se
from slim_resnet.arch.family import Family, add, register

register(
    Family(
        name="resnext_v1",
        generator="resnext_v1:resnext_v1",
        unit_fns={"bottleneck_v1": "resnext_v1:bottleneck"},
    )
)
add(*(imagenet("resnext_v1", "bottleneck_v1", depth, "32x4d") for depth in (50, 101, 152)))
add(*(imagenet("resnext_v1", "bottleneck_v1", 101, groups) for groups in ("32x8d", "64x4d")))
add(*(with_se(imagenet("resnext_v1", "bottleneck_v1", depth, "32x4d")) for depth in (50, 101)))

register(
    Family(
        name="resnext_v2",
        generator="resnext_v2:resnext_v2",
        unit_fns={"bottleneck_v2": "resnext_v2:bottleneck"},
    )
)
add(*(imagenet("resnext_v2", "bottleneck_v2", depth, "32x4d") for depth in (50, 101)))
