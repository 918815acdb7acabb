"""The architectures that are known by name; `families` declares them."""

from __future__ import annotations

import difflib

from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.families.cifar_script import resnext_cifar
from slim_resnet.arch.family import ENTRIES

__all__ = ["REGISTRY", "get", "resnext_cifar"]

REGISTRY: dict[str, Arch] = ENTRIES


def get(name: str, **changes) -> Arch:
    """The registry's `name`, with `Arch.replace(**changes)` applied.

    Raises:
        ValueError: there is no such architecture; the message names the nearest ones.
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=3) or sorted(REGISTRY)
        raise ValueError(f"unknown architecture {name!r}: did you mean {', '.join(near)}?")
    return REGISTRY[name].replace(**changes)
