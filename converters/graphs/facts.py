"""What a graph says of a layer that its weights do not tell, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

Pair = tuple[int, int]  # height, width

# TensorFlow's fused batch norm takes this for any smaller epsilon (a demand of cuDNN's), so a graph
# that says 1.001e-5 may mean 1e-5, which is slim's.
CLAMPED_EPSILON = 1.001e-5
_NOMINAL_EPSILON = 1e-5


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
    def padding_per_side(self) -> int | None:
        """Pixels of padding on every side; None if the sides differ or the image's size decides."""
        totals = set()
        for kernel, stride, rate, pads in zip(
            self.kernel, self.stride, self.rate, self.pads, strict=True
        ):
            around = rate * (kernel - 1) if self.padding == "SAME" else 0
            if around % 2 or (around and stride > 1):
                return None
            totals |= {pad + around // 2 for pad in pads}
        return totals.pop() if len(totals) == 1 else None

    def __str__(self) -> str:
        return (
            f"kernel {self.kernel}, stride {self.stride}, rate {self.rate}, {self.padding} padding "
            f"and {self.pads} explicit"
        )


@dataclass(frozen=True)
class ConvFact:
    """A Conv2D: the variable it reads, how it slides, and its groups (None: not known)."""

    op: str
    weights: str
    window: Window
    groups: int | None


@dataclass(frozen=True)
class PoolFact:
    """A pooling; `kind` is MaxPool or AvgPool, `after` the weights of the convolution right before.

    `after` is None where something other than a batch norm, a bias or an activation lies between.
    An explicit padding counts whatever it fills in: behind a ReLU zeros do for minus infinity.
    """

    op: str
    kind: str
    window: Window
    after: str | None


@dataclass(frozen=True)
class NormFact:
    """A batch norm: its epsilon and the variables it reads."""

    op: str
    epsilon: float
    variables: tuple[str, ...]

    def nominal_epsilon(self, expected: float) -> float:
        """The epsilon that was asked for; `expected` if that is one the clamp would hide."""
        if self.epsilon != CLAMPED_EPSILON:
            return self.epsilon
        return expected if expected <= CLAMPED_EPSILON else _NOMINAL_EPSILON


@dataclass(frozen=True)
class DecayFact:
    """A constant of training that belongs to a variable: its weight decay, or its moving one."""

    variable: str
    value: float
