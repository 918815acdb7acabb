"""The parts that an architecture is spelled out in: layers, units, variables. No framework here."""

from __future__ import annotations

from dataclasses import dataclass

FORMS = ("grouped", "concat", "branches")

# How a convolution is padded. "symmetric": (kernel - 1) // 2 pixels before it and the rest behind,
# whatever the stride, which is slim's `conv2d_same`; "same": TensorFlow's SAME, which goes by the
# image's size; "valid": not at all.
PADDINGS = ("symmetric", "same", "valid")

# The max pool after the root convolution, 3x3 of stride 2. "same": TensorFlow's SAME (an even size
# is padded at the bottom and right only); "symmetric": a pixel of minus infinity on every side, as
# torchvision; "zeros": a pixel of zeros, which differs from that where its input may be negative.
ROOT_POOLS = ("same", "symmetric", "zeros", "valid", "none")

# Shortcuts that are 1x1 convolutions where a unit changes the depth, and those without parameters.
PROJECTIONS = ("projection", "block_projection", "average_projection")
SHORTCUTS = (*PROJECTIONS, "pad", "average_pad")

# Where a block's stride sits.
STRIDE_UNITS = ("last", "first")

# Names for two sets of facts. Stride in a block's last unit and a SAME root pool are slim's, stride
# in its first unit and a symmetric root pool torchvision's.
CONVENTIONS = {
    "slim": {"stride_unit": "last", "root_pool": "same"},
    "torchvision": {"stride_unit": "first", "root_pool": "symmetric"},
}
CUSTOM = "custom"  # what no convention, and no stem, is the name of

ACTIVATIONS = (
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "swish",
    "sigmoid",
    "tanh",
    "none",
)
LEAKY_SLOPE = 0.2  # tf.nn.leaky_relu's default
RESIDUAL_BOUND = 6.0  # of `use_bounded_activations`


@dataclass(frozen=True)
class Activation:
    """An element of `ACTIVATIONS`; `slope` below zero is for leaky_relu only, else 0.

    TensorFlow keeps a slope as float32, whatever the type of its input.
    """

    name: str = "relu"
    slope: float = 0.0

    @property
    def is_positive(self) -> bool:
        """Whether it gives nothing below zero, so that zeros do for minus infinity in a pool."""
        return self.name in ("relu", "relu6", "sigmoid")

    def __str__(self) -> str:
        return f"{self.name} (slope {self.slope:g})" if self.name == "leaky_relu" else self.name


RELU, RELU6, SIGMOID = Activation("relu"), Activation("relu6"), Activation("sigmoid")


@dataclass(frozen=True)
class RootBlock:
    """The root convolution and the max pool after it; the defaults are slim's.

    Attributes:
        depth: output channels.
        kernel: height and width of the kernel.
        stride: of the convolution.
        padding: of the convolution, one of `PADDINGS`.
        pool: one of `ROOT_POOLS`.
        bias: whether the convolution has biases beside its batch norm, or without one; None: as
            others.
        before: output channels of convolutions before it, of which the first has the stride.
    """

    depth: int = 64
    kernel: int = 7
    stride: int = 2
    padding: str = "symmetric"
    pool: str = "same"
    bias: bool | None = None
    before: tuple[int, ...] = ()

    @property
    def convs(self) -> tuple[tuple[str, int, int], ...]:
        """(scope, output channels, stride) of its convolutions: conv1, or conv1_1, conv1_2, ..."""
        depths = (*self.before, self.depth)
        if len(depths) == 1:
            return (("conv1", self.depth, self.stride),)
        return tuple(
            (f"conv1_{number}", depth, self.stride if number == 1 else 1)
            for number, depth in enumerate(depths, start=1)
        )

    @property
    def total_stride(self) -> int:
        """Input to output resolution."""
        return self.stride * (1 if self.pool == "none" else 2)


# Names for two sets of its facts, with slim's pool.
STEMS = {"imagenet": RootBlock(), "cifar": RootBlock(kernel=3, stride=1, pool="none")}


def make_activation(name: str, slope: float = LEAKY_SLOPE) -> Activation | None:
    """The activation called `name`; None for "none"."""
    if name == "none":
        return None
    return Activation(name, slope if name == "leaky_relu" else 0.0)


@dataclass(frozen=True)
class Stage:
    """A block of residual units of one width.

    `stride` sits in the block's last or first unit, see `Arch.stride_unit`. `depth_bottleneck` is
    the whole width of the 3x3 convolution, all groups together. `unit_rates` multiply the rate of
    atrous convolution, one for each unit (DeepLab's multi-grid); (): all 1. `se_depth` is the width
    of the squeeze-and-excitation that ends the residual of each unit; None: there is none.
    """

    num_units: int
    depth: int
    depth_bottleneck: int
    stride: int
    unit_rates: tuple[int, ...] = ()
    se_depth: int | None = None

    def __post_init__(self):
        if self.unit_rates and len(self.unit_rates) != self.num_units:
            raise ValueError(
                f"{len(self.unit_rates)} unit_rates {self.unit_rates} for {self.num_units} units: "
                "give one a unit"
            )
        if set(self.unit_rates) == {1}:
            object.__setattr__(self, "unit_rates", ())


