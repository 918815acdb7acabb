"""The networks that the names and shapes of variables can be read as."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Mapping

from converters.files import CheckpointError
from slim_resnet import arch as arch_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import UNIT_KINDS, Stage

Shapes = Mapping[str, tuple[int, ...]]

_UNIT = re.compile(
    rf"^(?:(?P<scope>.+?)/)?block(?P<block>\d{{1,9}})/unit_(?P<unit>\d{{1,9}})/"
    rf"(?P<kind>{'|'.join(UNIT_KINDS)})/"
)

# The first batch norms of the CIFAR script's branches, one for each branch.
_SCRIPT = re.compile(r"^(?:(?P<scope>.+)/)?split_layer_1_0_splitN_\d+_batch1/gamma$")

# A registry entry with the same (kind of unit, root kernel): what shapes do not tell is as there.
_PROTOTYPES = {
    ("bottleneck_v1", 7): "resnet_v1_50",
    ("bottleneck_v2", 7): "resnet_v2_50",
    ("basic_v1", 7): "resnet_v1_18",
    ("basic_v1", 3): "resnet_cifar_20",
    ("bottleneck_v1", 3): "resnext_29_8x64d",
    ("split_v1", 3): "resnext_cifar",
}

# Form of a ResNeXt unit -> the weights that only units of that form have, in a unit's scope.
_FORM_MARKS = {
    "grouped": ("conv2/weights",),
    "concat": ("branch_0/conv2/weights", "conv3/weights"),
    "branches": ("branch_0/conv3/weights",),
}


def scopes(names: Mapping[str, object]) -> list[str]:
    """The variable scopes that hold units of a network, "" for none."""
    matches = (pattern.match(name) for pattern in (_UNIT, _SCRIPT) for name in names)
    return sorted({match["scope"] or "" for match in matches if match})


def num_classes(inner: Shapes) -> int | None:
    """The number of outputs of the logits layer, None where there is none."""
    shape = inner.get("logits/weights") or inner.get("linear/kernel")
    return shape[-1] if shape else None


def readings(inner: Shapes, where: str) -> list[Arch]:
    """Every network that `inner` can be read as, whole or not, one for each kind and form of unit.

    Args:
        inner: name below one scope -> shape.
        where: the checkpoint and the scope, for errors.

    Returns:
        Architectures with slim's strides and, where the registry has them, their names.

    Raises:
        CheckpointError: there is none.
    """
    units = [match for match in map(_UNIT.match, inner) if match and not match["scope"]]
    kinds = sorted({unit["kind"] for unit in units})
    readers = [
        _Reader(inner, where, [unit for unit in units if unit["kind"] == kind]) for kind in kinds
    ]
    attempts = [(reader.arch, (form,)) for reader in readers for form in reader.forms()]
    if any(match and not match["scope"] for match in map(_SCRIPT.match, inner)):
        attempts.append((_read_script, (inner,)))
    if not attempts:
        raise CheckpointError(
            f"{where}: no unit of a ResNet in this scope: leave --scope out, or look at the "
            "names with tools/inspect_checkpoint.py"
        )
    found, errors = [], []
    for read, arguments in attempts:
        try:
            found.append(_named(read(*arguments)))
        except CheckpointError as error:
            errors.append(error)
        except ValueError as error:  # what `Arch` says of fields that do not go together
            errors.append(CheckpointError(f"{where}: {error}"))
    if not found:
        raise errors[0]
    return found


def _named(found: Arch) -> Arch:
    """`found` under its name in the registry, if it has one."""
    told = {"name": found.name, "num_classes": found.num_classes, "form": found.form}
    for known in arch_lib.REGISTRY.values():
        # only networks of one unit and cardinality have the same forms
        same = (known.unit, known.cardinality) == (found.unit, found.cardinality)
        if same and known.replace(**told) == found:
            return found.replace(name=known.name)
    return found


class _Reader:
    """Reads an `Arch` with one kind of unit off the names and shapes below one scope."""

    def __init__(self, inner: Shapes, where: str, units: list[re.Match]):
        self.inner = inner
        self.where = where
        self.units = units
        self.kind = units[0]["kind"]

    def forms(self) -> list[str]:
        """The forms that the first unit is there in; the grouped one if in none."""
        unit = f"block1/unit_1/{self.kind}"
        found = [
            form
            for form, marks in _FORM_MARKS.items()
            if all(f"{unit}/{mark}" in self.inner for mark in marks)
        ]
        return found or ["grouped"]

    def shape(self, name: str) -> tuple[int, ...]:
        shape = self.inner.get(name, ())
        if len(shape) != 4:
            raise CheckpointError(
                f"{self.where}: {name} is missing or not of rank 4: this is no whole {self.kind} "
                "network"
            )
        return shape

    def arch(self, form: str) -> Arch:
        kernel, _, _, root_depth = self.shape("conv1/weights")
        prototype = _PROTOTYPES.get((self.kind, kernel))
        if prototype is None:
            raise CheckpointError(
                f"{self.where}: conv1/weights is a {kernel}x{kernel} filter: name the --arch of a "
                f"{self.kind} network with such a root"
            )
        num_blocks = max(self.num_units)
        blocks = [self.block(block, form) for block in range(1, num_blocks + 1)]
        cardinalities = [block[3] for block in blocks]
        if len(set(cardinalities)) > 1:
            raise CheckpointError(
                f"{self.where}: the cardinalities of its blocks are "
                f"{', '.join(map(str, cardinalities))}, where a ResNeXt has one"
            )
        prototype = arch_lib.get(prototype)
        strides = [2] * (num_blocks - 1)
        strides = [*strides, 1] if prototype.convention == "slim" else [1, *strides]
        stages = tuple(Stage(*b[:3], s) for b, s in zip(blocks, strides, strict=True))
        family = prototype.family
        if cardinalities[0] > 1 and family in ("resnet_v1", "resnet_v2"):
            family = family.replace("resnet", "resnext")
        projects = any(name.endswith(f"/{self.kind}/shortcut/weights") for name in self.inner)
        return prototype.replace(
            name=f"{family}_custom",
            family=family,
            stages=stages,
            cardinality=cardinalities[0],
            num_classes=num_classes(self.inner),
            root_depth=root_depth,
            form=form,
            shortcut="projection" if projects else prototype.shortcut,
        )

    def block(self, block: int, form: str) -> tuple[int, int, int, int]:
        """(units, depth, width of the 3x3, cardinality) of a block, from its first unit."""
        num_units = self.num_units[block]
        unit = f"block{block}/unit_1/{self.kind}"
        if self.kind.startswith("basic"):
            depth = self.shape(f"{unit}/conv2/weights")[3]
            return num_units, depth, self.shape(f"{unit}/conv1/weights")[3], 1
        if form != "grouped":
            first = f"{unit}/branch_0"
            cardinality = self.num_branches[str(block)]
            width = cardinality * self.shape(f"{first}/conv2/weights")[3]
            last = first if form == "branches" else unit
            return num_units, self.shape(f"{last}/conv3/weights")[3], width, cardinality
        filters = self.shape(f"{unit}/conv2/weights")
        # Only a grouped filter sees fewer channels than it has outputs.
        cardinality = filters[3] // filters[2] if filters[2] else 0
        return num_units, self.shape(f"{unit}/conv3/weights")[3], filters[3], cardinality

    @functools.cached_property
    def num_units(self) -> Counter[int]:
        """Block -> the number of its units."""
        return Counter(int(block) for block, _ in {(u["block"], u["unit"]) for u in self.units})

    @functools.cached_property
    def num_branches(self) -> Counter[str]:
        """Block -> the number of branches of its first unit."""
        branch = re.compile(rf"block(\d{{1,9}})/unit_1/{self.kind}/(branch_\d+)/")
        matches = map(branch.match, self.inner)
        return Counter(block for block, _ in {match.groups() for match in matches if match})


def _read_script(inner: Shapes) -> Arch:
    """The net of the public CIFAR ResNeXt script, from its batch norms' names."""
    splits = [name for name in inner if _SCRIPT.match(name)]
    branch_depth = inner.get("split_layer_1_0_splitN_0_batch1/gamma", (0,))[0]
    found = arch_lib.resnext_cifar(len(splits), branch_depth, num_classes(inner))
    stages = []
    for block, stage in enumerate(found.stages, start=1):
        units = [n for n in inner if re.match(rf"trans_layer_{block}_\d+_batch1/gamma$", n)]
        depth = inner.get(f"trans_layer_{block}_0_batch1/gamma", (stage.depth,))[0]
        stages.append(dataclasses.replace(stage, num_units=len(units), depth=depth))
    root_depth = inner.get("first_layer_batch1/gamma", (found.root_depth,))[0]
    return found.replace(stages=tuple(stages), root_depth=root_depth, name="resnext_cifar_custom")
