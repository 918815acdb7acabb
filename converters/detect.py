"""What a checkpoint is: from the names and shapes of its variables to an `Arch`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass

from slim_resnet import arch as arch_lib
from slim_resnet.network import Arch
from slim_resnet.spec import UNIT_KINDS, Stage

from .checkpoint import CheckpointError

# Variables that training leaves beside the model's own, by what they are. A name matches when its
# last part does.
AUXILIARY = {
    "optimizer slots": r"Momentum|Adam(_1)?|RMSProp(_1)?|Adagrad|Ftrl(_1)?|Adadelta(_1)?",
    "moving averages": r"ExponentialMovingAverage",
    "zero-debias helpers": r"biased|local_step",
    "training state": r"global_step|beta[12]_power|learning_rate|is_training",
}
# The kinds that hold one array for each of the network's variables, named VARIABLE/SLOT.
PER_VARIABLE = ("optimizer slots", "moving averages")
_AUXILIARY = {kind: re.compile(rf"(^|/)({pattern})$") for kind, pattern in AUXILIARY.items()}

_UNIT = re.compile(
    rf"^(?:(?P<scope>.+?)/)?block(?P<block>\d+)/unit_(?P<unit>\d+)/"
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

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Detected:
    """`arch` under the variable scope `scope` ("" when there is none)."""

    arch: Arch
    scope: str


def auxiliary_kind(name: str) -> str | None:
    """The kind of training variable (a key of `AUXILIARY`) that `name` is, or None."""
    return next((kind for kind, pattern in _AUXILIARY.items() if pattern.search(name)), None)


def detect(
    shapes: Shapes,
    source: str,
    *,
    arch: str | Arch | None = None,
    scope: str | None = None,
    convention: str | None = None,
) -> Detected:
    """Recognises the network in a checkpoint and checks that it is all there.

    Args:
        shapes: variable name -> shape.
        source: the checkpoint's path, for errors.
        arch: the name of a registry entry, or an `Arch`, that it must be; None: found from the
            shapes, whatever the widths. The number of classes of a named entry is the checkpoint's.
        scope: the network's variable scope; None: the only one that holds a network.
        convention: "slim" (default) or "torchvision"; weights do not tell.

    Returns:
        The architecture and the scope.

    Raises:
        CheckpointError: no network, several networks, a variable missing or of another shape.
        ValueError: `arch` or `convention` is unknown.
    """
    scope = _find_scope(shapes, source) if scope is None else scope.rstrip("/")
    inner = _below(shapes, scope)
    if isinstance(arch, Arch):
        expected = arch
    elif arch is not None:
        expected = arch_lib.get(arch, num_classes=_num_classes(inner))
    else:
        expected = _read(inner, scope, source)
    if convention is not None:
        expected = expected.replace(convention=convention)
    _check(inner, expected, scope, source, named=arch is not None)
    return Detected(expected, scope)


def _find_scope(shapes: Shapes, source: str) -> str:
    scopes = sorted({m["scope"] or "" for p in (_UNIT, _SCRIPT) for m in map(p.match, shapes) if m})
    if not scopes:
        some = ", ".join(list(shapes)[:3]) or "nothing"
        raise CheckpointError(
            f"{source}: no slim ResNet in it: no variable is named "
            f".../block1/unit_1/bottleneck_v1/... or likewise; it holds {some}, ..."
        )
    if len(scopes) > 1:
        raise CheckpointError(
            f"{source}: holds {len(scopes)} networks: choose one with scope= (--scope): "
            + ", ".join(repr(s) for s in scopes)
        )
    return scopes[0]


def _below(shapes: Shapes, scope: str) -> Shapes:
    """The variables below `scope`, without it."""
    prefix = f"{scope}/" if scope else ""
    return {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}


def _num_classes(inner: Shapes) -> int | None:
    shape = inner.get("logits/weights") or inner.get("linear/kernel")
    return shape[-1] if shape else None


def _read(inner: Shapes, scope: str, source: str) -> Arch:
    """The architecture that `inner` spells out, with slim's strides and, if it has one, name."""
    where = f"{source}: {scope}" if scope else source
    try:
        if any(m and not m["scope"] for m in map(_SCRIPT.match, inner)):
            found = _read_script(inner)
        else:
            found = _Reader(inner, where).arch()
    except ValueError as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{where}: {error}") from error
    told = {"name": found.name, "num_classes": found.num_classes, "form": found.form}
    for known in arch_lib.REGISTRY.values():
        # only networks of one cardinality have the same forms
        if known.cardinality == found.cardinality and known.replace(**told) == found:
            return found.replace(name=known.name)
    return found


