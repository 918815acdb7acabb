"""Architectures as data: what every graph, every weight name and every check is derived from.

An `Arch` says what a network is; `Arch.units`, `Arch.variables` and `Arch.end_points` spell it out
layer by layer. Nothing here imports a framework.

Sources: arXiv:1512.03385 (ResNet), arXiv:1611.05431 (ResNeXt), and `tf_slim.nets` for names, for
the place of the stride and for `output_stride`.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
from dataclasses import dataclass

CONVENTIONS = ("slim", "torchvision")


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
    shortcut: Conv | None
    convs: tuple[Conv, ...]
    activation: bool

    @property
    def layers(self) -> tuple[Conv | Norm, ...]:
        """Every layer with variables, in the order in which slim creates them."""
        return tuple(layer for layer in (self.preact, self.shortcut, *self.convs) if layer)


@dataclass(frozen=True)
class UnitKind:
    """How a residual unit is made: (name, kernel) of its convolutions; the 3x3 one is strided."""

    convs: tuple[tuple[str, int], ...]
    preact: bool


UNIT_KINDS = {
    "bottleneck_v1": UnitKind((("conv1", 1), ("conv2", 3), ("conv3", 1)), preact=False),
    "bottleneck_v2": UnitKind((("conv1", 1), ("conv2", 3), ("conv3", 1)), preact=True),
}


@dataclass(frozen=True)
class Variable:
    """A slim variable: its name below the network's scope, and its shape."""

    name: str
    shape: tuple[int, ...]
    trainable: bool = True


