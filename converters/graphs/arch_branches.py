"""What a graph says of a unit's two branches: its squeeze-and-excitation, its projection's pool."""

from __future__ import annotations

from converters.graphs.facts import ConvFact, Link, Step, Window
from converters.graphs.layer_facts import ANOTHER, REMEDY, LayerFacts
from slim_resnet.arch.parts import Conv, Unit


def without_gate(
    facts: LayerFacts, unit: Unit, steps: tuple[Step, ...], op: str
) -> tuple[Step, ...]:
    """The steps of a residual before its squeeze-and-excitation, which is as `unit` has it.

    Args:
        facts: of the graph.
        unit: as its weights tell it.
        steps: what follows its last convolution.
        op: the sum that they lead to.

    Raises:
        CheckpointError: there is one that `unit` has not, or the other way round, or it is computed
            otherwise.
    """
    gates = [step for step in steps if step.kind == "gate"]
    if not unit.se:
        if gates:
            raise facts.error(f"Mul {gates[0].op!r} lies before {op}; {REMEDY}")
        return steps
    if len(gates) != 1 or steps[-1] is not gates[0]:
        raise facts.error(
            f"no product with a sigmoid lies right before {op}, but {facts.prefix}{unit.scope}/se "
            f"has weights; {ANOTHER}"
        )
    _check_squeeze(facts, unit, gates[0].op)
    return steps[:-1]


def _check_squeeze(facts: LayerFacts, unit: Unit, product: str) -> None:
    """What a residual is multiplied by comes from its own average, by two layers."""
    residual, link = facts.joins[product].inputs
    reader = product
    for conv in reversed(unit.se):
        fact = _layer(facts, conv, link, reader)
        link, reader = fact.source, fact.op
    mean = facts.joins.get(link.op)
    if link.kind != "mean" or link.steps or mean is None or mean.inputs != (residual,):
        raise facts.error(
            f"{reader} reads {link.type} {link.op!r}, where the average of what {product} "
            f"multiplies is expected; {REMEDY}"
        )


def _layer(facts: LayerFacts, conv: Conv, link: Link, reader: str) -> ConvFact:
    """The layer behind `link`: `conv`, its biases and its activation."""
    facts.expect(link, facts.ops(conv), reader)
    have = [(step.kind, step.value) for step in link.steps]
    if have != [("bias", None), ("activation", conv.activation)]:
        told = ", ".join(f"{step.kind} {step.op}" for step in link.steps) or "nothing"
        raise facts.error(
            f"{link.op} is followed by {told}, where squeeze-and-excitation has biases and "
            f"{conv.activation}; {REMEDY}"
        )
    return next(fact for fact in facts.of(conv) if fact.op == link.op)


def projection_kind(facts: LayerFacts, unit: Unit) -> tuple[str, str] | None:
    """The `shortcut` that a strided projection tells, and an operation of it; None: none.

    Raises:
        CheckpointError: it pools otherwise than a ResNet-D.
    """
    if unit.projection is None:
        return None
    stride = max(facts.window(conv).stride for conv in unit.convs)
    kinds = {}
    for fact in facts.of(unit.projection):
        pool = facts.projection_pool(fact)
        if pool is None:
            if stride != (1, 1):
                plain = facts.like.shortcut
                kinds["projection" if plain == "average_projection" else plain] = fact.op
            continue
        if stride == (1, 1) or pool.window != Window((2, 2), stride, padding="SAME"):
            raise facts.error(
                f"the pooling {pool.op} before a projection has {pool.window}, where an Arch has "
                f"kernel (2, 2), the unit's stride and SAME padding; {REMEDY}"
            )
        if facts.like.shortcut == "block_projection":
            raise facts.error(f"{pool.op} pools before the projection of every block; {REMEDY}")
        kinds["average_projection"] = pool.op
    if len(kinds) > 1:
        raise facts.error(f"its copies of {unit.projection.scope} differ in pooling; {ANOTHER}")
    return next(iter(kinds.items()), None)
