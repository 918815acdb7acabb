"""An `Arch` spelled out: its root, units and logits, with strides, rates and activations."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from slim_resnet.arch.fields import Fields
from slim_resnet.arch.parts import (
    PROJECTIONS,
    RELU,
    RELU6,
    RESIDUAL_BOUND,
    SIGMOID,
    Conv,
    Norm,
    Pad,
    Stage,
    Unit,
    make_activation,
    unit_strides,
)


def root(arch: Fields) -> Iterator[Conv]:
    """The root's convolutions; in pre-activation nets the first unit normalises and activates."""
    has_norm = arch.use_batch_norm and not arch.kind.preact
    bias = arch.root_options.bias
    depth_in = arch.input_channels
    for scope, depth, stride in arch.root_options.convs:
        yield Conv(
            scope,
            arch.root_kernel,
            depth_in,
            depth,
            stride,
            norm=has_norm,
            bias=not has_norm if bias is None else bias,
            activation=None if arch.kind.preact else arch.conv_activation,
            padding=arch.root_padding,
        )
        depth_in = depth


def logits(arch: Fields) -> Conv | None:
    """The last layer; None: the network ends in its features."""
    if arch.num_classes is None:
        return None
    return Conv(
        "logits",
        1,
        arch.stages[-1].depth,
        arch.num_classes,
        norm=False,
        bias=arch.logits_bias,
        activation=None,
        dense=arch.logits_layer == "dense",
    )


def units(arch: Fields) -> Iterator[Unit]:
    """Every residual unit.

    Raises:
        ValueError: `output_stride` cannot be reached, or a convolution would have both a stride
            and a rate.
    """
    current_stride, rate = arch.root_total_stride, 1
    depth_in = arch.root_depth if arch.root_block else arch.input_channels
    for block, stage in enumerate(arch.stages, start=1):
        strides = unit_strides(stage.num_units, stage.stride, arch.stride_unit)
        rates = stage.unit_rates or (1,) * stage.num_units
        for index, (stride, times) in enumerate(zip(strides, rates, strict=True), start=1):
            is_atrous = arch.output_stride is not None and current_stride == arch.output_stride
            yield _unit(arch, block, index, depth_in, 1 if is_atrous else stride, rate * times)
            if is_atrous:
                rate *= stride
            else:
                current_stride *= stride
            depth_in = stage.depth
    if arch.output_stride not in (None, current_stride):
        raise ValueError(
            f"output_stride {arch.output_stride} cannot be reached: the blocks of {arch.name} "
            f"have strides {[s.stride for s in arch.stages]} after a root of stride "
            f"{arch.root_total_stride}"
        )


def _unit(arch: Fields, block: int, index: int, depth_in: int, stride: int, rate: int) -> Unit:
    kind, stage = arch.kind, arch.stages[block - 1]
    scope = f"block{block}/unit_{index}/{arch.unit}"
    after_sum = make_activation(arch.unit_activation, arch.activation_slope)
    pool = stride if arch.shortcut == "average_projection" else 1
    shortcut = _shortcut(arch, f"{scope}/shortcut", depth_in, stage.depth, stride // pool, index)
    return Unit(
        scope=scope,
        block=block,
        index=index,
        stride=stride,
        preact=Norm(f"{scope}/preact", depth_in, after_sum) if kind.preact else None,
        shortcut=shortcut,
        convs=tuple(_convs(arch, scope, stage, depth_in, stride, rate)),
        activation=None if kind.preact else after_sum,
        bound=RESIDUAL_BOUND if arch.use_bounded_activations else None,
        se=_squeeze_and_excitation(f"{scope}/se", stage),
        projection_pool=pool if shortcut else 1,
    )


def _convs(
    arch: Fields, scope: str, stage: Stage, depth: int, stride: int, rate: int
) -> Iterator[Conv]:
    inner = {
        "norm": arch.use_batch_norm,
        "bias": not arch.use_batch_norm or arch.conv_bias in ("units", "all"),
        "activation": arch.conv_activation,
    }
    last, _ = arch.kind.convs[-1]
    for name, kernel in arch.kind.convs:
        width = stage.depth if name == last else stage.depth_bottleneck
        own_stride = stride if name == arch.stride_conv else 1
        own_rate = rate if kernel > 1 else 1
        if own_stride > 1 and own_rate > 1:
            raise ValueError(
                f"{scope}/{name} has both the stride {own_stride} and the rate {own_rate}, which "
                "no convolution of TensorFlow has"
            )
        yield Conv(
            f"{scope}/{name}",
            kernel,
            depth,
            width,
            stride=own_stride,
            rate=own_rate,
            groups=arch.cardinality if kernel > 1 else 1,
            padding=arch.conv_padding if own_stride > 1 and kernel > 1 else "symmetric",
            **(_last(arch) if name == last else inner),
        )
        depth = width


def _squeeze_and_excitation(scope: str, stage: Stage) -> tuple[Conv, ...]:
    """Its two layers, whatever the activations of the others are (section 3 of the paper)."""
    if stage.se_depth is None:
        return ()
    plain = {"norm": False, "bias": True}
    return (
        Conv(f"{scope}/reduce", 1, stage.depth, stage.se_depth, activation=RELU, **plain),
        Conv(f"{scope}/expand", 1, stage.se_depth, stage.depth, activation=SIGMOID, **plain),
    )


def _last(arch: Fields) -> dict:
    """What follows the last convolution of a unit, and its projection."""
    if arch.kind.preact:
        return {"norm": False, "bias": arch.plain_bias, "activation": None}
    has_bias = not arch.use_batch_norm or arch.conv_bias in ("units", "all")
    return {"norm": arch.use_batch_norm, "bias": has_bias, "activation": None}


def _shortcut(
    arch: Fields, scope: str, depth_in: int, depth: int, stride: int, index: int
) -> Conv | Pad | None:
    is_projected = arch.shortcut == "block_projection" and index == 1
    if depth == depth_in and not is_projected:
        return None
    if arch.shortcut in PROJECTIONS:
        after = {"activation": RELU6} if arch.use_bounded_activations else {}
        return Conv(scope, 1, depth_in, depth, stride, **{**_last(arch), **after})
    zeros = (depth - depth_in) // 2
    return Pad(stride, zeros, average=arch.shortcut == "average_pad")


def scaled_stages(arch: Fields, depth_multiplier: float, min_base_depth: int) -> tuple[Stage, ...]:
    """The stages of `Arch.scale`."""

    def scaled(stage: Stage) -> Stage:
        old = stage.depth // 4
        base = max(int(old * depth_multiplier), min_base_depth)
        width = int(base * (stage.depth_bottleneck // arch.cardinality) / old)
        return dataclasses.replace(
            stage,
            depth=4 * base,
            depth_bottleneck=width * arch.cardinality,
            se_depth=stage.se_depth and max(stage.se_depth * base // old, 1),
        )

    return tuple(map(scaled, arch.stages))


def moved_strides(stages: tuple[Stage, ...], stride_unit: str) -> tuple[Stage, ...]:
    """A stride that ends a block (slim) is one that begins the next (torchvision), and back."""
    strides = [stage.stride for stage in stages]
    shift = strides[-1:] + strides[:-1] if stride_unit == "first" else strides[1:] + strides[:1]
    return tuple(dataclasses.replace(s, stride=t) for s, t in zip(stages, shift, strict=True))