@dataclass(frozen=True)
class Conv:
    """A convolution and what follows it; `scope` is relative to the network's scope.

    Biases come first, then a batch norm in the scope BatchNorm below, then the activation.
    `padding` is one of `PADDINGS`. `dense`: a fully connected layer, with weights of rank 2.
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
    activation: Activation | None = RELU
    padding: str = "symmetric"
    dense: bool = False

    @property
    def pads(self) -> tuple[int, int] | None:
        """Pixels of padding before and behind, in height and in width; None: as the size asks."""
        total = self.rate * (self.kernel - 1)
        if self.padding == "valid":
            return 0, 0
        if self.padding == "same" and self.stride > 1 and total:
            return None
        return total // 2, total - total // 2

    def output_size(self, size: int) -> int:
        """Height or width of the output for an input of `size`."""
        if self.padding == "valid":
            size -= self.rate * (self.kernel - 1)
        return -(-size // self.stride)

    @property
    def weights_shape(self) -> tuple[int, ...]:
        """As TensorFlow lays it out: HWIO, [kernel, kernel, depth_in / groups, depth], or IO."""
        if self.dense:
            return (self.depth_in, self.depth)
        return (self.kernel, self.kernel, self.depth_in // self.groups, self.depth)


@dataclass(frozen=True)
class Norm:
    """A batch norm and activation that stand by themselves, as in pre-activation nets (v2)."""

    scope: str
    depth: int
    activation: Activation | None = RELU


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
    `bound`: the residual is clipped to -bound ... bound before the sum. `activation` follows the
    sum. `se`: the two layers of squeeze-and-excitation (arXiv:1709.01507), which compute what the
    residual's channels are multiplied by from its average over all positions. `projection_pool`:
    the stride of the 2x2 average pooling (TensorFlow's SAME) before a projection; 1: there is none.
    """

    scope: str
    block: int  # from 1
    index: int  # from 1
    stride: int
    preact: Norm | None
    shortcut: Conv | Pad | None
    convs: tuple[Conv, ...]
    activation: Activation | None
    bound: float | None = None
    se: tuple[Conv, ...] = ()
    projection_pool: int = 1

    @property
    def layers(self) -> tuple[Conv | Norm, ...]:
        """Every layer with variables, in the order in which slim creates them."""
        return tuple(x for x in (self.preact, *self.all_convs) if x)

    @property
    def all_convs(self) -> tuple[Conv, ...]:
        """Every convolution, in the same order."""
        projection = (self.projection,) if self.projection else ()
        return (*projection, *self.convs, *self.se)

    @property
    def projection(self) -> Conv | None:
        """The shortcut, if it is a convolution."""
        return self.shortcut if isinstance(self.shortcut, Conv) else None


@dataclass(frozen=True)
class UnitKind:
    """How a residual unit is made.

    `convs` are (name, kernel); the one called `strided` carries the stride, unless the Arch says
    otherwise.
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
class UnitOptions:
    """How a residual unit computes, as far as its widths do not tell; the defaults are slim's.

    Attributes:
        stride_conv: the convolution that carries the unit's stride; None: its kind's own.
        padding: of a strided 3x3 convolution, "symmetric" or "same".
        activation: after the sum; in pre-activation units, of the pre-activation.
        project: whether the shortcut is a 1x1 convolution though the depth stays.
        average: whether a projection has its stride in a 2x2 average pooling before it.
        se_depth: the width of squeeze-and-excitation; None: there is none.
        bias: whether the convolutions of pre-activation units without a batch norm have biases.
    """

    stride_conv: str | None = None
    padding: str = "symmetric"
    activation: Activation | None = RELU
    project: bool = False
    average: bool = False
    se_depth: int | None = None
    bias: bool = True


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
    check_choice("convention", convention, tuple(CONVENTIONS))


def check_form(form: str) -> None:
    """Raises ValueError unless `form` is one of `FORMS`."""
    if form not in FORMS:
        raise ValueError(f"unknown form {form!r} of a ResNeXt unit: use {', '.join(FORMS)}")


def check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    """Raises ValueError unless `value` is one of `known`."""
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}: use {' or '.join(known)}")


def check_cardinality(depth: int, cardinality: int) -> None:
    """Raises ValueError unless `cardinality` groups divide `depth` channels."""
    if cardinality < 1 or depth % cardinality:
        raise ValueError(
            f"the cardinality {cardinality} does not divide the {depth} channels of the grouped "
            "convolution: choose a width that is a multiple of it"
        )


def unit_strides(num_units: int, stride: int, stride_unit: str) -> tuple[int, ...]:
    """The stride of each of a block's units: `stride` is the last one's, or the first one's."""
    rest = (1,) * (num_units - 1)
    return (*rest, stride) if stride_unit == "last" else (stride, *rest)


def stage_width(base_depth: int, cardinality: int, base_width: int) -> int:
    """Channels of a ResNeXt stage's 3x3: int(planes * base_width / 64) * cardinality."""
    return int(base_depth * base_width / 64) * cardinality


# The defaults of slim's `resnet_arg_scope`: L2 on weights of convolutions, and of batch norms.
WEIGHT_DECAY = 1e-4
BATCH_NORM_DECAY = 0.997
BATCH_NORM_EPSILON = 1e-5

# Largest difference over largest value that two correct builds may show. float64 rounding is below
# 1e-14 here, so what exceeds its bound is a wrong structure; float32 hides small ones.
PARITY = {"float64": 1e-12, "float32": 2e-5}

# TensorFlow 1.15's fused batch norm takes this for any smaller epsilon (a demand of cuDNN's), so a
# graph that says 1.001e-5 may have been asked for 1e-5, which is slim's.
CLAMPED_EPSILON = 1.001e-5


def nominal_epsilon(epsilon: float, expected: float = BATCH_NORM_EPSILON) -> float:
    """The epsilon that was asked for; `expected` if that is one the clamp would hide."""
    if epsilon != CLAMPED_EPSILON:
        return epsilon
    return expected if expected <= CLAMPED_EPSILON else BATCH_NORM_EPSILON
