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
from slim_resnet.arch.fields import Fields
from slim_resnet.arch.parts import (
    UNIT_KINDS,
    Conv,
    Norm,
    Unit,
    UnitOptions,
    Variable,
    check_choice,
    make_activation,
)
from slim_resnet.arch.presets import convention_of, named_facts, recorded_facts, stem_of
from slim_resnet.arch.sentences import deviations
from slim_resnet.arch.variables import NormVariables, layer_variables, unit_variables


@dataclass(frozen=True)
class Arch(Fields):
    """A residual network: its `Fields`, and the layers, variables and end points that they make.

    `convention` and `stem` are names for sets of fields, which `replace` takes, too.
    """

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
    def convention(self) -> str:
        """The name for `stride_unit` and `root_pool`, a key of `parts.CONVENTIONS` or "custom"."""
        return convention_of(self)

    @property
    def stem(self) -> str:
        """The name for the root, a key of `parts.STEMS`, "none" or "custom"."""
        return stem_of(self)

    @functools.cached_property
    def root_convs(self) -> tuple[Conv, ...]:
        """The root's convolutions: one, or those of a deep stem."""
        return tuple(layout.root(self)) if self.root_block else ()

    @property
    def root(self) -> Conv | None:
        """The last of them, which the root pool follows."""
        return self.root_convs[-1] if self.root_convs else None

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
            average=self.shortcut == "average_projection",
            bias=self.plain_bias,
        )

    @property
    def layers(self) -> tuple[Conv | Norm, ...]:
        """Every layer with variables, in slim's order; ResNeXt units in the grouped form."""
        inner = tuple(layer for unit in self.units for layer in unit.layers)
        return tuple(x for x in (*self.root_convs, *inner, self.postnorm, self.logits) if x)

    @property
    def end_points(self) -> tuple[str, ...]:
        """Names of the end points in slim's order, relative to the network's scope.

        Those that every form of the network computes have one name in all of them.
        """
        split = {"grouped": (), "concat": ("conv1",), "branches": ("conv1", "conv2")}[self.form]
        names = [conv.scope for conv in self.root_convs]
        for unit in self.units:
            convs = unit.all_convs
            names += [c.scope for c in convs if c.scope.rpartition("/")[2] not in split]
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
        found = [v for conv in self.root_convs for v in layer_variables(conv, norm)]
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
