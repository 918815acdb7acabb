"""What a graph says of the sizes of a network: strides, rates of atrous convolution, padding."""

from __future__ import annotations

import dataclasses
import math

from converters.graphs.facts import ConvFact, Link, PoolFact, Window
from converters.graphs.layer_facts import ANOTHER, LayerFacts
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import CONVENTIONS, STRIDE_UNITS, Conv, Stage, Unit, unit_strides

_POOLS = {
    "same": Window((3, 3), (2, 2), padding="SAME"),
    "valid": Window((3, 3), (2, 2)),
    "symmetric": Window((3, 3), (2, 2), pads=((1, 1), (1, 1))),
}
# Root pool -> the unit that has a block's stride in the convention of such a pool.
_USUAL_UNITS = {facts["root_pool"]: facts["stride_unit"] for facts in CONVENTIONS.values()}


def geometry(facts: LayerFacts) -> dict[str, object]:
    """The fields of an Arch that the graph's sizes tell.

    Raises:
        CheckpointError: no Arch has them; the operation is named.
    """
    found = _root(facts)
    rates = [_rate(facts, unit) for unit in facts.like.units]
    carriers = [_carrier(facts, unit) for unit in facts.like.units]
    strides = [facts.window(c).stride[0] if c else 1 for c in carriers]
    found |= _strides(facts, rates, strides, found["root_pool"])
    found |= _strided_convs(facts, [carrier for carrier in carriers if carrier])
    is_atrous = math.prod(strides) < math.prod(stage.stride for stage in found["stages"])
    total = _root_stride(facts, found) * math.prod(strides)
    found["output_stride"] = total if is_atrous else None
    return found


def _root_stride(facts: LayerFacts, found: dict[str, object]) -> int:
    if facts.like.root is None:
        return 1
    return found["root_stride"] * (1 if found["root_pool"] == "none" else 2)


# -- the root --------------------------------------------------------------------------------------


def _root(facts: LayerFacts) -> dict[str, object]:
    if facts.like.root is None:
        return {"root_pool": facts.like.root_pool}
    first = facts.like.root_convs[0]
    window = facts.window(first)
    return {
        "root_stride": window.stride[0],
        "root_padding": _padding(first, window),
        "root_pool": _root_pool(facts, facts.like.root),
    }


def _padding(conv: Conv, window: Window) -> str:
    """The `parts.PADDINGS` that a window has; what is none of them is found by `check`."""
    if window.sides is None:
        return "same"
    no_pads = (0, 0), (0, 0)
    return "valid" if window.sides == no_pads and conv.kernel > 1 else "symmetric"


def _root_pool(facts: LayerFacts, root: Conv) -> str:
    """The max pool between the root and the first unit."""
    kinds = {
        _pool_kind(facts, op, link, root)
        for op, source in facts.inputs(facts.like.units[0])
        for link, _ in facts.origins(source)
    }
    if len(kinds) > 1:
        raise facts.error(f"its copies of the network pool in several ways; {ANOTHER}")
    return kinds.pop()


def _pool_kind(facts: LayerFacts, op: str, link: Link, root: Conv) -> str:
    ops = facts.ops(root)
    if link.op in ops:
        return "none"
    pool = facts.pools.get(link.op)
    if pool is None:
        raise facts.unknown(link, op)
    facts.expect(pool.source, ops, pool.op)
    return _known_pool(facts, pool)


def _known_pool(facts: LayerFacts, pool: PoolFact) -> str:
    kind = next((kind for kind, window in _POOLS.items() if window == pool.window), None)
    if pool.kind != "MaxPool" or kind is None:
        raise facts.error(
            f"the root's pooling {pool.op} is a {pool.kind} of {pool.window}, where an Arch has a "
            "max pool of kernel (3, 3) and stride (2, 2)"
        )
    if kind != "symmetric":
        return kind
    steps = [step for step in pool.source.steps if step.kind == "activation"]
    is_positive = bool(steps) and steps[-1].value.is_positive
    if pool.fill == 0:
        return "symmetric" if is_positive else "zeros"  # the same behind a ReLU
    if pool.fill > -1e30:
        raise facts.error(f"the root's pooling {pool.op} is padded with {pool.fill}")
    return kind


# -- units -----------------------------------------------------------------------------------------


def _rate(facts: LayerFacts, unit: Unit) -> int:
    """The rate of a unit: that of its convolutions with a kernel above 1."""
    return max(facts.window(conv).rate[0] for conv in unit.convs if conv.kernel > 1)


