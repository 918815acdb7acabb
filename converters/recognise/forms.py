"""The three forms of a ResNeXt unit hold the same numbers: merged and split, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Variable


def merge(arch: Arch, stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights of `arch` in the grouped form.

    Args:
        arch: the architecture; its form says what `stored` holds.
        stored: name in `arch.variables` -> array; for each weight of the grouped form all of its
            parts or none.

    Returns:
        Name in `arch.grouped.variables` -> array, in that order.

    Raises:
        KeyError: a part is missing where others of its weight are there.
    """
    parts = _parts(arch)
    found = {}
    for whole in arch.grouped.variables:
        members = parts[whole.name]
        if any(part.name in stored for part in members):
            arrays = [stored[part.name] for part in members]
            joined = np.concatenate(arrays, members[0].axis) if len(arrays) > 1 else arrays[0]
            found[whole.name] = joined.reshape(whole.shape)
    return found


def split(arch: Arch, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The reverse of `merge`: grouped weights as the variables of `arch` in its form."""
    found = {}
    for whole, members in _parts(arch).items():
        if whole in weights:
            value, count = weights[whole], len(members)
            arrays = np.split(value, count, members[0].axis) if count > 1 else [value]
            for part, array in zip(members, arrays, strict=True):
                found[part.name] = array.reshape(part.shape)
    return {v.name: found[v.name] for v in arch.variables if v.name in found}


def _parts(arch: Arch) -> dict[str, list[Variable]]:
    """Weight of the grouped form -> the variables that hold it, in the order of the branches."""
    parts: dict[str, list[Variable]] = {}
    for variable in arch.variables:
        parts.setdefault(variable.whole, []).append(variable)
    return parts
