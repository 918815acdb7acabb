"""What a checkpoint is: from the names and shapes of its variables to an `Arch`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from converters.files import CheckpointError
from converters.recognise.reading import Shapes, num_classes, readings, scopes
from slim_resnet import arch as arch_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.facts import TOLD, with_facts

# The means of the images that slim's checkpoints of 2016 hold beside their networks.
MEAN_RGB = "mean_rgb"
# Variables that training leaves beside the model's own, by what they are. A name matches when its
# last part does.
AUXILIARY = {
    "optimizer slots": r"Momentum|Adam(_1)?|RMSProp(_1)?|Adagrad|Ftrl(_1)?|Adadelta(_1)?",
    "moving averages": r"ExponentialMovingAverage",
    "zero-debias helpers": r"biased|local_step",
    "training state": r"global_step|beta[12]_power|learning_rate|is_training",
    "preprocessing": MEAN_RGB,
}
# The kinds that hold one array for each of the network's variables, named VARIABLE/SLOT.
PER_VARIABLE = ("optimizer slots", "moving averages")
_MOST_SCOPES = 64  # towers and heads are fewer
_AUXILIARY = {kind: re.compile(pattern) for kind, pattern in AUXILIARY.items()}


class AmbiguousError(CheckpointError):
    """Several networks are in a checkpoint, and nothing tells which is meant."""


@dataclass(frozen=True)
class Detected:
    """`arch` under the variable scope `scope` ("" when there is none).

    `notes` are what a user should know of the choice, a sentence each.
    """

    arch: Arch
    scope: str
    notes: tuple[str, ...] = ()

    @property
    def read(self) -> tuple[str, ...]:
        """The fields of `arch` that its variables tell; of the others see `arch.assumptions`."""
        names = [field.name for field in dataclasses.fields(Arch) if field.name not in TOLD]
        if any(unit.projection for unit in self.arch.units):
            names.append("shortcut")
        return tuple(names)


def auxiliary_kind(name: str) -> str | None:
    """The kind of training variable (a key of `AUXILIARY`) that `name` is, or None."""
    last = name.rpartition("/")[2]
    return next((kind for kind, pattern in _AUXILIARY.items() if pattern.fullmatch(last)), None)


def slots_of(names: Iterable[str], variables: Collection[str]) -> dict[str, dict[str, str]]:
    """The arrays that training keeps for each variable, wherever a scope has put them.

    An optimizer that was made in a variable scope has its slots below that scope:
    "train_op/net/conv1/weights/Momentum" belongs to "net/conv1/weights".

    Args:
        names: all names of a checkpoint.
        variables: full names of the variables in question.

    Returns:
        Name of the slot ("Momentum", "ExponentialMovingAverage", ...) -> variable -> full name. Of
        several for one variable the one with the shortest name counts.
    """
    known = frozenset(variables)
    found: dict[str, dict[str, str]] = {}
    for name in sorted(names, key=len):
        if auxiliary_kind(name) not in PER_VARIABLE:
            continue
        base, _, slot = name.rpartition("/")
        while base and base not in known:
            base = base.partition("/")[2]
        if base:
            found.setdefault(slot, {}).setdefault(base, name)
    return found


def detect(
    shapes: Shapes,
    source: str,
    *,
    arch: str | Arch | None = None,
    scope: str | None = None,
    convention: str | None = None,
    facts: Mapping[str, object] | None = None,
) -> Detected:
    """Recognises the network in a checkpoint and checks that it is all there.

    Args:
        shapes: variable name -> shape.
        source: the checkpoint's path, for errors.
        arch: the name of a registry entry, or an `Arch`, that it must be; None: found from the
            shapes, whatever the widths. The number of classes and the form of a named entry are
            the checkpoint's. Where several networks fit, `NAME:FORM` or `NAME:UNIT` chooses.
        scope: the network's variable scope; None: the only one that holds a whole network.
        convention: "slim" (default) or "torchvision"; weights do not tell.
        facts: what else the user says of it, as `slim_resnet.arch.with_facts` takes it.

    Returns:
        The architecture and the scope.

    Raises:
        AmbiguousError: several networks fit.
        CheckpointError: no network, a variable missing or of another shape.
        ValueError: `arch`, `convention` or a fact is unknown, or facts do not go together.
    """
    candidates = [scope.rstrip("/")] if scope is not None else _find_scopes(shapes, source)
    found, errors = [], {}
    for candidate in candidates:
        try:
            found += _whole(_below(shapes, candidate), arch, candidate, source)
        except CheckpointError as error:
            errors[candidate] = error
    if not found:
        raise _nothing_whole(source, errors)
    if len(found) > 1:
        raise AmbiguousError(_ambiguous(found, source))
    notes = tuple(f"left out, as {each!r} is no whole network: {e}" for each, e in errors.items())
    chosen = dataclasses.replace(found[0], notes=notes)
    told = ({} if convention is None else {"convention": convention}) | dict(facts or {})
    return dataclasses.replace(chosen, arch=with_facts(chosen.arch, told)) if told else chosen


def _find_scopes(shapes: Shapes, source: str) -> list[str]:
    # Slots and averages may have a scope of their own around the network's.
    found = scopes({name: shapes[name] for name in shapes if auxiliary_kind(name) is None})
    if not found:
        some = ", ".join(list(shapes)[:3]) or "nothing"
        raise CheckpointError(
            f"{source}: no slim ResNet in it: no variable is named "
            f".../block1/unit_1/bottleneck_v1/... or likewise; it holds {some}, ...: write "
            "--rules for names of your own, or say whose they are (--scheme)"
        )
    if len(found) > _MOST_SCOPES:
        raise AmbiguousError(
            f"{source}: {len(found)} scopes hold units of a ResNet: choose one with --scope: "
            f"{', '.join(map(repr, found[:3]))}, ..."
        )
    return found


def _below(shapes: Shapes, scope: str) -> Shapes:
    """The variables below `scope`, without it."""
    prefix = f"{scope}/" if scope else ""
    return {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}


def _whole(inner: Shapes, arch: str | Arch | None, scope: str, source: str) -> list[Detected]:
    """The networks below a scope of which every variable is there.

    Raises:
        CheckpointError: there is none; the message names the first variable that is wrong.
    """
    where = f"{source}: {scope}" if scope else source
    if isinstance(arch, Arch):
        found = [arch]
    elif arch is None:
        found = readings(inner, where)
    else:
        found = _called(arch, inner, where)
    errors = [_error(inner, each, scope, source, named=arch is not None) for each in found]
    whole = [Detected(a, scope) for a, error in zip(found, errors, strict=True) if error is None]
    if not whole:
        raise CheckpointError(errors[0])
    return whole


def _called(name: str, inner: Shapes, where: str) -> list[Arch]:
    """What a user means by --arch: readings of that name, else the registry's entry."""
    try:
        found = [arch for arch in readings(inner, where) if name in _labels(arch)]
    except CheckpointError:
        found = []
    return found or [arch_lib.get(name, num_classes=num_classes(inner))]


