"""Batch norms that are spelled out as arithmetic.

Sources: `tf.nn.batch_normalization` (x * inv + (beta - mean * inv) with inv = rsqrt(variance +
epsilon) * gamma), and what people write by hand: (x - mean) / sqrt(variance + epsilon) * gamma +
beta.
"""

from __future__ import annotations

from dataclasses import dataclass

from converters.graphs.drafts import Draft, Value
from converters.graphs.patterns.matching import (
    Context,
    channels,
    decimal,
    orders,
    unshaped,
    vector,
)


@dataclass(frozen=True)
class _Scale:
    """gamma / sqrt(variance + epsilon)."""

    variance: Value
    epsilon: float
    gamma: Value | None = None


def batch_norm(draft: Draft, context: Context) -> bool:
    """The normalisation, and then its gamma and beta."""
    if draft.kind in ("mul", "div"):
        return _centred(draft, context) or _scaled(draft, context)
    if draft.kind in ("add", "bias"):
        return _shifted(draft, context) or (draft.kind == "add" and _folded(draft, context))
    return False


def _folded(draft: Draft, context: Context) -> bool:
    """x * inv + (beta - mean * inv)."""
    for product, shift in orders(draft):
        inner = context.inner(product, "mul")
        if inner is None or not shift.static:
            continue
        for value, factor in orders(inner):
            scale = _scale(factor)
            parts = _shift(shift, factor) if scale else None
            if parts is not None:
                mean, beta = parts
                return _become(draft, context, value, scale, mean, beta)
    return False


def _shift(shift: Value, factor: Value) -> tuple[Value, Value | None] | None:
    """(mean, beta) of beta - mean * inv, or of -mean * inv."""
    draft = unshaped(shift).draft
    if draft.kind == "sub":
        beta, product = draft.inputs
        mean = _times(product, factor)
        return None if mean is None else (mean, beta)
    if draft.kind == "neg":
        mean = _times(draft.inputs[0], factor)
        return None if mean is None else (mean, None)
    if draft.kind == "mul":
        negative = _times(shift, factor)
        if negative is not None and unshaped(negative).draft.kind == "neg":
            return unshaped(negative).draft.inputs[0], None
    return None


def _times(product: Value, factor: Value) -> Value | None:
    """What a factor is multiplied with in a product."""
    draft = unshaped(product).draft
    if draft.kind != "mul":
        return None
    for value, other in orders(draft):
        if unshaped(other).is_same(unshaped(factor)):
            return value
    return None


def _centred(draft: Draft, context: Context) -> bool:
    """(x - mean) * inv, (x - mean) / sqrt(variance + epsilon), gamma * (x - mean) / sqrt(...)."""
    pairs = orders(draft) if draft.kind == "mul" else [draft.inputs]
    for product, factor in pairs:
        scale = _scale(factor) if draft.kind == "mul" else _deviation(factor)
        inner, gamma = _difference(product, context)
        if inner is None or scale is None or (gamma and scale.gamma):
            continue
        value, mean = inner.inputs
        scale = _Scale(scale.variance, scale.epsilon, scale.gamma or gamma)
        return _become(draft, context, value, scale, mean, None)
    return False


def _difference(product: Value, context: Context) -> tuple[Draft | None, Value | None]:
    """x - mean, and the gamma that it is multiplied with, if it is."""
    inner, gamma = context.inner(product, "sub"), None
    scaled = context.inner(product, "mul")
    for value, factor in orders(scaled) if scaled else ():
        if factor.static and context.inner(value, "sub"):
            inner, gamma = context.inner(value, "sub"), factor
    if inner is None or not inner.inputs[1].static:
        return None, None
    return inner, gamma


def _scale(factor: Value, depth: int = 2) -> _Scale | None:
    """The parts of rsqrt(variance + epsilon) * gamma, in its spellings."""
    if not factor.static or not depth:
        return None
    value = unshaped(factor)
    draft = value.draft
    if draft.kind == "rsqrt":
        return _variance(draft.inputs[0])
    if draft.kind == "reciprocal":
        return _deviation(draft.inputs[0])
    if draft.kind == "pow" and decimal(draft.inputs[1]) == -0.5:
        return _variance(draft.inputs[0])
    if draft.kind == "div":
        scale = _deviation(draft.inputs[1])
        one = decimal(draft.inputs[0]) == 1
        return scale and _Scale(scale.variance, scale.epsilon, None if one else draft.inputs[0])
    if draft.kind == "mul":
        for inverse, gamma in orders(draft):
            scale = _scale(inverse, depth - 1)
            if scale is not None and scale.gamma is None:
                return _Scale(scale.variance, scale.epsilon, gamma)
    return None


def _deviation(value: Value) -> _Scale | None:
    """The parts of sqrt(variance + epsilon)."""
    if not value.static:
        return None
    draft = unshaped(value).draft
    if draft.kind == "sqrt":
        return _variance(draft.inputs[0])
    if draft.kind == "pow" and decimal(draft.inputs[1]) == 0.5:
        return _variance(draft.inputs[0])
    return None


def _variance(value: Value) -> _Scale | None:
    """The parts of variance + epsilon."""
    draft = unshaped(value).draft
    for variance, epsilon in orders(draft) if draft.kind == "add" else ():
        number = decimal(epsilon)
        if number is not None and 0 <= number < 1 and variance.rank:
            return _Scale(variance, number)
    return None


def _become(
    draft: Draft, context: Context, value: Value, scale: _Scale, mean: Value, beta: Value | None
) -> bool:
    """Makes a draft a batch norm, if all its parameters are vectors over the channels."""
    size = channels(value)
    parameters = {"gamma": scale.gamma, "beta": beta, "mean": mean, "variance": scale.variance}
    weights = {
        role: parameter and vector(context, _placed(parameter, size), size)
        for role, parameter in parameters.items()
    }
    lost = any(parameters[role] is not None and weights[role] is None for role in parameters)
    if value.static or size is None or lost or value.shape != draft.value.shape:
        return False
    moving = unshaped(weights["mean"]).draft.name
    options = {"epsilon": scale.epsilon, "decay": context.decay(moving), "fused": False}
    draft.become("batch_norm", [value], options, **weights)
    return True


def _placed(parameter: Value, size: int | None) -> Value:
    """A parameter without the axes that it was given to be broadcast."""
    inner = unshaped(parameter)
    return inner if inner.known_shape == (size,) else parameter


def _scaled(draft: Draft, context: Context) -> bool:
    """A batch norm without gamma and beta, times gamma."""
    for value, gamma in orders(draft) if draft.kind == "mul" else ():
        norm = context.inner(value, "batch_norm")
        if norm is None or {"gamma", "beta"} & set(norm.weights):
            continue
        weight = vector(context, gamma, channels(value))
        if weight is not None:
            draft.become("batch_norm", norm.inputs, norm.options, **norm.weights, gamma=weight)
            return True
    return False


def _shifted(draft: Draft, context: Context) -> bool:
    """A batch norm without beta, plus beta."""
    own = [(value, draft.weights["bias"]) for value in draft.inputs if draft.kind == "bias"]
    for value, beta in own or orders(draft):
        norm = context.inner(value, "batch_norm")
        if norm is None or "beta" in norm.weights:
            continue
        weight = vector(context, beta, channels(value))
        if weight is not None:
            draft.become("batch_norm", norm.inputs, norm.options, **norm.weights, beta=weight)
            return True
    return False
