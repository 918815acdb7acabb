"""What a converted file says of itself."""

from __future__ import annotations

import os

from .slim_checkpoint import SlimCheckpoint

# The key under which a file carries its architecture.
ARCH_KEY = "slim_resnet.arch"


def metadata(ckpt: SlimCheckpoint) -> dict[str, str]:
    """The architecture (in the grouped form), the checkpoint's name and its training step."""
    found = {ARCH_KEY: ckpt.arch.grouped.to_json(), "source": os.path.basename(ckpt.path)}
    if ckpt.global_step is not None:
        found["global_step"] = str(ckpt.global_step)
    return found