def _labels(arch: Arch) -> tuple[str, ...]:
    """What --arch may call a network, the shortest first; the last is no other reading's."""
    ends = ("", f":{arch.form}", f":{arch.unit}", f":{arch.unit}:{arch.form}")
    return tuple(f"{arch.name}{end}" for end in ends)


def _ambiguous(found: list[Detected], source: str) -> str:
    """All that fits, and the options that choose among it."""
    listed = []
    for each in found:
        others = [o.arch for o in found if o.scope == each.scope and o is not each]
        taken = {label for other in others for label in _labels(other)}
        label = next(label for label in _labels(each.arch) if label not in taken)
        listed.append(f"{each.scope!r}: {label} ({each.arch.describe()})")
    several = {
        "--scope": len({each.scope for each in found}) > 1,
        "--arch": len({each.scope for each in found}) < len(found),
    }
    options = " and ".join(option for option, needed in several.items() if needed)
    return (
        f"{source}: holds {len(found)} networks, all of them whole: choose one with {options}: "
        + "; ".join(listed)
    )


def _nothing_whole(source: str, errors: dict[str, CheckpointError]) -> CheckpointError:
    (scope, first), *others = errors.items()
    if not others:
        return first
    return CheckpointError(
        f"{source}: holds parts of {len(errors)} networks, none of them whole: choose one with "
        f"--scope: {', '.join(map(repr, errors))}; of {scope!r}: {first}"
    )


def _error(inner: Shapes, arch: Arch, scope: str, source: str, *, named: bool) -> str | None:
    """The first variable of `arch` that is not in `inner`, or not in its shape; None if all are."""
    prefix = f"{scope}/" if scope else ""
    wrong = next((v for v in arch.variables if inner.get(v.name) != v.shape), None)
    if wrong is None:
        return None
    if named:
        remedy = f"name the right --arch, or leave it out (detected: {_detected(inner, source)})"
    else:
        remedy = (
            "the checkpoint is not whole, or its network is none that slim's functions build: "
            "convert it with its graph (.meta) beside it"
        )
    if wrong.name not in inner:
        return f"{source}: no variable {prefix}{wrong.name}, which {arch.name} has: {remedy}"
    return (
        f"{source}: {prefix}{wrong.name} has shape {list(inner[wrong.name])}, but in {arch.name} "
        f"it is {list(wrong.shape)}: {remedy}"
    )


def _detected(inner: Shapes, source: str) -> str:
    try:
        return " or ".join(arch.describe() for arch in readings(inner, source))
    except CheckpointError:
        return "nothing known"
