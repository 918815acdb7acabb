"""The network to train: a registry entry with the dataset's classes, narrower if asked."""

from __future__ import annotations

from slim_resnet import arch as arch_lib
from slim_resnet.arch.architecture import Arch


def choose(
    name: str,
    num_classes: int,
    *,
    width: float = 1.0,
    batch_norm_decay: float = 0.9,
    form: str | None = None,
    convention: str | None = None,
) -> Arch:
    """The registry's `name`, to be trained.

    Args:
        name: of the registry.
        num_classes: the dataset's.
        width: multiplies every stage's width and the root's; groups keep their number.
        batch_norm_decay: of the moving averages. 0.9 is that of the papers' own code; slim's 0.997
            takes thousands of steps to follow.
        form, convention: as in `Arch`; None: the entry's own.

    Raises:
        ValueError: no such entry, or it cannot be changed so.
    """
    changes = {"form": form, "convention": convention}
    arch = arch_lib.get(name, num_classes=num_classes, batch_norm_decay=batch_norm_decay)
    arch = arch.replace(**{k: v for k, v in changes.items() if v is not None})
    if width == 1.0:
        return arch
    if not width > 0:
        raise ValueError(f"the width cannot be {width}: it multiplies the network's")
    root_depth = max(int(arch.root_depth * width), 1)
    arch = arch.scale(width, min_base_depth=1).replace(root_depth=root_depth)
    if not all(stage.depth_bottleneck for stage in arch.stages):
        raise ValueError(f"{name} at width {width} has groups without channels: widen it")
    return arch
