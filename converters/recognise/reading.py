"""The networks that the names and shapes of variables can be read as."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Mapping

from converters.files import CheckpointError
from slim_resnet import arch as arch_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.family import FAMILIES, ScriptNames
from slim_resnet.arch.parts import UNIT_KINDS, Stage
from slim_resnet.arch.variables import FORM_MARKS

Shapes = Mapping[str, tuple[int, ...]]

_UNIT = re.compile(
    rf"^(?:(?P<scope>.+?)/)?block(?P<block>\d{{1,9}})/unit_(?P<unit>\d{{1,9}})/"
    rf"(?P<kind>{'|'.join(UNIT_KINDS)})/"
)
_SCRIPTS = tuple(family.script for family in FAMILIES.values() if family.script)
_LOGITS = ("logits/weights", *(script.logits for script in _SCRIPTS))
_NORM = ("moving_variance", "moving_mean", "beta", "gamma")
SMALL_KERNEL = 3  # of a root for small images, which has no stride and no max pool


def _mark(script: ScriptNames) -> re.Pattern:
    return re.compile(rf"^(?:(?P<scope>.+)/)?{script.mark}$")


def scopes(names: Mapping[str, object]) -> list[str]:
    """The variable scopes that hold units of a network, "" for none."""
    patterns = (_UNIT, *map(_mark, _SCRIPTS))
    matches = (pattern.match(name) for pattern in patterns for name in names)
    return sorted({match["scope"] or "" for match in matches if match})


def num_classes(inner: Shapes) -> int | None:
    """The number of outputs of the logits layer, None where there is none."""
    shape = next((inner[name] for name in _LOGITS if name in inner), None)
    return shape[-1] if shape else None


def readings(inner: Shapes, where: str) -> list[Arch]:
    """Every network that `inner` can be read as, whole or not, one for each kind and form of unit.

    Args:
        inner: name below one scope -> shape.
        where: the checkpoint and the scope, for errors.

    Returns:
        Architectures with what their variables tell; what those do not tell is as in the registry's
        entry of such units, and so are their names where it has them.

    Raises:
        CheckpointError: there is none.
    """
    units = [match for match in map(_UNIT.match, inner) if match and not match["scope"]]
    readers = [
        _Reader(inner, where, units, kind) for kind in sorted({unit["kind"] for unit in units})
    ]
    attempts = [(reader.arch, (form,)) for reader in readers for form in reader.forms()]
    for script in _SCRIPTS:
        if any(match and not match["scope"] for match in map(_mark(script).match, inner)):
            attempts.append((_read_script, (script, inner)))
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


def _read_script(script: ScriptNames, inner: Shapes) -> Arch:
    found = script.read(inner)
    return found.replace(name=f"{found.family}_custom")


def _named(found: Arch) -> Arch:
    """`found` under its name in the registry, if it has one."""
    told = {"name": found.name, "num_classes": found.num_classes, "form": found.form}
    for known in arch_lib.REGISTRY.values():
        # only networks of one unit and cardinality have the same forms
        same = (known.unit, known.cardinality) == (found.unit, found.cardinality)
        if same and known.replace(**told) == found:
            return found.replace(name=known.name)
    return found


def _prototype(kind: str, kernel: int) -> Arch:
    """The registry's entry with such units and a root like that, made to fit if there is none."""
    entries = [family.prototypes.get(kind) for family in FAMILIES.values()]
    known = [arch_lib.get(name) for name in entries if name]
    is_small = kernel <= SMALL_KERNEL
    for arch in known:
        if (arch.root_kernel <= SMALL_KERNEL) == is_small:
            return arch
    return known[0].replace(stem="cifar" if is_small else "imagenet")


