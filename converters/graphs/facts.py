"""What a graph says of a layer that its weights do not tell, as plain data."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from slim_resnet.arch.parts import Activation, nominal_epsilon

Pair = tuple[int, int]  # height, width
_Facts = TypeVar("_Facts", bound="Facts")


@dataclass(frozen=True)
class Window:
    """How a convolution or a pooling slides over its input.

    Attributes:
        kernel: height and width.
        stride: of the output.
        rate: of atrous convolution, as an attribute or by SpaceToBatchND.
        padding: "SAME" or "VALID" (explicit ones are VALID).
        pads: ((top, bottom), (left, right)) pixels of explicit padding, by a Pad before it or by
            the operation itself.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    rate: Pair = (1, 1)
    padding: str = "VALID"
    pads: tuple[Pair, Pair] = ((0, 0), (0, 0))

    @property
    def sides(self) -> tuple[Pair, Pair] | None:
        """Pixels of padding before and behind, height and width; None: the image's size decides."""
        found = []
        for kernel, stride, rate, pads in zip(
            self.kernel, self.stride, self.rate, self.pads, strict=True
        ):
            around = rate * (kernel - 1) if self.padding == "SAME" else 0
            if around and stride > 1:
                return None
            found.append((pads[0] + around // 2, pads[1] + around - around // 2))
        return found[0], found[1]

    @property
    def padding_per_side(self) -> int | None:
        """Pixels of padding on every side; None if the sides differ or the image's size decides."""
        totals = {pad for pads in self.sides or () for pad in pads}
        return totals.pop() if len(totals) == 1 else None

    def __str__(self) -> str:
        return (
            f"kernel {self.kernel}, stride {self.stride}, rate {self.rate}, {self.padding} padding "
            f"and {self.pads} explicit"
        )


@dataclass(frozen=True)
class Step:
    """Something between two layers.

    Attributes:
        kind: "bias", "norm", "activation", "bound" (clipping to -value ... value), "gate" (times
            a sigmoid; what that comes from is a `JoinFact`), "pad", "reshape" or "dropout".
        op: the name of its operation, for a norm as in `NormFact`.
        value: the `Activation`, or the bound.
    """

    kind: str
    op: str
    value: Activation | float | None = None


@dataclass(frozen=True)
class Link:
    """Where a tensor comes from: the layer that computes it, and what follows that.

    Attributes:
        kind: "conv", "sum", "concat", "pool", "mean", "dense", or "other" for what no Arch has.
        op: the name of that operation.
        type: its type, e.g. "Conv2D".
        weights: of a conv or dense layer, None where they are computed.
        steps: what follows it, in order.
    """

    kind: str
    op: str
    type: str
    weights: str | None = None
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True)
class ConvFact:
    """A Conv2D: the variable it reads, how it slides, and its groups (None: not known).

    `source` is what it reads, its padding left out.
    """

    op: str
    weights: str
    window: Window
    groups: int | None
    source: Link


@dataclass(frozen=True)
class PoolFact:
    """A pooling; `kind` is MaxPool or AvgPool, `fill` what an explicit padding fills in."""

    op: str
    kind: str
    window: Window
    fill: float
    source: Link


@dataclass(frozen=True)
class JoinFact:
    """A sum, a concatenation, the mean of all positions or a dense layer, and what it reads.

    A product with a sigmoid, "gate", reads what is multiplied, and what the sigmoid ends.
    """

    op: str
    kind: str  # as of a `Link`, or "gate"
    inputs: tuple[Link, ...]
    weights: str | None = None


@dataclass(frozen=True)
class NormFact:
    """A batch norm: its epsilon and the variables it reads."""

    op: str
    epsilon: float
    variables: tuple[str, ...]

    def nominal_epsilon(self, expected: float) -> float:
        """The epsilon that was asked for; `expected` if that is one the clamp would hide."""
        return nominal_epsilon(self.epsilon, expected)


@dataclass(frozen=True)
class DecayFact:
    """A constant of training that belongs to a variable: its weight decay, or its moving one."""

    variable: str
    value: float


@dataclass(frozen=True)
class Facts:
    """Every convolution, pooling and batch norm of a graph, in its order; `path` is its file.

    `joins` are what lies between them; `decays` are those of weights, `averages` those of batch
    norms' moving statistics.
    """

    path: str
    convs: tuple[ConvFact, ...]
    pools: tuple[PoolFact, ...]
    norms: tuple[NormFact, ...]
    decays: tuple[DecayFact, ...] = ()
    averages: tuple[DecayFact, ...] = ()
    joins: tuple[JoinFact, ...] = ()

    def renamed(self: _Facts, name: Callable[[str], str]) -> _Facts:
        """The same facts of variables under other names; operations keep theirs."""
        replace = dataclasses.replace

        def link(old: Link) -> Link:
            return replace(old, weights=old.weights and name(old.weights))

        return replace(
            self,
            convs=tuple(
                replace(fact, weights=name(fact.weights), source=link(fact.source))
                for fact in self.convs
            ),
            pools=tuple(replace(fact, source=link(fact.source)) for fact in self.pools),
            norms=tuple(replace(n, variables=tuple(map(name, n.variables))) for n in self.norms),
            joins=tuple(
                replace(
                    fact,
                    inputs=tuple(map(link, fact.inputs)),
                    weights=fact.weights and name(fact.weights),
                )
                for fact in self.joins
            ),
            decays=tuple(replace(fact, variable=name(fact.variable)) for fact in self.decays),
            averages=tuple(replace(fact, variable=name(fact.variable)) for fact in self.averages),
        )

    def weight_decays(self, scope: str) -> tuple[float, ...]:
        """The different weight decays below a scope; () where the graph has no l2 loss."""
        return _values(self.decays, scope)

    def moving_average_decays(self, scope: str) -> tuple[float, ...]:
        """The different decays of batch norms below a scope; () where the graph tells none."""
        return _values(self.averages, scope)


def _values(facts: tuple[DecayFact, ...], scope: str) -> tuple[float, ...]:
    prefix = f"{scope}/" if scope else ""
    return tuple(sorted({fact.value for fact in facts if fact.variable.startswith(prefix)}))
