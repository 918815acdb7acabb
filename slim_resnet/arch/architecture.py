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

from slim_resnet.arch import family as families
from slim_resnet.arch import layout
from slim_resnet.arch.checks import check
from slim_resnet.arch.parts import (
    BATCH_NORM_DECAY,
    BATCH_NORM_EPSILON,
    LEAKY_SLOPE,
    UNIT_KINDS,
    Activation,
    Conv,
    Norm,
    RootBlock,
    Stage,
    Unit,
    UnitKind,
    UnitOptions,
    Variable,
    check_choice,
    make_activation,
)
from slim_resnet.arch.presets import convention_of, named_facts, recorded_facts, stem_of
from slim_resnet.arch.sentences import deviations
from slim_resnet.arch.variables import NormVariables, layer_variables, unit_variables


@dataclass(frozen=True)
class Arch:
    """A residual network.

    Its fields are independent facts, each with slim's default; `convention` and `stem` are names
    for sets of them, which `replace` takes, too.

    Args:
        name: its name in the registry, or a description when it has none.
        family: a name in `slim_resnet.arch.families`, e.g. "resnet_v1".
        unit: the kind of residual unit, a key of `UNIT_KINDS`; it is the unit's scope, too.
        stages: the blocks, from the root on.
        cardinality: groups of each unit's 3x3 convolution (1: a plain ResNet).
        num_classes: outputs of the logits layer; None: the network ends in its features.
        input_channels: channels of the images (without a root block: of the first block's input).
        root_block: whether it begins with the root convolution, and its max pool.
        root_depth, root_kernel, root_stride: output channels, height and width of the kernel, and
            stride of the root convolution.
        root_padding: of the root convolution, one of `parts.PADDINGS`.
        root_pool: the max pool after it, one of `parts.ROOT_POOLS`.
        stride_unit: where a block's stride sits: in its "last" unit (slim) or its "first".
        stride_conv: the convolution of that unit that carries it; None: its kind's own, conv2 (3x3)
            of bottlenecks, conv1 of basic units. Bottlenecks of Caffe's ResNet and of the first
            ones in Keras have it in conv1 (1x1).
        conv_padding: of strided 3x3 convolutions in units, "symmetric" or "same".
        output_stride: input to output resolution, kept by atrous convolution; None: nominal.
        shortcut: where a unit changes the depth: "projection" (1x1 convolution, option B of
            arXiv:1512.03385), "pad" (zero channels, option A) or "average_pad" (2x2 average
            pooling and zero channels).
        form: which of the equivalent forms of a ResNeXt unit the graph and its variables have.
        activation: of the convolutions, one of `parts.ACTIVATIONS` (`resnet_arg_scope`'s).
        unit_activation: after the sum; in pre-activation nets, of the pre-activation.
        activation_slope: below zero, of leaky_relu.
        use_bounded_activations: the model garden's, for quantised inference: the residual clipped
            to -6 ... 6, and ReLU6 after the projection and after the sum.
        use_batch_norm: whether convolutions have a batch norm; else they have biases.
        batch_norm_scale, batch_norm_center: whether batch norms have a gamma, a beta.
        batch_norm_epsilon: 1e-5 in slim's resnet_arg_scope.
        batch_norm_decay: of the moving averages in training, 0.997 in slim's resnet_arg_scope.
        conv_bias: which convolutions have biases before a batch norm: "none", "root", "units" or
            "all".
        global_pool: whether features are averaged over all positions; else the network ends in a
            map (dense prediction).
        logits_layer: "conv" (1x1) or "dense" (a fully connected layer, weights of rank 2).
        logits_bias: whether the logits layer has biases.
    """

    name: str
    family: str
    unit: str
    stages: tuple[Stage, ...]
    cardinality: int = 1
    num_classes: int | None = 1000
    input_channels: int = 3
    root_block: bool = True
    root_depth: int = 64
    root_kernel: int = 7
    root_stride: int = 2
    root_padding: str = "symmetric"
    root_pool: str = "same"
    stride_unit: str = "last"
    stride_conv: str | None = None
    conv_padding: str = "symmetric"
    output_stride: int | None = None
    shortcut: str = "projection"
    form: str = "grouped"
    activation: str = "relu"
    unit_activation: str = "relu"
    activation_slope: float = LEAKY_SLOPE
    use_bounded_activations: bool = False
    use_batch_norm: bool = True
    batch_norm_scale: bool = True
    batch_norm_center: bool = True
    batch_norm_epsilon: float = BATCH_NORM_EPSILON
    batch_norm_decay: float = BATCH_NORM_DECAY
    conv_bias: str = "none"
    global_pool: bool = True
    logits_layer: str = "conv"
    logits_bias: bool = True

    def __post_init__(self):
        check_choice("unit", self.unit, tuple(UNIT_KINDS))
        if self.stride_conv is None:
            object.__setattr__(self, "stride_conv", self.kind.strided)
        if self.use_bounded_activations:  # it decides on this one, too
            object.__setattr__(self, "unit_activation", "relu6")
        check(self)

    def replace(self, **changes) -> Arch:
        """A copy with other field values.

        Args:
            **changes: fields; or `convention` and `stem`, which stand for several. Where the unit
                of a block's stride changes, the strides move with it.
        """
        changes = named_facts(self, changes)
        stride_unit = changes.get("stride_unit", self.stride_unit)
        if stride_unit != self.stride_unit and "stages" not in changes:
            changes["stages"] = layout.moved_strides(self.stages, stride_unit)
        return dataclasses.replace(self, **changes)

    def scale(self, depth_multiplier: float, min_base_depth: int) -> Arch:
        """Every stage's base depth (a quarter of its output) times `depth_multiplier`.

        As in the model garden's resnet_v1: no base depth falls below `min_base_depth`.
        """
        stages = layout.scaled_stages(self, depth_multiplier, min_base_depth)
        return self.replace(stages=stages)

    @property
    def traits(self) -> families.Family:
        """What its family declares."""
        return families.get(self.family)

    @property
    def kind(self) -> UnitKind:
        return UNIT_KINDS[self.unit]

    @property
    def convention(self) -> str:
        """The name for `stride_unit` and `root_pool`, a key of `parts.CONVENTIONS` or "custom"."""
        return convention_of(self)

    @property
    def stem(self) -> str:
        """The name for the root, a key of `parts.STEMS`, "none" or "custom"."""
        return stem_of(self)

    @property
    def conv_activation(self) -> Activation | None:
        """Of the convolutions."""
        return make_activation(self.activation, self.activation_slope)

    @functools.cached_property
    def root(self) -> Conv | None:
        return layout.root(self) if self.root_block else None

    @property
    def root_options(self) -> RootBlock:
        """The root block's facts, for the functions that build it."""
        return RootBlock(
            self.root_depth,
            self.root_kernel,
            self.root_stride,
            self.root_padding,
            self.root_pool,
            self.conv_bias in ("root", "all") if self.use_batch_norm else None,
        )

    @property
    def has_root_pool(self) -> bool:
        return self.root_block and self.root_pool != "none"

    @property
    def root_total_stride(self) -> int:
        """The stride of the root block, its max pool included."""
        return self.root_options.total_stride if self.root_block else 1

    @property
    def default_image_size(self) -> int:
        """Height and width that the network was designed for, in pixels."""
        return 224 if self.root_total_stride > 1 else 32

    @functools.cached_property
    def postnorm(self) -> Norm | None:
        if not self.kind.preact:
            return None
        after = make_activation(self.unit_activation, self.activation_slope)
        return Norm("postnorm", self.stages[-1].depth, after)

    @functools.cached_property
    def logits(self) -> Conv | None:
        return layout.logits(self)

    @functools.cached_property
    def units(self) -> tuple[Unit, ...]:
        """Every residual unit with its strides and rates, `output_stride` taken into account."""
        return tuple(layout.units(self))

    @property
    def unit_options(self) -> UnitOptions:
        """What the functions that build units take besides widths and strides."""
        return UnitOptions(
            stride_conv=None if self.stride_conv == self.kind.strided else self.stride_conv,
            padding=self.conv_padding,
            activation=make_activation(self.unit_activation, self.activation_slope),
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
        names = [self.root.scope] if self.root else []
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
        """Whether variables have the names of its family's script, which knows no scope."""
        return self.traits.script is not None and self.form == "concat"

    @functools.cached_property
    def variables(self) -> tuple[Variable, ...]:
        """Every variable in the order of creation, names relative to the network's scope."""
        if self.has_script_names:
            return tuple(self.traits.script.variables(self))
        return self.slim_variables

    @property
    def grouped(self) -> Arch:
        """The same network in the grouped form: what is converted, whatever was trained."""
        return self.replace(form="grouped")

    @functools.cached_property
    def slim_variables(self) -> tuple[Variable, ...]:
        """The same variables under slim's names."""
        norm = NormVariables(self.batch_norm_scale, self.batch_norm_center)
        found = layer_variables(self.root, norm) if self.root else []
        for unit in self.units:
            found += unit_variables(unit, self.form, norm)
        for layer in (self.postnorm, self.logits):
            found += layer_variables(layer, norm) if layer else []
        return tuple(found)

    def to_json(self) -> str:
        """All fields as a JSON object; `from_json` is the reverse."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Arch:
        """The `Arch` that `to_json` wrote, this version's or an earlier one's.

        Raises:
            ValueError: `text` is not such an object.
        """
        try:
            return cls(**recorded_facts(json.loads(text)))
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"not the description of an architecture: {error}") from error

    def describe(self) -> str:
        """One line, e.g. "resnet_v1, 3-4-6-3 units, bottlenecks 4-8-16-32, 10 classes".

        What differs from slim's networks, conventions apart, is named at its end.
        """
        parts = [
            self.family,
            "-".join(str(s.num_units) for s in self.stages) + " units",
            "bottlenecks " + "-".join(str(s.depth_bottleneck) for s in self.stages),
        ]
        if self.cardinality > 1:
            parts.append(f"cardinality {self.cardinality}")
        parts.append(f"{self.num_classes} classes" if self.num_classes else "no logits")
        return ", ".join([*parts, *deviations(self)])
