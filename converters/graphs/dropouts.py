"""Dropout and noise: what a training graph multiplies or adds at random.

Sources: `python/ops/nn_ops.py` of TensorFlow 1.0 to 1.15 (`dropout`: `floor(keep_prob + uniform)`,
then `uniform >= rate`), tf.contrib.nn's `alpha_dropout`, Keras' `GaussianNoise`, `GaussianDropout`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from converters.files.graphdef import Node, Ref
from converters.graphs.inference import Inference

UNIFORM = frozenset(("RandomUniform", "StatelessRandomUniform", "StatelessRandomUniformV2"))
NORMAL = frozenset(
    ("RandomStandardNormal", "TruncatedNormal", "StatelessRandomNormal", "StatelessTruncatedNormal",
     "StatelessRandomNormalV2", "StatelessTruncatedNormalV2")
)  # fmt: skip
_ADD, _DIV, _SELECT = ("Add", "AddV2"), ("RealDiv", "Div"), ("Select", "SelectV2")
_KEEPS_ABOVE = ("GreaterEqual", "Greater")  # uniform >= rate; the others: uniform < keep_prob
_KEEPS_BELOW = ("Less", "LessEqual")
_MAX_CHAIN = 16
_MAX_DEPTH = 6
_TOLERANCE = 1e-5
_DIGITS = 6  # of a rate


@dataclass(frozen=True)
class Dropout:
    """A dropout, or noise.

    Attributes:
        source: what it is of.
        rate: the share that it sets to 0; None: it is computed or fed, or this is noise.
        scaled: whether it scales what is kept, so that inference has nothing to do.
        noise: it adds noise, or multiplies with noise around 1.
        alpha: it sets to a value other than 0, and keeps mean and variance (tf.contrib.nn's).
    """

    source: Ref
    rate: float | None
    scaled: bool = True
    noise: bool = False
    alpha: bool = False


@dataclass(frozen=True)
class _Share:
    """The share that a mask keeps, or (`dropped`) sets to 0."""

    ref: Ref
    dropped: bool


class Dropouts:
    """Finds dropouts and noise in a graph that is looked at in training."""

    def __init__(self, training: Inference) -> None:
        self._view = training

    def match(self, ref: Ref) -> Dropout | None:
        """The dropout (or noise) whose result a tensor is; None if it is of none."""
        node = self._node(ref)
        if len(node.operands) == 2 and node.op in ("Mul", *_DIV):
            return self._masked(node) or self._scaled_later(node)
        if len(node.operands) == 2 and node.op in _ADD:
            return self._noisy(node) or self._alpha(node)
        if len(node.operands) == 3 and node.op in _SELECT:
            return self._selected(node)
        return None

    def _masked(self, node: Node) -> Dropout | None:
        """x * scale * mask."""
        for value, mask in _orders(node) if node.op == "Mul" else ():
            share = self._mask(mask)
            if share is not None:
                return self._dropout(value, share)
            if self._mean(mask) == 1:
                return Dropout(self._view.resolve(value), None, noise=True)
        return None

    def _selected(self, node: Node) -> Dropout | None:
        """where(mask, x * scale, 0)."""
        share = self._test(node.operands[0])
        return self._dropout(node.operands[1], share) if share else None

    def _scaled_later(self, node: Node) -> Dropout | None:
        """(x * mask) * scale."""
        for product, _ in _orders(node):
            inner = self._node(product)
            if inner.op != "Mul" or len(inner.operands) != 2:
                continue
            for value, mask in _orders(inner):
                share = self._mask(mask)
                if share and self._scale(node, product, share):
                    return Dropout(self._view.resolve(value), self._rate(share))
        return None

    def _noisy(self, node: Node) -> Dropout | None:
        """x + noise."""
        for value, noise in _orders(node):
            if self._mean(noise) == 0:
                return Dropout(self._view.resolve(value), None, noise=True)
        return None

    def _alpha(self, node: Node) -> Dropout | None:
        """(x * mask + alpha * (1 - mask)) * a + b."""
        for scaled, shift in _orders(node):
            product = self._node(scaled)
            if self._view.scalar(shift) is None or product.op != "Mul":
                continue
            for total, factor in _orders(product):
                mixed = self._node(total)
                if self._view.scalar(factor) is not None and mixed.op in _ADD:
                    return self._mixed(mixed)
        return None

    def _mixed(self, node: Node) -> Dropout | None:
        """x * mask + alpha * (1 - mask)."""
        for kept, dropped in _orders(node):
            first, second = self._node(kept), self._node(dropped)
            if first.op != "Mul" or second.op != "Mul":
                continue
            for value, mask in _orders(first):
                share = self._mask(mask)
                if share and any(self._is_rest(each, mask) for each in second.operands):
                    return Dropout(self._view.resolve(value), self._rate(share), alpha=True)
        return None

    def _is_rest(self, ref: Ref, mask: Ref) -> bool:
        """Whether a tensor is 1 - mask."""
        node = self._node(ref)
        return node.op == "Sub" and self._view.resolve(node.operands[1]) == self._view.resolve(mask)

    def _dropout(self, value: Ref, share: _Share) -> Dropout:
        node = self._node(value)
        rate = self._rate(share)
        for inner, _ in _orders(node) if node.op in ("Mul", *_DIV) else ():
            if self._scale(node, inner, share):
                return Dropout(self._view.resolve(inner), rate)
        return Dropout(self._view.resolve(value), rate, scaled=rate == 0)

    def _scale(self, node: Node, value: Ref, share: _Share) -> bool:
        """Whether `node` is `value` divided by the share that is kept."""
        one, other = node.operands
        if node.op in _DIV:
            return one == value and self._is_kept(other, share)
        factor = other if one == value else one
        inverse = self._node(factor)
        if inverse.op in _DIV and self._number(inverse.operands[0]) == 1:
            return self._is_kept(inverse.operands[1], share)
        kept, number = self._kept(share), self._number(factor)
        return None not in (kept, number) and abs(number * kept - 1) < _TOLERANCE

    def _is_kept(self, ref: Ref, share: _Share) -> bool:
        """Whether a tensor is the share that is kept."""
        kept, number = self._kept(share), self._number(ref)
        if kept is not None and number is not None:
            return abs(number - kept) < _TOLERANCE
        node = self._node(ref)
        if not share.dropped:
            return self._view.resolve(ref) == share.ref
        return node.op == "Sub" and self._view.resolve(node.operands[1]) == share.ref

    def _kept(self, share: _Share) -> float | None:
        number = self._number(share.ref)
        return 1 - number if share.dropped and number is not None else number

    def _rate(self, share: _Share) -> float | None:
        kept = self._kept(share)
        return None if kept is None else round(1 - kept, _DIGITS)

    def _mask(self, ref: Ref) -> _Share | None:
        """The share that a mask of 0 and 1 keeps; None if it is no random one."""
        node = self._node(ref)
        if len(node.operands) != 1:
            return None
        if node.op == "Cast":
            return self._test(node.operands[0])
        total = self._node(node.operands[0]) if node.op == "Floor" else None
        for share, uniform in _orders(total) if total and total.op in _ADD else ():
            if self._is_uniform(uniform):
                return _Share(self._view.resolve(share), dropped=False)
        return None

    def _test(self, ref: Ref) -> _Share | None:
        """The share that a random test keeps."""
        node = self._node(ref)
        if node.op not in (*_KEEPS_ABOVE, *_KEEPS_BELOW) or len(node.operands) != 2:
            return None
        uniform, share = node.operands
        if not self._is_uniform(uniform):
            return None
        return _Share(self._view.resolve(share), dropped=node.op in _KEEPS_ABOVE)

    def _is_uniform(self, ref: Ref) -> bool:
        """Whether a tensor is random, uniform between 0 and 1."""
        for _ in range(_MAX_CHAIN):
            node = self._node(ref)
            if node.op in UNIFORM:
                return True
            neutral = {"Mul": 1, "Add": 0, "AddV2": 0}.get(node.op)
            if neutral is None or len(node.operands) != 2:
                return False
            if self._number(node.operands[1]) != neutral:
                return False
            ref = node.operands[0]
        return False

    def _mean(self, ref: Ref, depth: int = 0) -> float | None:
        """The mean of a random tensor; None if it is not random alone."""
        node = self._node(ref)
        if node.op in NORMAL:
            return 0.0
        if node.op in UNIFORM:
            return 0.5
        if depth > _MAX_DEPTH or len(node.operands) != 2 or node.op not in ("Mul", *_ADD):
            return None
        for random, other in _orders(node):
            mean = self._mean(random, depth + 1)
            number = self._number(other)
            if mean is not None and number is not None:
                return mean * number if node.op == "Mul" else mean + number
            if mean == 0 and node.op == "Mul" and self._is_scalar(other):
                return 0.0
        return None

    def _is_scalar(self, ref: Ref) -> bool:
        """Whether a tensor is a scalar that is fed: how strong some noise is."""
        node = self._node(ref)
        return node.op == "Placeholder" and node.partial_shape("shape") in ((), None)

    def _number(self, ref: Ref) -> float | None:
        number = self._view.scalar(ref)
        return None if number is None else float(number)

    def _node(self, ref: Ref) -> Node:
        return self._view.node(self._view.resolve(ref)[0])


def _orders(node: Node) -> Iterator[tuple[Ref, Ref]]:
    if len(node.operands) == 2:
        one, other = node.operands
        yield one, other
        yield other, one