@dataclass(frozen=True)
class Arch:
    """A residual network.

    Args:
        name: its name in the registry, or a description when it has none.
        family: the module of `slim_resnet` that builds it, e.g. "resnet_v1".
        unit: the kind of residual unit, a key of `UNIT_KINDS`; it is the unit's scope, too.
        stages: the blocks, from the root on.
        cardinality: groups of each unit's 3x3 convolution (1: a plain ResNet).
        num_classes: outputs of the logits layer; None: the network ends in the pooled features.
        convention: "slim" (stride in a block's last unit, SAME root pool) or "torchvision" (stride
            in a block's first unit, symmetric root pool).
        root_depth: output channels of the 7x7 root convolution.
        output_stride: input to output resolution, kept by atrous convolution; None: nominal.
        batch_norm_epsilon: 1e-5 in slim's resnet_arg_scope.
        batch_norm_decay: of the moving averages in training, 0.997 in slim's resnet_arg_scope.
    """

    name: str
    family: str
    unit: str
    stages: tuple[Stage, ...]
    cardinality: int = 1
    num_classes: int | None = 1000
    convention: str = "slim"
    root_depth: int = 64
    output_stride: int | None = None
    batch_norm_epsilon: float = 1e-5
    batch_norm_decay: float = 0.997

    def __post_init__(self):
        check_convention(self.convention)
        if self.kind.preact and self.convention == "torchvision":
            raise ValueError(f"{self.name}: torchvision has no pre-activation nets, use slim's")
        for stage in self.stages:
            check_cardinality(stage.depth_bottleneck, self.cardinality)

    def replace(self, **changes) -> Arch:
        """A copy with other field values; a change of `convention` moves the strides with it."""
        convention = changes.get("convention", self.convention)
        if convention != self.convention and "stages" not in changes:
            changes["stages"] = _move_strides(self.stages, convention)
        return dataclasses.replace(self, **changes)

    def scale(self, depth_multiplier: float, min_base_depth: int) -> Arch:
        """Every stage's base depth (a quarter of its output) times `depth_multiplier`.

        As in the model garden's resnet_v1: no base depth falls below `min_base_depth`.
        """

        def scaled(stage: Stage) -> Stage:
            old = stage.depth // 4
            base = max(int(old * depth_multiplier), min_base_depth)
            width = int(base * (stage.depth_bottleneck // self.cardinality) / old)
            return dataclasses.replace(
                stage, depth=4 * base, depth_bottleneck=width * self.cardinality
            )

        return self.replace(stages=tuple(scaled(stage) for stage in self.stages))

    @property
    def kind(self) -> UnitKind:
        return UNIT_KINDS[self.unit]

    @functools.cached_property
    def root(self) -> Conv:
        plain = self.kind.preact  # the first unit normalises and activates
        return Conv(
            "conv1", 7, 3, self.root_depth, 2, norm=not plain, bias=plain, activation=not plain
        )

    @functools.cached_property
    def postnorm(self) -> Norm | None:
        return Norm("postnorm", self.stages[-1].depth) if self.kind.preact else None

    @functools.cached_property
    def logits(self) -> Conv | None:
        if self.num_classes is None:
            return None
        depth = self.stages[-1].depth
        return Conv("logits", 1, depth, self.num_classes, norm=False, bias=True, activation=False)

    @functools.cached_property
    def units(self) -> tuple[Unit, ...]:
        """Every residual unit with its strides and rates, `output_stride` taken into account."""
        units = []
        depth_in, current_stride, rate = self.root_depth, 4, 1
        for block, stage in enumerate(self.stages, start=1):
            strides = unit_strides(stage.num_units, stage.stride, self.convention)
            for index, stride in enumerate(strides, start=1):
                atrous = self.output_stride is not None and current_stride == self.output_stride
                units.append(
                    self._unit(block, index, stage, depth_in, 1 if atrous else stride, rate)
                )
                if atrous:
                    rate *= stride
                else:
                    current_stride *= stride
                depth_in = stage.depth
        if self.output_stride not in (None, current_stride):
            raise ValueError(
                f"output_stride {self.output_stride} cannot be reached: the blocks of {self.name} "
                f"have strides {[s.stride for s in self.stages]} after a root of stride 4"
            )
        return tuple(units)

    def _unit(
        self, block: int, index: int, stage: Stage, depth_in: int, stride: int, rate: int
    ) -> Unit:
        scope = f"block{block}/unit_{index}/{self.unit}"
        preact = self.kind.preact
        last = {"norm": not preact, "bias": preact, "activation": False}
        shortcut = None
        if stage.depth != depth_in:
            shortcut = Conv(f"{scope}/shortcut", 1, depth_in, stage.depth, stride, **last)
        convs = []
        depth = depth_in
        for i, (name, kernel) in enumerate(self.kind.convs, start=1):
            is_last = i == len(self.kind.convs)
            width = stage.depth if is_last else stage.depth_bottleneck
            spatial = (stride, rate, self.cardinality) if kernel > 1 else ()
            convs.append(
                Conv(f"{scope}/{name}", kernel, depth, width, *spatial, **(last if is_last else {}))
            )
            depth = width
        return Unit(
            scope=scope,
            block=block,
            index=index,
            stride=stride,
            preact=Norm(f"{scope}/preact", depth_in) if preact else None,
            shortcut=shortcut,
            convs=tuple(convs),
            activation=not preact,
        )

    @property
    def layers(self) -> tuple[Conv | Norm, ...]:
        """Every layer with variables, in the order in which slim creates them."""
        inner = tuple(layer for unit in self.units for layer in unit.layers)
        return tuple(x for x in (self.root, *inner, self.postnorm, self.logits) if x)

    @property
    def end_points(self) -> tuple[str, ...]:
        """Names of the end points in slim's order, relative to the network's scope."""
        names = [self.root.scope]
        for unit in self.units:
            names += [conv.scope for conv in unit.layers if isinstance(conv, Conv)]
            names.append(unit.scope)
            if unit.index == self.stages[unit.block - 1].num_units:
                names.append(f"block{unit.block}")
        if self.logits:
            names.append(self.logits.scope)
        return tuple(names)

    @property
    def num_parameters(self) -> int:
        """The number of trainable parameters, moving statistics not counted."""
        return sum(math.prod(v.shape) for v in self.variables if v.trainable)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Every variable in slim's order, names relative to the network's scope."""
        found = []
        for layer in self.layers:
            if isinstance(layer, Norm):
                found += _batch_norm(layer.scope, layer.depth)
                continue
            found.append(Variable(f"{layer.scope}/weights", layer.weights_shape))
            if layer.norm:
                found += _batch_norm(f"{layer.scope}/BatchNorm", layer.depth)
            if layer.bias:
                found.append(Variable(f"{layer.scope}/biases", (layer.depth,)))
        return tuple(found)

    def to_json(self) -> str:
        """All fields as a JSON object; `from_json` is the reverse."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Arch:
        """The `Arch` that `to_json` wrote.

        Raises:
            ValueError: `text` is not such an object.
        """
        try:
            fields = json.loads(text)
            fields["stages"] = tuple(Stage(**stage) for stage in fields["stages"])
            return cls(**fields)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"not the description of an architecture: {error}") from error

    def describe(self) -> str:
        """One line, e.g. "resnet_v1, 3-4-6-3 units, bottlenecks 4-8-16-32, 10 classes"."""
        parts = [
            self.family,
            "-".join(str(s.num_units) for s in self.stages) + " units",
            "bottlenecks " + "-".join(str(s.depth_bottleneck) for s in self.stages),
        ]
        if self.cardinality > 1:
            parts.append(f"cardinality {self.cardinality}")
        parts.append(f"{self.num_classes} classes" if self.num_classes else "no logits")
        return ", ".join(parts)


def check_convention(convention: str) -> None:
    """Raises ValueError unless `convention` is one of `CONVENTIONS`."""
    if convention not in CONVENTIONS:
        raise ValueError(f"unknown convention {convention!r}: use {' or '.join(CONVENTIONS)}")


def unit_strides(num_units: int, stride: int, convention: str) -> tuple[int, ...]:
    """The stride of each of a block's units: `stride` is the last one's, or torchvision's first."""
    check_convention(convention)
    rest = (1,) * (num_units - 1)
    return (*rest, stride) if convention == "slim" else (stride, *rest)


def check_cardinality(depth: int, cardinality: int) -> None:
    """Raises ValueError unless `cardinality` groups divide `depth` channels."""
    if cardinality < 1 or depth % cardinality:
        raise ValueError(
            f"the cardinality {cardinality} does not divide the {depth} channels of the grouped "
            "convolution: choose a width that is a multiple of it"
        )


def stage_width(base_depth: int, cardinality: int, base_width: int) -> int:
    """Channels of a ResNeXt stage's 3x3: int(planes * base_width / 64) * cardinality."""
    return int(base_depth * base_width / 64) * cardinality


def _batch_norm(scope: str, depth: int) -> list[Variable]:
    return [
        Variable(f"{scope}/gamma", (depth,)),
        Variable(f"{scope}/beta", (depth,)),
        Variable(f"{scope}/moving_mean", (depth,), trainable=False),
        Variable(f"{scope}/moving_variance", (depth,), trainable=False),
    ]


def _move_strides(stages: tuple[Stage, ...], convention: str) -> tuple[Stage, ...]:
    """A stride that ends a block (slim) is one that begins the next (torchvision), and back."""
    strides = [stage.stride for stage in stages]
    shift = (
        strides[-1:] + strides[:-1] if convention == "torchvision" else strides[1:] + strides[:1]
    )
    return tuple(dataclasses.replace(s, stride=t) for s, t in zip(stages, shift, strict=True))


_UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}


def _imagenet(
    family: str, unit: str, depth: int, cardinality: int = 1, base_width: int = 64
) -> Arch:
    stages = tuple(
        Stage(units, 4 * planes, stage_width(planes, cardinality, base_width), stride)
        for units, planes, stride in zip(
            _UNITS[depth], (64, 128, 256, 512), (2, 2, 2, 1), strict=True
        )
    )
    return Arch(f"{family}_{depth}", family, unit, stages, cardinality)


REGISTRY: dict[str, Arch] = {
    arch.name: arch
    for arch in (
        *(_imagenet("resnet_v1", "bottleneck_v1", depth) for depth in _UNITS),
        *(_imagenet("resnet_v2", "bottleneck_v2", depth) for depth in _UNITS),
        *(_imagenet("resnext_v1", "bottleneck_v1", depth, 32, 4) for depth in (50, 101, 152)),
    )
}


def get(name: str, **changes) -> Arch:
    """The registry's `name`, with `Arch.replace(**changes)` applied.

    Raises:
        ValueError: there is no such architecture; the message names the nearest ones.
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=3) or sorted(REGISTRY)
        raise ValueError(f"unknown architecture {name!r}: did you mean {', '.join(near)}?")
    return REGISTRY[name].replace(**changes)
