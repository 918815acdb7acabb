"""The architecture that a file says it holds, checked before anything is built from it."""

from __future__ import annotations

import typing
from collections.abc import Mapping

from converters.files import CheckpointError
from converters.files.metadata_keys import ARCH_KEY
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Stage


def recorded_arch(path: str, metadata: Mapping[str, str], num_arrays: int) -> Arch | None:
    """The `Arch` in a file's metadata, None where there is none.

    Args:
        path: the file, for errors.
        metadata: what it says of itself.
        num_arrays: how many it holds; a network has no more units, or branches of them, than that.

    Raises:
        CheckpointError: the description is broken or absurd.
    """
    if ARCH_KEY not in metadata:
        return None
    try:
        arch = Arch.from_json(metadata[ARCH_KEY])
        for part in (arch, *arch.stages):
            _check_fields(part)
        branches = 1 if arch.form == "grouped" else arch.cardinality
        units = sum(stage.num_units for stage in arch.stages)
        if not 1 <= units * branches <= num_arrays:
            raise ValueError(
                "its number of units, or of their branches, is not that of any network in the file"
            )
        _ = arch.units  # refuses an output_stride that cannot be reached
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: its architecture ({ARCH_KEY}) cannot be used: {error}: convert it again"
        ) from error
    return arch


def _check_fields(part: Arch | Stage) -> None:
    """Types are those of the dataclass; integers count something, floats are fractions of 1."""
    for name, kind in typing.get_type_hints(type(part)).items():
        value = getattr(part, name)
        if typing.get_origin(kind) is tuple:  # stages, or rates of units
            numbers = value if name != "stages" else ()
            if not all(type(number) is int and number >= 1 for number in numbers):
                raise ValueError(f"{name} is {value!r}")
            continue
        if typing.get_origin(kind) is tuple:
            for each in value:
                _check_value(name, each, int)
        else:
            _check_value(name, value, kind)


def _check_value(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{name} is {value!r}")
    if isinstance(value, int) and kind is not bool and value < 1:
        raise ValueError(f"{name} is {value}")
    if isinstance(value, float) and not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}")