class _Reader:
    """Reads an `Arch` off the names and shapes below one scope."""

    def __init__(self, inner: Shapes, where: str):
        self.inner = inner
        self.where = where
        self.units = [m for m in map(_UNIT.match, inner) if m and not m["scope"]]
        if not self.units:
            raise CheckpointError(
                f"{where}: no unit of a ResNet in this scope: leave --scope out, or look at the "
                "names with tools/inspect_checkpoint.py"
            )
        kinds = sorted({m["kind"] for m in self.units})
        if len(kinds) > 1:
            raise CheckpointError(f"{where}: mixes units of {' and '.join(kinds)}: name the --arch")
        self.kind = kinds[0]

    def shape(self, name: str) -> tuple[int, ...]:
        shape = self.inner.get(name, ())
        if len(shape) != 4:
            raise CheckpointError(
                f"{self.where}: {name} is missing or not of rank 4: this is no whole {self.kind} "
                "network"
            )
        return shape

    def arch(self) -> Arch:
        kernel, _, _, root_depth = self.shape("conv1/weights")
        prototype = _PROTOTYPES.get((self.kind, kernel))
        if prototype is None:
            raise CheckpointError(
                f"{self.where}: conv1/weights is a {kernel}x{kernel} filter: name the --arch of a "
                f"{self.kind} network with such a root"
            )
        num_blocks = max(int(m["block"]) for m in self.units)
        blocks = [self.block(block) for block in range(1, num_blocks + 1)]
        cardinality, form = blocks[-1][3:]
        prototype = arch_lib.get(prototype)
        strides = [2] * (num_blocks - 1)
        strides = [*strides, 1] if prototype.convention == "slim" else [1, *strides]
        stages = tuple(Stage(*b[:3], s) for b, s in zip(blocks, strides, strict=True))
        family = prototype.family
        if cardinality > 1 and family in ("resnet_v1", "resnet_v2"):
            family = family.replace("resnet", "resnext")
        projects = any(name.endswith("/shortcut/weights") for name in self.inner)
        return prototype.replace(
            name=f"{family}_custom",
            family=family,
            stages=stages,
            cardinality=cardinality,
            num_classes=_num_classes(self.inner),
            root_depth=root_depth,
            form=form,
            shortcut="projection" if projects else prototype.shortcut,
        )

    def block(self, block: int) -> tuple[int, int, int, int, str]:
        """(units, depth, width of the 3x3, cardinality, form) of a block, from its first unit."""
        num_units = len({m["unit"] for m in self.units if int(m["block"]) == block})
        unit = f"block{block}/unit_1/{self.kind}"
        if self.kind.startswith("basic"):
            depth = self.shape(f"{unit}/conv2/weights")[3]
            return num_units, depth, self.shape(f"{unit}/conv1/weights")[3], 1, "grouped"
        branch = re.compile(rf"{re.escape(unit)}/(branch_\d+)/")
        branches = {m[1] for m in map(branch.match, self.inner) if m}
        if branches:
            first = f"{unit}/branch_0"
            form = "branches" if f"{first}/conv3/weights" in self.inner else "concat"
            last = first if form == "branches" else unit
            width = len(branches) * self.shape(f"{first}/conv2/weights")[3]
            return num_units, self.shape(f"{last}/conv3/weights")[3], width, len(branches), form
        filters = self.shape(f"{unit}/conv2/weights")
        # Only a grouped filter sees fewer channels than it has outputs.
        cardinality = filters[3] // filters[2] if filters[2] else 0
        depth = self.shape(f"{unit}/conv3/weights")[3]
        return num_units, depth, filters[3], cardinality, "grouped"


def _read_script(inner: Shapes) -> Arch:
    """The net of the public CIFAR ResNeXt script, from its batch norms' names."""
    splits = [name for name in inner if _SCRIPT.match(name)]
    branch_depth = inner.get("split_layer_1_0_splitN_0_batch1/gamma", (0,))[0]
    found = arch_lib.resnext_cifar(len(splits), branch_depth, _num_classes(inner))
    stages = []
    for block, stage in enumerate(found.stages, start=1):
        units = [n for n in inner if re.match(rf"trans_layer_{block}_\d+_batch1/gamma$", n)]
        depth = inner.get(f"trans_layer_{block}_0_batch1/gamma", (stage.depth,))[0]
        stages.append(dataclasses.replace(stage, num_units=len(units), depth=depth))
    root_depth = inner.get("first_layer_batch1/gamma", (found.root_depth,))[0]
    return found.replace(stages=tuple(stages), root_depth=root_depth, name="resnext_cifar_custom")


def _check(inner: Shapes, arch: Arch, scope: str, source: str, *, named: bool) -> None:
    """Every variable of `arch` must be in `inner`, in its shape."""
    remedy = (
        f"name the right --arch, or leave it out (detected: {_detected(inner, scope, source)})"
        if named
        else "the checkpoint is not whole, or not what it looks like: name its --arch"
    )
    prefix = f"{scope}/" if scope else ""
    for variable in arch.variables:
        shape = inner.get(variable.name)
        if shape is None:
            raise CheckpointError(
                f"{source}: no variable {prefix}{variable.name}, which {arch.name} has: {remedy}"
            )
        if tuple(shape) != variable.shape:
            raise CheckpointError(
                f"{source}: {prefix}{variable.name} has shape {list(shape)}, but in {arch.name} "
                f"it is {list(variable.shape)}: {remedy}"
            )


def _detected(inner: Shapes, scope: str, source: str) -> str:
    try:
        return _read(inner, scope, source).describe()
    except CheckpointError:
        return "nothing known"
