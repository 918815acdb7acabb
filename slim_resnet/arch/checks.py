"""Which values the fields of an `Arch` have, and which of them go together."""

from __future__ import annotations

import math

from slim_resnet.arch import family as families
from slim_resnet.arch.fields import Fields
from slim_resnet.arch.parts import (
    ACTIVATIONS,
    PADDINGS,
    ROOT_POOLS,
    SHORTCUTS,
    STRIDE_UNITS,
    check_cardinality,
    check_choice,
    check_form,
)

# Field of an Arch -> its values.
CHOICES = {
    "root_padding": PADDINGS,
    "root_pool": ROOT_POOLS,
    "stride_unit": STRIDE_UNITS,
    "conv_padding": ("symmetric", "same"),
    "shortcut": SHORTCUTS,
    "activation": ACTIVATIONS,
    "unit_activation": ACTIVATIONS,
    "conv_bias": ("none", "root", "units", "all"),
    "logits_layer": ("conv", "dense"),
}


def check(arch: Fields) -> None:
    """Raises ValueError for values that a field does not have, or that do not go together."""
    check_form(arch.form)
    for field, known in CHOICES.items():
        check_choice(field, getattr(arch, field), known)
    check_choice("stride_conv", arch.stride_conv, tuple(name for name, _ in arch.kind.convs))
    if arch.form != "grouped" and arch.cardinality == 1:
        raise ValueError(f"{arch.name}: only a ResNeXt unit has the form {arch.form!r}")
    if arch.use_bounded_activations and arch.unit != "bottleneck_v1":
        raise ValueError(f"{arch.name}: only bottleneck_v1 has use_bounded_activations")
    if arch.logits_layer == "dense" and not arch.global_pool:
        raise ValueError(f"{arch.name}: logits of a map are a convolution, not dense")
    if arch.deep_stem and arch.kind.preact:
        raise ValueError(f"{arch.name}: a deep stem is of nets without pre-activation")
    if arch.has_se and arch.use_bounded_activations:
        raise ValueError(
            f"{arch.name}: use_bounded_activations of units with squeeze-and-excitation are not "
            "defined"
        )
    if arch.shortcut == "average_projection" and arch.output_stride not in (None, _nominal(arch)):
        raise ValueError(
            f"{arch.name}: average_projection has no output_stride {arch.output_stride}: with a "
            "rate for the stride some networks keep its pooling and others do not"
        )
    if not 0 <= arch.batch_norm_decay <= 1:
        raise ValueError(
            f"{arch.name}: a batch norm decay is from 0 to 1, not {arch.batch_norm_decay:g}"
        )
    if not 0 <= arch.batch_norm_epsilon < 1:
        raise ValueError(
            f"{arch.name}: a batch norm epsilon is from 0 to 1, not {arch.batch_norm_epsilon:g}"
        )
    for stage in arch.stages:
        check_cardinality(stage.depth_bottleneck, arch.cardinality)
    _check_family(arch)


def _nominal(arch: Fields) -> int:
    """The output stride without atrous convolution."""
    return arch.root_total_stride * math.prod(stage.stride for stage in arch.stages)


def _check_family(arch: Fields) -> None:
    traits = families.get(arch.family)
    check_choice(f"unit of {arch.family}", arch.unit, tuple(traits.unit_fns))
    if arch.form not in traits.forms:
        raise ValueError(
            f"{arch.family} has no form {arch.form!r}: use {' or '.join(traits.forms)}"
        )
    for field, value in traits.fixed.items():
        if getattr(arch, field) != value:
            raise ValueError(f"{arch.family}: its {field} is always {value!r}")
