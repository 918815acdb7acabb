"""Names for sets of an Arch's facts (conventions, stems), and the facts as they are recorded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from slim_resnet.arch.fields import Fields
from slim_resnet.arch.parts import (
    CONVENTIONS,
    CUSTOM,
    STEMS,
    RootBlock,
    Stage,
    check_choice,
    check_convention,
)

# Unit with the stride -> the pool that goes with it in a convention.
_POOLS = {facts["stride_unit"]: facts["root_pool"] for facts in CONVENTIONS.values()}


def convention_of(arch: Fields) -> str:
    """The convention that fits `arch`; "custom" where none does."""
    names = ["slim"] if arch.kind.preact else list(CONVENTIONS)  # torchvision has no such nets
    for name in names:
        facts = _of_convention(arch, name)
        if all(getattr(arch, field) == value for field, value in facts.items()):
            return name
    return CUSTOM


def stem_of(arch: Fields) -> str:
    """The stem that fits `arch`; "none" without a root block, "custom" where none does."""
    if not arch.root_block:
        return "none"
    if arch.deep_stem:
        return CUSTOM
    found = (name for name, stem in STEMS.items() if _root_of(stem) == _root_of(arch.root_options))
    return next(found, CUSTOM)


def _root_of(root: RootBlock) -> tuple[int, int, bool]:
    """What a stem stands for."""
    return root.kernel, root.stride, root.pool != "none"


def named_facts(arch: Fields, changes: Mapping[str, object]) -> dict[str, object]:
    """`changes` of `arch` with the fields that `stem` and `convention` stand for.

    Raises:
        ValueError: there is no such name, or not for this kind of unit.
    """
    changes = dict(changes)
    stem, convention = changes.pop("stem", None), changes.pop("convention", None)
    found = {}
    if stem is not None:
        check_choice("stem", stem, tuple(STEMS))
        pool = arch.root_pool if arch.has_root_pool else _POOLS[arch.stride_unit]
        found |= _stem_fields(stem, pool)
    if convention is not None:
        check_convention(convention)
        if convention == "torchvision" and arch.kind.preact:
            raise ValueError(f"{arch.name}: torchvision has no pre-activation nets, use slim's")
        with_root = dataclasses.replace(arch, **found) if found else arch
        found |= _of_convention(with_root, convention)
    return found | changes


def _stem_fields(stem: str, pool: str) -> dict[str, object]:
    kernel, stride, has_pool = _root_of(STEMS[stem])
    return {
        "root_block": True,
        "root_kernel": kernel,
        "root_stride": stride,
        "root_pool": pool if has_pool else "none",
    }


def _of_convention(arch: Fields, name: str) -> dict[str, object]:
    """The facts that a convention stands for in a network with the root of `arch`."""
    facts = {**CONVENTIONS[name], "stride_conv": arch.kind.strided}
    if not arch.has_root_pool:
        facts.pop("root_pool")
    return facts


def recorded_facts(fields: dict) -> dict[str, object]:
    """The fields of an Arch from JSON; those that earlier versions wrote are translated."""
    fields = dict(fields)
    fields["stages"] = tuple(
        Stage(**{**stage, "unit_rates": tuple(stage.get("unit_rates", ()))})
        for stage in fields["stages"]
    )
    fields["deep_stem"] = tuple(fields.get("deep_stem", ()))
    stem, convention = fields.pop("stem", None), fields.pop("convention", None)
    if stem is not None:
        check_choice("stem", stem, tuple(STEMS))
        fields |= _stem_fields(stem, "same")
    if convention is not None:
        check_convention(convention)
        pool = fields.get("root_pool")
        fields |= CONVENTIONS[convention]
        if pool == "none":
            fields["root_pool"] = pool
    return fields
