"""The parts that an architecture is spelled out in: layers, units, variables. No framework here."""

from __future__ import annotations

from dataclasses import dataclass

CONVENTIONS = ("slim", "torchvision")
FORMS = ("grouped", "concat", "branches")


@dataclass(frozen=True)
class Stage:
    """A block of residual units of one width.

    `stride` sits in the block's last unit in the `slim` convention, in its first unit in the
    `torchvision` convention. `depth_bottleneck` is the whole width of the 3x3 convolution, all
    groups together.
    """

    num_units: int
    depth: int
    depth_bottleneck: int
    stride: int


@dataclass(frozen=True)
class Conv:
    """A convolution and what follows it; `scope` is relative to the network's scope.

    `norm`: a batch norm follows, in the scope BatchNorm below. Every kernel is odd, so the padding
    of slim's `conv2d_same` is symmetric: `padding` pixels on each side, for any stride.
    """

    scope: str
    kernel: int
    depth_in: int
    depth: int
    stride: int = 1
    rate: int = 1
    groups: int = 1
    norm: bool = True
    bias: bool = False
    activation: bool = True

    @property
    def padding(self) -> int:
        return self.rate * (self.kernel - 1) // 2

    @property
    def weights_shape(self) -> tuple[int, int, int, int]:
        """[kernel, kernel, depth_in / groups, depth], as TensorFlow lays it out (HWIO)."""
        return (self.kernel, self.kernel, self.depth_in // self.groups, self.depth)


@dataclass(frozen=True)
class Norm:
    """A batch norm and ReLU that stand by themselves, as in the pre-activation nets (v2)."""

    scope: str
    depth: int


@dataclass(frozen=True)
class Pad:
    """A shortcut without parameters: the input made smaller by `stride`, zero channels added.

    `average`: 2x2 average pooling (SAME) instead of taking every `stride`-th pixel. `channels`
    zeros come before and as many behind.
    """

    stride: int
    channels: int
    average: bool


@dataclass(frozen=True)
class Unit:
    """A residual unit: `convs` in order, added to `shortcut` (None: the input, subsampled).

    With `preact`, convs and a projection shortcut read its output, the identity reads the input.
    `activation`: a ReLU follows the sum.
    """

    scope: str
    block: int  # from 1
    index: int  # from 1
    stride: int
    preact: Norm | None
    shortcut: Conv | Pad | None
    convs: tuple[Conv, ...]
    activation: bool

    @property
    def layers(self) -> tuple[Conv | Norm, ...]:
        """Every layer with variables, in the order in which slim creates them."""
        return tuple(x for x in (self.preact, self.projection, *self.convs) if x)

    @property
    def projection(self) -> Conv | None:
        """The shortcut, if it is a convolution."""
        return self.shortcut if isinstance(self.shortcut, Conv) else None


@dataclass(frozen=True)
class UnitKind:
    """How a residual unit is made.

    `convs` are (name, kernel); the one called `strided` carries the stride.
    """

    convs: tuple[tuple[str, int], ...]
    strided: str
    preact: bool = False


_BOTTLENECK = (("conv1", 1), ("conv2", 3), ("conv3", 1))

# By the name of the unit's scope.
UNIT_KINDS = {
    "bottleneck_v1": UnitKind(_BOTTLENECK, strided="conv2"),
    "bottleneck_v2": UnitKind(_BOTTLENECK, strided="conv2", preact=True),
    "basic_v1": UnitKind((("conv1", 3), ("conv2", 3)), strided="conv1"),
    # of the CIFAR script (resnext_cifar), which strides in the branches' first convolution
    "split_v1": UnitKind(_BOTTLENECK, strided="conv1"),
}


@dataclass(frozen=True)
class Variable:
    """A variable of the graph: its name below the network's scope, and its shape.

    In the forms `concat` and `branches` of a ResNeXt unit a variable is a part of one of the
    grouped form: of the one called `whole`, along `axis`. Else it is the whole itself.
    """

    name: str
    shape: tuple[int, ...]
    whole: str
    axis: int | None = None
    trainable: bool = True


def check_convention(convention: str) -> None:
    """Raises ValueError unless `convention` is one of `CONVENTIONS`."""
    if convention not in CONVENTIONS:
        raise ValueError(f"unknown convention {convention!r}: use {' or '.join(CONVENTIONS)}")


def check_form(form: str) -> None:
    """Raises ValueError unless `form` is one of `FORMS`."""
    if form not in FORMS:
        raise ValueError(f"unknown form {form!r} of a ResNeXt unit: use {', '.join(FORMS)}")


def check_cardinality(depth: int, cardinality: int) -> None:
    """Raises ValueError unless `cardinality` groups divide `depth` channels."""
    if cardinality < 1 or depth % cardinality:
        raise ValueError(
            f"the cardinality {cardinality} does not divide the {depth} channels of the grouped "
            "convolution: choose a width that is a multiple of it"
        )


def unit_strides(num_units: int, stride: int, convention: str) -> tuple[int, ...]:
    """The stride of each of a block's units: `stride` is the last one's, or torchvision's first."""
    check_convention(convention)
    rest = (1,) * (num_units - 1)
    return (*rest, stride) if convention == "slim" else (stride, *rest)


def stage_width(base_depth: int, cardinality: int, base_width: int) -> int:
    """Channels of a ResNeXt stage's 3x3: int(planes * base_width / 64) * cardinality."""
    return int(base_depth * base_width / 64) * cardinality
