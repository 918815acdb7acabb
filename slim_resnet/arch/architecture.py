"""`Arch`: a residual network as data, from which every graph, name and check is derived.

`Arch.units`, `Arch.variables` and `Arch.end_points` spell it out layer by layer; `slim_resnet.arch`
has the known ones. Nothing here imports a framework.

Sources: arXiv:1512.03385 (ResNet), arXiv:1611.05431 (ResNeXt), and `tf_slim.nets` for names, for
the place of the stride and for `output_stride`.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from dataclasses import dataclass

from slim_resnet.arch.parts import (
    UNIT_KINDS,
    Conv,
    Norm,
    Pad,
    Stage,
    Unit,
    UnitKind,
    Variable,
    check_cardinality,
    check_convention,
    check_form,
    unit_strides,
)
from slim_resnet.arch.variables import layer_variables, script_variables, unit_variables

_CHOICES = {
    "unit": tuple(UNIT_KINDS),
    "stem": ("imagenet", "cifar"),
    "shortcut": ("projection", "pad", "average_pad"),
}


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
        stem: "imagenet" (7x7 of stride 2, 3x3 max pool of stride 2) or "cifar" (3x3).
        root_depth: output channels of the root convolution.
        shortcut: where a unit changes the depth: "projection" (1x1 convolution, option B of
            arXiv:1512.03385), "pad" (zero channels, option A) or "average_pad" (2x2 average
            pooling and zero channels).
        form: which of the equivalent forms of a ResNeXt unit the graph and its variables have.
        output_stride: input to output resolution, kept by atrous convolution; None: nominal.
        batch_norm_epsilon: 1e-5 in slim's resnet_arg_scope.
        batch_norm_decay: of the moving averages in training, 0.997 in slim's resnet_arg_scope.
        logits_bias: whether the logits layer has biases.
    """

    name: str
    family: str
    unit: str
    stages: tuple[Stage, ...]
    cardinality: int = 1
    num_classes: int | None = 1000
    convention: str = "slim"
    stem: str = "imagenet"
    root_depth: int = 64
    shortcut: str = "projection"
    form: str = "grouped"
    output_stride: int | None = None
    batch_norm_epsilon: float = 1e-5
    batch_norm_decay: float = 0.997
    logits_bias: bool = True

    def __post_init__(self):
        check_convention(self.convention)
        check_form(self.form)
        for field, known in _CHOICES.items():
            if getattr(self, field) not in known:
                raise ValueError(f"{field} is {getattr(self, field)!r}: use {', '.join(known)}")
        if self.kind.preact and self.convention == "torchvision":
            raise ValueError(f"{self.name}: torchvision has no pre-activation nets, use slim's")
        if self.form != "grouped" and self.cardinality == 1:
            raise ValueError(f"{self.name}: only a ResNeXt unit has the form {self.form!r}")
        if self.family == "resnext_cifar" and self.form == "branches":
            raise ValueError(f"{self.name}: the CIFAR script has no form 'branches', use 'concat'")
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
        kernel, stride = (7, 2) if self.has_root_pool else (3, 1)
        return Conv(
            "conv1",
            kernel,
            3,
            self.root_depth,
            stride,
            norm=not plain,
            bias=plain,
            activation=not plain,
        )

    @property
    def has_root_pool(self) -> bool:
        return self.stem == "imagenet"

    @property
    def default_image_size(self) -> int:
        """Height and width that the network was designed for, in pixels."""
        return 224 if self.stem == "imagenet" else 32

    @functools.cached_property
    def postnorm(self) -> Norm | None:
        return Norm("postnorm", self.stages[-1].depth) if self.kind.preact else None

    @functools.cached_property
    def logits(self) -> Conv | None:
        if self.num_classes is None:
            return None
        depth, bias = self.stages[-1].depth, self.logits_bias
        return Conv("logits", 1, depth, self.num_classes, norm=False, bias=bias, activation=False)

    @functools.cached_property
    def units(self) -> tuple[Unit, ...]:
        """Every residual unit with its strides and rates, `output_stride` taken into account."""
        units = []
        root_stride = 4 if self.has_root_pool else 1
        depth_in, current_stride, rate = self.root_depth, root_stride, 1
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
                f"have strides {[s.stride for s in self.stages]} after a root of stride "
                f"{root_stride}"
            )
        return tuple(units)

    def _unit(
        self, block: int, index: int, stage: Stage, depth_in: int, stride: int, rate: int
    ) -> Unit:
        scope = f"block{block}/unit_{index}/{self.unit}"
        preact = self.kind.preact
        last = {"norm": not preact, "bias": preact, "activation": False}
        convs = []
        depth = depth_in
        for i, (name, kernel) in enumerate(self.kind.convs, start=1):
            is_last = i == len(self.kind.convs)
            width = stage.depth if is_last else stage.depth_bottleneck
            convs.append(
                Conv(
                    f"{scope}/{name}",
                    kernel,
                    depth,
                    width,
                    stride=stride if name == self.kind.strided else 1,
                    rate=rate if kernel > 1 else 1,
                    groups=self.cardinality if kernel > 1 else 1,
                    **(last if is_last else {}),
                )
            )
            depth = width
        shortcut = None
        if stage.depth != depth_in and self.shortcut == "projection":
            shortcut = Conv(f"{scope}/shortcut", 1, depth_in, stage.depth, stride, **last)
        elif stage.depth != depth_in:
            zeros = (stage.depth - depth_in) // 2
            shortcut = Pad(stride, zeros, average=self.shortcut == "average_pad")
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
        """Every layer with variables, in slim's order; ResNeXt units in the grouped form."""
        inner = tuple(layer for unit in self.units for layer in unit.layers)
        return tuple(x for x in (self.root, *inner, self.postnorm, self.logits) if x)

    @property
    def end_points(self) -> tuple[str, ...]:
        """Names of the end points in slim's order, relative to the network's scope.

        Those that every form of the network computes have one name in all of them.
        """
        split = {"grouped": (), "concat": ("conv1",), "branches": ("conv1", "conv2")}[self.form]
        names = [self.root.scope]
        for unit in self.units:
            convs = (unit.projection, *unit.convs)
            names += [c.scope for c in convs if c and c.scope.rpartition("/")[2] not in split]
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
    def has_script_names(self) -> bool:
        """Whether variables have the names of the CIFAR script, which knows no scope."""
        return self.family == "resnext_cifar" and self.form == "concat"

    @functools.cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Every variable in the order of creation, names relative to the network's scope."""
        if self.has_script_names:
            return tuple(script_variables(self.units, self.root, self.logits))
        return self.slim_variables

    @property
    def grouped(self) -> Arch:
        """The same network in the grouped form: what is converted, whatever was trained."""
        return self.replace(form="grouped")

    @functools.cached_property
    def slim_variables(self) -> tuple[Variable, ...]:
        """The same variables under slim's names."""
        found = layer_variables(self.root)
        for unit in self.units:
            found += unit_variables(unit, self.form)
        for layer in (self.postnorm, self.logits):
            found += layer_variables(layer) if layer else []
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


def _move_strides(stages: tuple[Stage, ...], convention: str) -> tuple[Stage, ...]:
    """A stride that ends a block (slim) is one that begins the next (torchvision), and back."""
    strides = [stage.stride for stage in stages]
    shift = (
        strides[-1:] + strides[:-1] if convention == "torchvision" else strides[1:] + strides[:1]
    )
    return tuple(dataclasses.replace(s, stride=t) for s, t in zip(stages, shift, strict=True))
