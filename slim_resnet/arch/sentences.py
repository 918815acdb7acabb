"""An `Arch` in words: what is assumed of it, and what of it is unusual."""

from __future__ import annotations

from collections.abc import Iterator

from slim_resnet.arch.fields import Fields
from slim_resnet.arch.layout import logits, units
from slim_resnet.arch.parts import CUSTOM
from slim_resnet.arch.presets import convention_of, stem_of

_ACTIVATION_NAMES = {"relu": "ReLU", "relu6": "ReLU6", "leaky_relu": "leaky ReLU", "elu": "ELU"}
_POOLS = {
    "same": "SAME root pool",
    "symmetric": "symmetric root pool",
    "zeros": "root pool padded with zeros",
    "valid": "root pool without padding",
    "none": "no root pool",
}
_PADDINGS = {"symmetric": "padded symmetrically", "same": "padded SAME", "valid": "not padded"}


def assumptions(arch: Fields) -> list[tuple[str, str]]:
    """What is taken of `arch` that its variables cannot tell and its outputs depend on.

    Returns:
        (name of the fact, as `with_facts` takes it; a few words for users) each, the coarsest
        first: ("stride_unit", "stride in the last unit"), ("root_pool", "SAME root pool"), ...
    """
    return list(_assumptions(arch))


def _assumptions(arch: Fields) -> Iterator[tuple[str, str]]:
    yield "stride_unit", _stride(arch)
    yield "strides", "strides of the blocks " + "-".join(str(s.stride) for s in arch.stages)
    if arch.root_block:
        yield "root_stride", f"root of stride {arch.root_stride}, {_PADDINGS[arch.root_padding]}"
        yield "root_pool", _POOLS[arch.root_pool]
    yield "conv_padding", f"strided 3x3 {_PADDINGS[arch.conv_padding]}"
    yield "activation", _activations(arch)
    if arch.use_batch_norm or arch.kind.preact:
        yield "batch_norm_epsilon", f"epsilon {arch.batch_norm_epsilon:g}"
    yield "output_stride", _output_stride(arch)
    if any(unit.shortcut and not unit.projection for unit in units(arch)):
        yield "shortcut", f"shortcut {arch.shortcut}"
    if arch.shortcut == "average_projection":
        yield "shortcut", "2x2 average pooling before strided projections"
    elif arch.deep_stem:  # ResNet-D has such a stem, and averages before its projections
        yield "shortcut", "no pooling in shortcuts"
    if arch.has_se:
        yield "activation", "squeeze-and-excitation of averages, ReLU and sigmoid before the sum"
    ends = "logits" if logits(arch) else "features"
    pooled = "of the pooled features" if logits(arch) else "pooled"
    yield "global_pool", f"{ends} {pooled if arch.global_pool else 'of every position'}"


def _stride(arch: Fields) -> str:
    told = f"stride in the {arch.stride_unit} unit"
    return told if arch.stride_conv == arch.kind.strided else f"{told}'s {arch.stride_conv}"


def _activations(arch: Fields) -> str:
    inner, after = (_activation(arch, n) for n in (arch.activation, arch.unit_activation))
    where = "before the convolutions of a unit" if arch.kind.preact else "after the sum"
    told = inner if inner == after else f"{inner}, {after} {where}"
    return f"{told}, bounded residuals" if arch.use_bounded_activations else told


def _activation(arch: Fields, name: str) -> str:
    told = "no activation" if name == "none" else _ACTIVATION_NAMES.get(name, name)
    return f"{told} of slope {arch.activation_slope:g}" if name == "leaky_relu" else told


def _output_stride(arch: Fields) -> str:
    grid = next((s.unit_rates for s in reversed(arch.stages) if s.unit_rates), None)
    multi_grid = f", unit rates {'-'.join(map(str, grid))}" if grid else ""
    if arch.output_stride is not None:
        return f"output_stride {arch.output_stride} (atrous convolution){multi_grid}"
    total = arch.root_total_stride
    for stage in arch.stages:
        total *= stage.stride
    return f"output_stride {total} ({multi_grid[2:] or 'no atrous convolution'})"


def _widths(arch: Fields) -> str:
    return "-".join(str(stage.se_depth or "none") for stage in arch.stages)


def deviations(arch: Fields) -> list[str]:
    """What of `arch` is neither slim's nor a convention's, a few words each."""
    told = {
        f"{arch.input_channels}-channel images": arch.input_channels != 3,
        "no root block": stem_of(arch) == "none",
        f"{arch.root_kernel}x{arch.root_kernel} root of stride {arch.root_stride}, "
        f"{_POOLS[arch.root_pool]}": stem_of(arch) == CUSTOM,
        f"deep stem of {'-'.join(map(str, arch.deep_stem))}": arch.deep_stem != (),
        f"squeeze-and-excitation of {_widths(arch)}": arch.has_se,
        "average pooling before strided projections": arch.shortcut == "average_projection",
        f"root {_PADDINGS[arch.root_padding]}": arch.root_padding != "symmetric",
        _stride(arch): convention_of(arch) == CUSTOM,
        _POOLS[arch.root_pool]: convention_of(arch) == CUSTOM and stem_of(arch) == "imagenet",
        f"strided 3x3 {_PADDINGS[arch.conv_padding]}": arch.conv_padding != "symmetric",
        _activations(arch): (arch.activation, arch.unit_activation) != ("relu", "relu"),
        "no batch norm": not arch.use_batch_norm,
        "no gamma": not arch.batch_norm_scale,
        "no beta": not arch.batch_norm_center,
        f"biases before batch norms ({arch.conv_bias})": arch.conv_bias != "none",
        "no biases": not arch.plain_bias,
        "dense prediction": not arch.global_pool,
    }
    return [words for words, differs in told.items() if differs]
