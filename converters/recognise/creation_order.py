"""The layers of a residual network from nothing but the order in which they were made.

Code that names no layer leaves it to `tf.layers` and Keras: conv2d, conv2d_1, conv2d_2, ... The
sizes of the kernels tell which of them make a unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from converters.files.errors import Malformed

# What the texts of a group of a rule may be numbers of.
CONVOLUTION, NORM = "convolution", "batch norm"
KINDS = (CONVOLUTION, NORM)

# Kind of unit -> the sizes of its kernels, the projection's, which is made first, left out.
_UNITS = {"bottleneck": "131", "basic": "33"}
_NUMBER = re.compile(r"(?P<stem>.*?)(?:_(?P<number>\d{1,9}))?")


@dataclass(frozen=True)
class Made:
    """The scopes of a network's convolutions, and of its batch norms, as they were made."""

    convolutions: tuple[str, ...]
    norms: tuple[str, ...]


@dataclass(frozen=True)
class _Unit:
    scope: str
    has_projection: bool
    convs: tuple[str, ...]


def in_order(names: Iterable[str]) -> list[str]:
    """Names that differ in TensorFlow's number for a second one, by that number.

    Raises:
        Malformed: they differ in more, or a number is missing between them.
    """
    numbers: dict[int, str] = {}
    stems = set()
    for name in names:
        match = _NUMBER.fullmatch(name)
        stems.add(match["stem"])
        numbers[int(match["number"] or 0)] = name
    if len(stems) > 1:
        raise Malformed(f"{' and '.join(sorted(stems)[:2])} are not numbered together")
    missing = next((n for n in range(min(numbers), max(numbers)) if n not in numbers), None)
    if missing is not None:
        raise Malformed(
            f"{stems.pop()}_{missing} is missing, so the order of creation is not known",
            "give the whole checkpoint, or its graph",
        )
    return [numbers[number] for number in sorted(numbers)]


def scopes(
    shapes: Mapping[str, Mapping[str, tuple[int, ...]]], kinds: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """The scopes of numbered layers.

    Args:
        shapes: group -> its texts, which number layers -> the shape of a variable of that layer.
        kinds: group -> which layers, one of `KINDS`; one of the groups numbers convolutions.

    Returns:
        Group -> text -> scope below the network's.

    Raises:
        Malformed: as `in_order` and `layers`.
    """
    if not kinds:
        return {}
    ordered = {kinds[group]: in_order(texts) for group, texts in shapes.items()}
    kernels = {kinds[group]: texts for group, texts in shapes.items()}[CONVOLUTION]
    names = ordered[CONVOLUTION]
    made = layers([kernels[name] for name in names], len(ordered.get(NORM, ())))
    found = {CONVOLUTION: made.convolutions, NORM: made.norms}
    return {
        group: dict(zip(ordered[kind], found[kind], strict=True)) for group, kind in kinds.items()
    }


def layers(kernels: Sequence[tuple[int, ...]], num_norms: int) -> Made:
    """What the layers of a residual network are in slim's.

    A unit's projection is made before its other convolutions, a batch norm after its convolution
    or, in pre-activation units, before all of them; the first convolution is the root.

    Args:
        kernels: shapes [height, width, input, output channels] of the convolutions, as made.
        num_norms: how many batch norms there are.

    Returns:
        Scopes below the network's, those of batch norms included: "conv1", "conv1/BatchNorm",
        "block1/unit_1/bottleneck_v1/shortcut", ...

    Raises:
        Malformed: the kernels are not those of residual units, or the norms not theirs.
    """
    if any(len(shape) != 4 for shape in kernels):
        raise Malformed("a numbered convolution in it has no kernel of rank 4")
    sizes = "".join(str(min(height, 9)) for height, *_ in kernels[1:])
    kind = next((k for k, unit in _UNITS.items() if re.fullmatch(f"(1?{unit})+", sizes)), None)
    if kind is None:
        raise Malformed(
            f"its {len(kernels)} convolutions, in the order of their numbers, make no residual "
            "units: this is another network",
            "give its graph (.meta)",
        )
    if kind == "basic" and num_norms < len(kernels):
        raise Malformed(
            "its units are pre-activation units of two 3x3 convolutions, which no architecture "
            "here has",
            "give its graph (.meta), which is converted whole",
        )
    for version, norms_of in {"v1": _norms_v1, "v2": _norms_v2}.items():
        units = list(_units(kernels[1:], sizes, kind, version))
        norms = tuple(norms_of(units))
        if len(norms) == num_norms:
            return Made(("conv1", *(f"{u.scope}/{c}" for u in units for c in _convs(u))), norms)
    raise Malformed(
        f"it has {num_norms} batch norms for {len(kernels)} convolutions, neither as many as units "
        "with a batch norm behind each have, nor as pre-activation units",
        "give its graph (.meta)",
    )


def _units(
    kernels: Sequence[tuple[int, ...]], sizes: str, kind: str, version: str
) -> Iterator[_Unit]:
    block = index = 0
    for match in re.finditer(f"(1(?={_UNITS[kind]}))?{_UNITS[kind]}", sizes):
        has_projection = match[1] is not None
        depth_in, depth = kernels[match.start()][2], kernels[match.end() - 1][3]
        if has_projection or depth_in != depth or not block:
            block, index = block + 1, 0
        index += 1
        convs = tuple(f"conv{number}" for number in range(1, len(_UNITS[kind]) + 1))
        yield _Unit(f"block{block}/unit_{index}/{kind}_{version}", has_projection, convs)


def _convs(unit: _Unit) -> Iterator[str]:
    if unit.has_projection:
        yield "shortcut"
    yield from unit.convs


def _norms_v1(units: Sequence[_Unit]) -> Iterator[str]:
    yield "conv1/BatchNorm"
    for unit in units:
        for conv in _convs(unit):
            yield f"{unit.scope}/{conv}/BatchNorm"


def _norms_v2(units: Sequence[_Unit]) -> Iterator[str]:
    for unit in units:
        yield f"{unit.scope}/preact"
        for conv in unit.convs[:-1]:
            yield f"{unit.scope}/{conv}/BatchNorm"
    yield "postnorm"
