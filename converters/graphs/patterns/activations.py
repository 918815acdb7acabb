"""Activations that the graph spells out as arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

from converters.graphs.drafts import Draft, Value
from converters.graphs.patterns.matching import Context, channels, close, decimal, orders, vector


def relu(draft: Draft, context: Context) -> bool:
    """maximum(x, 0)."""
    for value, zero in orders(draft) if draft.kind == "maximum" else ():
        if decimal(zero) == 0 and value.shape == draft.value.shape:
            draft.become("relu", [value], {})
            return True
    return False


def clip(draft: Draft, context: Context) -> bool:
    """minimum(maximum(x, low), high), maximum(minimum(x, high), low)."""
    inner_kinds = {"minimum": ("maximum", "relu"), "maximum": ("minimum",)}.get(draft.kind)
    for value, limit in orders(draft) if inner_kinds else ():
        number, inner = decimal(limit), context.inner(value, *inner_kinds)
        if number is None or inner is None:
            continue
        source, other = _bounded(inner)
        if other is None or source.shape != draft.value.shape:
            continue
        low, high = (other, number) if draft.kind == "minimum" else (number, other)
        if low <= high:
            _become_clip(draft, source, low, high)
            return True
    return False


def _bounded(draft: Draft) -> tuple[Value, float | None]:
    """The value that a maximum or minimum is of, and its constant."""
    if draft.kind == "relu":
        return draft.inputs[0], 0.0
    for value, limit in orders(draft):
        number = decimal(limit)
        if number is not None:
            return value, number
    return draft.inputs[0], None


def _become_clip(draft: Draft, value: Value, low: float, high: float) -> None:
    if (low, high) == (0, 6):
        draft.become("relu6", [value], {})
    else:
        draft.become("clip", [value], {"low": low, "high": high})


def leaky(draft: Draft, context: Context) -> bool:
    """Leaky ReLU and PReLU, in their spellings."""
    for value, alpha in _leaky_parts(draft, context):
        if value.static or value.shape != draft.value.shape:
            continue
        number = decimal(alpha) if isinstance(alpha, Value) else alpha
        if number is not None and (draft.kind != "maximum" or 0 <= number <= 1):
            draft.become("leaky_relu", [value], {"alpha": number})
            return True
        weight = vector(context, alpha, channels(value)) if isinstance(alpha, Value) else None
        if weight is not None and draft.kind != "maximum":
            draft.become("prelu", [value], {}, alpha=weight)
            return True
    return False


def _leaky_parts(draft: Draft, context: Context) -> Iterator[tuple[Value, Value | float]]:
    """The (x, alpha) that a draft may be the leaky ReLU of."""
    if draft.kind == "maximum":  # maximum(x, alpha * x), alpha at most 1
        for value, product in orders(draft):
            yield from _scaled(context, product, value)
    elif draft.kind == "select":  # where(x > 0, x, alpha * x)
        test, yes, no = draft.inputs
        inner = context.inner(test, "greater", "greater_equal")
        if inner and inner.inputs[0].is_same(yes) and decimal(inner.inputs[1]) == 0:
            yield from _scaled(context, no, yes)
    elif draft.kind == "sub":  # relu(x) - alpha * relu(-x)
        positive, rest = draft.inputs
        yield from _two_sides(context, positive, rest, 1)
    elif draft.kind == "add":
        for one, other in orders(draft):
            yield from _two_sides(context, one, other, -1)
            yield from _halves(context, one, other)
            yield from _absolute(context, one, other)


def _scaled(context: Context, product: Value, value: Value) -> Iterator[tuple[Value, Value]]:
    """alpha of alpha * value."""
    inner = context.inner(product, "mul")
    for other, alpha in orders(inner) if inner else ():
        if other.is_same(value):
            yield value, alpha


def _two_sides(context: Context, one: Value, other: Value, sign: int) -> Iterator:
    """relu(x) - alpha * relu(-x), or relu(x) + (-alpha) * relu(-x)."""
    positive, product = context.inner(one, "relu"), context.inner(other, "mul")
    for part, alpha in orders(product) if positive and product else ():
        negative = context.inner(part, "relu")
        inside = negative and context.inner(negative.inputs[0], "neg")
        if not inside or not inside.inputs[0].is_same(positive.inputs[0]):
            continue
        if sign == 1:
            yield positive.inputs[0], alpha
        elif alpha.draft.kind == "neg" and alpha.static:
            yield positive.inputs[0], alpha.draft.inputs[0]
        elif decimal(alpha) is not None:
            yield positive.inputs[0], -decimal(alpha)


def _halves(context: Context, one: Value, other: Value) -> Iterator[tuple[Value, Value | float]]:
    """relu(x) + alpha * minimum(x, 0), relu(x) + alpha * (x - abs(x)) * 0.5."""
    positive = context.inner(one, "relu")
    if positive is None:
        return
    value = positive.inputs[0]
    numbers, alphas, rest = _factors(context, other, value)
    if rest is None or len(alphas) > 1:
        return
    scale = 1.0
    for number in numbers:
        scale *= number
    if rest == "minus_abs":
        scale *= 2
    if alphas and scale == 1:
        yield value, alphas[0]
    elif not alphas:
        yield value, scale


def _factors(context: Context, product: Value, value: Value) -> tuple[list, list, str | None]:
    """The constants and parameters in a product with the negative part of a value."""
    numbers, alphas, rest = [], [], None
    stack = [product]
    while stack:
        part = stack.pop()
        inner = context.inner(part, "mul")
        if inner is not None:
            stack.extend(inner.inputs)
        elif part.static:
            number = decimal(part)
            numbers.append(number) if number is not None else alphas.append(part)
        elif rest is None and _is_negative_part(context, part, value):
            rest = "minus_abs" if part.draft.kind == "sub" else "minimum"
        else:
            return [], [], None
    return numbers, alphas, rest


def _is_negative_part(context: Context, part: Value, value: Value) -> bool:
    """minimum(x, 0), x - abs(x)."""
    lower = context.inner(part, "minimum")
    if lower is not None:
        return any(a.is_same(value) and decimal(b) == 0 for a, b in orders(lower))
    difference = context.inner(part, "sub")
    if difference is None or not difference.inputs[0].is_same(value):
        return False
    absolute = context.inner(difference.inputs[1], "abs")
    return absolute is not None and absolute.inputs[0].is_same(value)


def _absolute(context: Context, one: Value, other: Value) -> Iterator[tuple[Value, float]]:
    """a * x + b * abs(x) with a + b = 1."""
    linear, product = context.inner(one, "mul"), context.inner(other, "mul")
    if linear is None or product is None:
        return
    for value, slope in orders(linear):
        for part, factor in orders(product):
            absolute = context.inner(part, "abs")
            a, b = decimal(slope), decimal(factor)
            if absolute is None or a is None or b is None or not close(a + b, 1.0):
                continue
            if absolute.inputs[0].is_same(value):
                yield value, round(a - b, 7)


def hard(draft: Draft, context: Context) -> bool:
    """relu6(x + 3) / 6, and x times that."""
    if draft.kind == "div" and close(decimal(draft.inputs[1]), 6.0):
        inner = draft.inputs[0]
        value = _hinge(context, inner)
        if value is not None:
            draft.become("hard_sigmoid", [value], {})
            return True
        product = context.inner(inner, "mul")
        return _times_hinge(draft, product, context)
    for inner, factor in orders(draft) if draft.kind == "mul" else ():
        value = _hinge(context, inner) if close(decimal(factor), 1 / 6) else None
        if value is not None:
            draft.become("hard_sigmoid", [value], {})
            return True
        if close(decimal(factor), 1 / 6):
            return _times_hinge(draft, context.inner(inner, "mul"), context)
    return False


def _hinge(context: Context, value: Value) -> Value | None:
    """x of relu6(x + 3)."""
    bounded = context.inner(value, "relu6")
    total = bounded and context.inner(bounded.inputs[0], "add")
    for part, three in orders(total) if total else ():
        if decimal(three) == 3:
            return part
    return None


def _times_hinge(draft: Draft, product: Draft | None, context: Context) -> bool:
    """x * relu6(x + 3), to be divided by 6."""
    for value, inner in orders(product) if product else ():
        inside = _hinge(context, inner)
        if inside is not None and inside.is_same(value):
            draft.become("hard_swish", [value], {})
            return True
    return False


def gated(draft: Draft, context: Context) -> bool:
    """x * sigmoid(x), x * hard_sigmoid(x)."""
    for value, gate in orders(draft) if draft.kind == "mul" else ():
        inner = context.inner(gate, "sigmoid", "hard_sigmoid")
        if inner is not None and inner.inputs[0].is_same(value):
            kind = {"sigmoid": "swish", "hard_sigmoid": "hard_swish"}[inner.kind]
            draft.become(kind, [value], {})
            return True
    return False
