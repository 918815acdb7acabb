"""What a checkpoint is: from the names and shapes of its variables to an `Arch`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from slim_resnet import arch as arch_lib
from slim_resnet.arch import Arch, Stage

from .checkpoint import CheckpointError

# Variables that training leaves beside the model's own, by what they are. A name matches when its
# last part does.
AUXILIARY = {
    "optimizer slots": r"Momentum|Adam(_1)?|RMSProp(_1)?|Adagrad|Ftrl(_1)?|Adadelta(_1)?",
    "moving averages": r"ExponentialMovingAverage",
    "zero-debias helpers": r"biased|local_step",
    "training state": r"global_step|beta[12]_power|learning_rate",
}
_AUXILIARY = {kind: re.compile(rf"(^|/)({pattern})$") for kind, pattern in AUXILIARY.items()}

_UNIT = re.compile(
    rf"^(?:(?P<scope>.+?)/)?block(?P<block>\d+)/unit_(?P<unit>\d+)/"
    rf"(?P<kind>{'|'.join(arch_lib.UNIT_KINDS)})/"
)

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
    scopes = sorted({m["scope"] or "" for m in map(_UNIT.match, shapes) if m})
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
    shape = inner.get("logits/weights")
    return shape[-1] if shape else None


def _read(inner: Shapes, scope: str, source: str) -> Arch:
    """The architecture that `inner` spells out, with slim's strides and, if it has one, name."""
    where = f"{source}: {scope}" if scope else source
    units = [m for m in map(_UNIT.match, inner) if m and not m["scope"]]
    if not units:
        raise CheckpointError(
            f"{where}: no unit of a ResNet in this scope: leave --scope out, or look at the names "
            "with tools/inspect_checkpoint.py"
        )
    kinds = sorted({m["kind"] for m in units})
    if len(kinds) > 1:
        raise CheckpointError(f"{where}: mixes units of {' and '.join(kinds)}: name the --arch")
    num_blocks = max(int(m["block"]) for m in units)

    def shape(name: str, rank: int = 4) -> tuple[int, ...]:
        if len(inner.get(name, ())) != rank:
            raise CheckpointError(
                f"{where}: {name} is missing or not of rank {rank}: this is no whole "
                f"{kinds[0]} network"
            )
        return inner[name]

    stages, cardinality = [], 1
    for block in range(1, num_blocks + 1):
        num_units = len({m["unit"] for m in units if int(m["block"]) == block})
        first = f"block{block}/unit_1/{kinds[0]}"
        filters = shape(f"{first}/conv2/weights")
        depth = shape(f"{first}/conv3/weights")[3]
        # Only a grouped filter sees fewer channels than it has outputs.
        cardinality = filters[3] // filters[2] if filters[2] else 0
        stages.append(Stage(num_units, depth, filters[3], stride=2 if block < num_blocks else 1))
    root_depth = shape("conv1/weights")[3]
    family = _family(kinds[0], cardinality)
    try:
        found = Arch(
            name=f"{family}_custom",
            family=family,
            unit=kinds[0],
            stages=tuple(stages),
            cardinality=cardinality,
            num_classes=_num_classes(inner),
            root_depth=root_depth,
        )
    except ValueError as error:
        raise CheckpointError(f"{where}: {error}") from error
    for known in arch_lib.REGISTRY.values():
        if known.replace(name=found.name, num_classes=found.num_classes) == found:
            return found.replace(name=known.name)
    return found


def _family(unit: str, cardinality: int) -> str:
    version = unit.rpartition("_")[2]
    return f"resne{'x' if cardinality > 1 else ''}t_{version}"


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