class _Reader:
    """Reads an `Arch` with one kind of unit off the names and shapes below one scope."""

    def __init__(self, inner: Shapes, where: str, units: list[re.Match], kind: str):
        self.inner = inner
        self.where = where
        self.kinds = {unit["kind"] for unit in units}
        self.units = [unit for unit in units if unit["kind"] == kind]
        self.kind = kind
        self.first_unit = f"block1/unit_1/{self.kind}"

    def forms(self) -> list[str]:
        """The forms that the first unit is there in; the grouped one if in none."""
        found = [
            form
            for form, marks in FORM_MARKS.items()
            if all(f"{self.first_unit}/{mark}" in self.inner for mark in marks)
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
        root = self.root(form)
        kernel = 7 if "deep_stem" in root else root.get("root_kernel", 7)
        prototype = _prototype(self.kind, kernel)
        num_blocks = max(self.num_units)
        blocks = [self.block(block, form) for block in range(1, num_blocks + 1)]
        cardinalities = [block[3] for block in blocks]
        if len(set(cardinalities)) > 1:
            raise CheckpointError(
                f"{self.where}: the cardinalities of its blocks are "
                f"{', '.join(map(str, cardinalities))}, where a ResNeXt has one"
            )
        strides = [2] * (num_blocks - 1)
        strides = [*strides, 1] if prototype.stride_unit == "last" else [1, *strides]
        stages = tuple(
            Stage(*block[:3], stride, se_depth=self.se_depth(number))
            for number, (block, stride) in enumerate(zip(blocks, strides, strict=True), start=1)
        )
        family = prototype.family
        if cardinalities[0] > 1:
            family = prototype.traits.grouped or family
        return prototype.replace(
            name=f"{family}_custom",
            family=family,
            stages=stages,
            cardinality=cardinalities[0],
            num_classes=num_classes(self.inner),
            form=form,
            shortcut=self.shortcut() or prototype.shortcut,
            **root,
            **self.norms(form),
            **self.logits(),
        )

    def root(self, form: str) -> dict[str, object]:
        """What the root convolution's weights tell; without one, what the first unit's do."""
        if "conv1_1/weights" in self.inner and "conv1/weights" not in self.inner:
            return self.deep_stem()
        if not any(name.startswith("conv1/") for name in self.inner):
            *_, channels, _ = self.shape(f"{self.first_conv(form)}/weights")
            return {"root_block": False, "input_channels": channels}
        height, width, channels, depth = self.shape("conv1/weights")
        if height != width:
            raise CheckpointError(
                f"{self.where}: conv1/weights is a {height}x{width} filter, and roots are square"
            )
        return {"root_kernel": height, "input_channels": channels, "root_depth": depth}

    def deep_stem(self) -> dict[str, object]:
        """What the weights of a deep stem, conv1_1 and so on, tell."""
        names = (f"conv1_{number}/weights" for number in range(1, 10))
        shapes = [self.shape(name) for name in names if name in self.inner]
        *before, depth = (shape[3] for shape in shapes)
        return {
            "root_kernel": shapes[0][0],
            "input_channels": shapes[0][2],
            "deep_stem": tuple(before),
            "root_depth": depth,
        }

    def first_conv(self, form: str) -> str:
        """The scope of the first convolution of the first unit."""
        branch = "" if form == "grouped" else "/branch_0"
        return f"{self.first_unit}{branch}/conv1"

    def shortcut(self) -> str | None:
        """The kind of shortcut, where any has weights; one that keeps the depth is a block's."""
        ending = f"/{self.kind}/shortcut/weights"
        shapes = [shape for name, shape in self.inner.items() if name.endswith(ending)]
        if any(shape[-2:-1] == shape[-1:] for shape in shapes):
            return "block_projection"
        return "projection" if shapes else None

    def norms(self, form: str) -> dict[str, object]:
        """Which variables batch norms have, and which convolutions have biases beside one.

        Raises:
            CheckpointError: the first unit has neither batch norms nor biases.
        """
        first = self.first_conv(form)
        has_norm = self.has_norm(first)
        if not has_norm and f"{first}/biases" not in self.inner:
            raise CheckpointError(
                f"{self.where}: {first} has neither a batch norm (BatchNorm) nor biases: a "
                "network without either, or with another kind of normalisation, is "
                "converted by its graph alone"
            )
        norm = f"{self.first_unit}/preact" if UNIT_KINDS[self.kind].preact else f"{first}/BatchNorm"
        if not has_norm and not UNIT_KINDS[self.kind].preact:
            return {"use_batch_norm": False}
        in_units = has_norm and f"{first}/biases" in self.inner
        # Biases at the root are those of a pre-activation net in the same scope, if there is one.
        others = {kind for kind in self.kinds if UNIT_KINDS[kind].preact}
        root = "conv1" if "conv1/weights" in self.inner else "conv1_1"
        at_root = not others and self.has_norm(root) and f"{root}/biases" in self.inner
        places = {(False, False): "none", (True, False): "root", (False, True): "units"}
        return {
            "use_batch_norm": has_norm,
            "batch_norm_scale": f"{norm}/gamma" in self.inner,
            "batch_norm_center": f"{norm}/beta" in self.inner,
            "conv_bias": places.get((at_root, in_units), "all"),
            "plain_bias": not UNIT_KINDS[self.kind].preact or self.has_plain_bias(),
        }

    def has_plain_bias(self) -> bool:
        """Whether the last convolution of a pre-activation unit has biases."""
        first = f"{self.first_unit}/"
        return any(n.startswith(first) and n.endswith("/conv3/biases") for n in self.inner)

    def has_norm(self, scope: str) -> bool:
        return any(f"{scope}/BatchNorm/{name}" in self.inner for name in _NORM)

    def logits(self) -> dict[str, object]:
        shape = self.inner.get("logits/weights")
        if shape is None:
            return {}
        return {
            "logits_layer": "dense" if len(shape) == 2 else "conv",
            "logits_bias": "logits/biases" in self.inner,
        }

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

    def se_depth(self, block: int) -> int | None:
        """The width of a block's squeeze-and-excitation; None where its first unit has none."""
        name = f"block{block}/unit_1/{self.kind}/se/reduce/weights"
        return self.shape(name)[3] if name in self.inner else None

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
