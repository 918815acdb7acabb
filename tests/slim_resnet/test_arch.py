"""Architectures: numbers known from the papers, torchvision and Keras."""

from __future__ import annotations

import dataclasses

import pytest

from slim_resnet import arch as arch_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Stage, stage_width


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # torchvision: resnet18, resnet34, resnext101_32x8d, resnext101_64x4d
        ("resnet_v1_18", 11_689_512),
        ("resnet_v1_34", 21_797_672),
        ("resnext_v1_101_32x8d", 88_791_336),
        ("resnext_v1_101_64x4d", 83_455_272),
        # torchvision: resnet50, resnet101, resnet152, resnext50_32x4d
        ("resnet_v1_50", 25_557_032),
        ("resnet_v1_101", 44_549_160),
        ("resnet_v1_152", 60_192_808),
        ("resnext_v1_50", 25_028_904),
        # Keras: trainable parameters of ResNet50V2, ResNet101V2, ResNet152V2
        ("resnet_v2_50", 25_568_360),
        ("resnet_v2_101", 44_577_896),
        ("resnet_v2_152", 60_236_904),
    ],
)
def test_parameter_counts(name, parameters):
    assert arch_lib.get(name).num_parameters == parameters


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        # arXiv:1512.03385, table 6
        ("resnet_cifar_20", 0.27),
        ("resnet_cifar_32", 0.46),
        ("resnet_cifar_44", 0.66),
        ("resnet_cifar_56", 0.85),
        ("resnet_cifar_110", 1.7),
        # arXiv:1611.05431, table 7
        ("resnext_29_8x64d", 34.4),
        ("resnext_29_16x64d", 68.1),
    ],
)
def test_parameter_counts_of_the_papers(name, millions):
    found = arch_lib.get(name).num_parameters / 1e6
    assert found == pytest.approx(millions, abs=0.06 if millions > 1 else 0.006)


def test_option_a_has_no_parameters_in_its_shortcuts():
    option_a, option_b = arch_lib.get("resnet_cifar_20"), arch_lib.get("resnet_cifar_20_b")
    extra = {v.name for v in option_b.variables} - {v.name for v in option_a.variables}
    assert {n.split("/")[3] for n in extra} == {"shortcut"}
    assert len(extra) == 2 * 5


def test_grouping_divides_the_weights():
    def weights(cardinality):
        stage = Stage(1, 256, 128, 1)
        arch = Arch("x", "resnext_v1", "bottleneck_v1", (stage,), cardinality)
        return next(v for v in arch.variables if v.name.endswith("conv2/weights")).shape

    assert weights(1) == (3, 3, 128, 128)  # 147,456 weights
    assert weights(2) == (3, 3, 64, 128)  # 73,728


def test_stage_width_of_the_paper():
    assert [stage_width(p, 32, 4) for p in (64, 128, 256, 512)] == [128, 256, 512, 1024]
    assert stage_width(64, 32, 8) == 256
    assert stage_width(64, 64, 4) == 256


def test_conventions_place_the_stride():
    slim = arch_lib.get("resnext_v1_50")
    torchvision = slim.replace(convention="torchvision")
    assert [u.scope for u in slim.units if u.stride == 2] == [
        "block1/unit_3/bottleneck_v1",
        "block2/unit_4/bottleneck_v1",
        "block3/unit_6/bottleneck_v1",
    ]
    assert [u.scope for u in torchvision.units if u.stride == 2] == [
        "block2/unit_1/bottleneck_v1",
        "block3/unit_1/bottleneck_v1",
        "block4/unit_1/bottleneck_v1",
    ]
    assert torchvision.replace(convention="slim") == slim
    assert torchvision.variables == slim.variables


def test_a_pooled_projection_has_no_rate_for_its_stride():
    """timm keeps the pooling of such a ResNet-D, with stride 1; others leave it out."""
    assert arch_lib.get("resnet_v1_50_d", output_stride=32).units
    with pytest.raises(ValueError, match="average_projection has no output_stride 8"):
        arch_lib.get("resnet_v1_50_d", output_stride=8)


def test_output_stride_turns_strides_into_rates():
    arch = arch_lib.get("resnet_v1_50", output_stride=8)
    rates = {u.block: [c.rate for c in u.convs] for u in arch.units}
    assert rates == {1: [1, 1, 1], 2: [1, 1, 1], 3: [1, 2, 1], 4: [1, 4, 1]}
    assert arch.units[-1].convs[1].pads == (4, 4)
    with pytest.raises(ValueError, match="output_stride 12 cannot be reached"):
        arch_lib.get("resnet_v1_50", output_stride=12).units  # noqa: B018


def test_json_round_trip():
    arch = arch_lib.get("resnext_v1_101", num_classes=None, convention="torchvision")
    assert Arch.from_json(arch.to_json()) == arch
    for broken in ("", "[]", "{}", '{"name": "x", "stages": [{"depth": 1}]}', "null"):
        with pytest.raises(ValueError, match="not the description"):
            Arch.from_json(broken)


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(ValueError, match="did you mean .*resnext_v1_50"):
        arch_lib.get("resnext_50")
    with pytest.raises(ValueError, match="unknown convention 'caffe'"):
        arch_lib.get("resnet_v1_50", convention="caffe")
    with pytest.raises(ValueError, match="no pre-activation nets"):
        arch_lib.get("resnet_v2_50", convention="torchvision")


def test_cardinality_must_divide_the_width():
    with pytest.raises(ValueError, match="cardinality 32 does not divide the 100 channels"):
        dataclasses.replace(arch_lib.get("resnext_v1_50"), stages=(Stage(1, 256, 100, 1),))