def _carrier(facts: LayerFacts, unit: Unit) -> Conv | None:
    """The convolution that carries a unit's stride; None where it has none."""
    found = [conv for conv in unit.convs if facts.window(conv).stride != (1, 1)]
    if len(found) > 1:
        raise facts.error(
            f"{facts.of(found[1])[0].op} has {facts.window(found[1])}, though "
            f"{facts.of(found[0])[0].op} of the same unit is strided, too"
        )
    return found[0] if found else None


def _strided_convs(facts: LayerFacts, carriers: list[Conv]) -> dict[str, object]:
    """Which convolution of a unit has the stride, and how it is padded."""
    like = facts.like
    names = {conv.scope.rpartition("/")[2]: conv for conv in carriers}
    if len(names) > 1:
        (one, first), (other, second), *_ = names.items()
        raise facts.error(
            f"{facts.of(first)[0].op} has its unit's stride in {one}, but "
            f"{facts.of(second)[0].op} in {other}"
        )
    wide = [conv for conv in carriers if conv.kernel > 1]
    return {
        "stride_conv": next(iter(names), like.stride_conv),
        "conv_padding": _padding(wide[0], facts.window(wide[0])) if wide else like.conv_padding,
    }


def _strides(
    facts: LayerFacts, rates: list[int], strides: list[int], root_pool: str
) -> dict[str, object]:
    """The unit that has a block's stride, and the blocks with their strides and unit rates.

    A convolution whose stride became a rate of those after it has its nominal stride, too.
    """
    like = facts.like
    usual = _USUAL_UNITS.get(root_pool, like.stride_unit)
    for has_grid in (False, True):
        for place in sorted(STRIDE_UNITS, key=lambda place: place != usual):
            stages = _stages(like, place, rates, strides)
            if stages and (has_grid or not any(stage.unit_rates for stage in stages)):
                return {"stride_unit": place, "stages": stages}
    odd = _odd(facts, usual, rates, strides)
    raise facts.error(
        f"{odd.op} has {odd.window}, which does not go with the stride of every block in its "
        f"{usual} unit, nor with any other place that an Arch has for it"
    )


def _stages(
    like: Arch, place: str, rates: list[int], strides: list[int]
) -> tuple[Stage, ...] | None:
    """The blocks with their strides in the unit `place`; None where that does not fit."""
    stages, position, rate = [], 0, 1
    for stage in like.stages:
        end = position + stage.num_units
        within, own = rates[position:end], max(strides[position:end])
        if strides[position:end] != list(unit_strides(stage.num_units, own, place)):
            return None
        after = rate if own > 1 else _rate_after(place, within, rate, rates[end:])
        base = [rate] * stage.num_units
        if place == "first":
            base[1:] = [after] * (stage.num_units - 1)
        if after % rate or any(r % b for r, b in zip(within, base, strict=True)):
            return None
        grid = tuple(r // b for r, b in zip(within, base, strict=True))
        stages.append(dataclasses.replace(stage, stride=own * after // rate, unit_rates=grid))
        position, rate = end, after
    return tuple(stages)


def _rate_after(place: str, within: list[int], rate: int, following: list[int]) -> int:
    """The rate after a block without a stride of its own, as far as its unit rates leave it open.

    Those of the last block, or of all units but a block's first, can be read several ways, which
    compute the same.
    """
    if place == "last" or len(within) == 1:
        return following[0] if following else rate
    common = math.gcd(*within[1:])
    has_grid = len(set(within[1:])) > 1
    return 2 * rate if has_grid and common % (2 * rate) == 0 else common


def _odd(facts: LayerFacts, place: str, rates: list[int], strides: list[int]) -> ConvFact:
    """The convolution of the first unit that does not fit."""
    position = 0
    odd = facts.like.units[0]
    for stage in facts.like.stages:
        end = position + stage.num_units
        expected = unit_strides(stage.num_units, max(strides[position:end]), place)
        for index, want in enumerate(expected, start=position):
            previous = rates[index - 1] if index else 1
            if strides[index] != want or rates[index] % previous:
                odd = facts.like.units[index]
                found = (facts.of(conv)[0] for conv in odd.convs)
                return next(
                    (f for f in found if f.window.stride != (1, 1) or f.window.rate != (1, 1)),
                    facts.of(odd.convs[0])[0],
                )
        position = end
    return facts.of(odd.convs[0])[0]
