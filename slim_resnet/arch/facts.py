"""What users say of a network that its variables do not tell.

Variables tell some facts of an `Arch` (`batch_norm_scale`: is there a gamma?); the others are read
off a graph, told by a user (here), or assumed (`slim_resnet.arch.sentences`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from slim_resnet.arch.checks import CHOICES
from slim_resnet.arch.parts import Stage, check_choice

if TYPE_CHECKING:
    from slim_resnet.arch.architecture import Arch


def _choice(name: str, value: object) -> object:
    check_choice(name, value, CHOICES[name])
    return value


def _number(name: str, value: object, kind: type) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = kind(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}: give a number") from None
    if number < 0 or number != float(value):
        raise ValueError(f"{name} is {value!r}: no network has that")
    return number


def _positive(name: str, value: object) -> int:
    number = _number(name, value, int)
    if number < 1:
        raise ValueError(f"{name} is {value!r}: give a number from 1 on")
    return number


def _fraction(name: str, value: object) -> float:
    number = _number(name, value, float)
    if number > 1:
        raise ValueError(f"{name} is {value!r}: give a number from 0 to 1")
    return number


def _optional(name: str, value: object) -> int | None:
    return None if value in (None, "none") else _positive(name, value)


def _boolean(name: str, value: object) -> bool:
    words = {"true": True, "yes": True, "false": False, "no": False}
    found = value if isinstance(value, bool) else words.get(str(value).lower())
    if found is None:
        raise ValueError(f"{name} is {value!r}: use true or false")
    return found


def _integers(name: str, value: object) -> tuple[int, ...]:
    parts = value.replace("-", ",").split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise ValueError(f'{name} is {value!r}: give numbers, as in "1,2,4"')
    return tuple(_positive(name, part) for part in parts)


def _stem_or_convention(name: str, value: object) -> object:
    return value  # checked by `named_facts`


# What variables do not tell -> how what a user says of it is read.
TOLD: dict[str, Callable[[str, object], object]] = {
    "convention": _stem_or_convention,
    "stride_unit": _choice,
    "stride_conv": _stem_or_convention,
    "strides": _integers,
    "output_stride": _optional,
    "multi_grid": _integers,
    "root_stride": _positive,
    "root_padding": _choice,
    "root_pool": _choice,
    "conv_padding": _choice,
    "shortcut": _choice,
    "activation": _choice,
    "activation_slope": _fraction,
    "unit_activation": _choice,
    "use_bounded_activations": _boolean,
    "batch_norm_epsilon": _fraction,
    "batch_norm_decay": _fraction,
    "global_pool": _boolean,
}


def with_facts(arch: Arch, facts: Mapping[str, object]) -> Arch:
    """`arch` with what a user says that variables do not tell.

    Args:
        arch: found from variables.
        facts: name -> value; values may be texts, as a command line has them. The names are fields
            of `Arch`, and

            - "convention": "slim" or "torchvision", for `stride_unit` and `root_pool`;
            - "strides": those of the blocks, from the first on, e.g. "1,2,2,2";
            - "multi_grid": the rates of the last block's units, e.g. "1,2,4" (DeepLab).

    Raises:
        ValueError: an unknown name or value, or facts that do not go together.
    """
    known = ", ".join(TOLD)
    for name in facts:
        if name in TOLD:
            continue
        if name in {field.name for field in dataclasses.fields(arch)}:
            raise ValueError(f"{name} is read from the variables: facts to tell are {known}")
        raise ValueError(f"unknown fact {name!r}: facts to tell are {known}")
    changes = {name: TOLD[name](name, value) for name, value in facts.items()}
    strides, multi_grid = changes.pop("strides", None), changes.pop("multi_grid", None)
    made = arch.replace(**changes)
    if strides is not None:
        made = made.replace(stages=_with_strides(made.stages, strides))
    if multi_grid is not None:
        last = dataclasses.replace(made.stages[-1], unit_rates=multi_grid)
        made = made.replace(stages=(*made.stages[:-1], last))
    _ = made.units  # refuses an output_stride that cannot be reached
    return made


def _with_strides(stages: tuple[Stage, ...], strides: tuple[int, ...]) -> tuple[Stage, ...]:
    if len(strides) != len(stages):
        raise ValueError(f"strides are {strides}: give one for each of the {len(stages)} blocks")
    return tuple(dataclasses.replace(s, stride=t) for s, t in zip(stages, strides, strict=True))
