"""Recognising a network from names and shapes, and saying no clearly."""

from __future__ import annotations

import pytest

import converters
from converters.detect import detect
from slim_resnet import arch as arch_lib


def shapes(arch, scope="net"):
    prefix = f"{scope}/" if scope else ""
    return {prefix + v.name: v.shape for v in arch.variables}


@pytest.mark.parametrize("name", sorted(arch_lib.REGISTRY))
@pytest.mark.parametrize("num_classes", [10, 1001, None])
def test_registry_entries_are_recognised(name, num_classes):
    arch = arch_lib.get(name, num_classes=num_classes)
    found = detect(shapes(arch), "x")
    assert (found.arch, found.scope) == (arch, "net")


@pytest.mark.parametrize("scope", ["", "a/b/resnet_v1_50", "tower_0"])
def test_any_scope(scope):
    arch = arch_lib.get("resnext_v1_50")
    assert detect(shapes(arch, scope), "x").scope == scope


def test_real_checkpoint_of_tf_115(data):
    ckpt = converters.load_checkpoint(data / "slim_v1" / "v2")
    assert [s.depth_bottleneck for s in ckpt.arch.stages] == [4, 8, 16, 32]
    assert (ckpt.arch.family, ckpt.scope, ckpt.num_classes) == ("resnet_v1", "resnet_v1_50", 10)
    assert ckpt.global_step == 60
    assert {kind: len(names) for kind, names in ckpt.auxiliary.items()} == {
        "moving averages": 267,
        "optimizer slots": 161,
        "training state": 1,
    }
    assert ckpt.unknown == []
    assert len(ckpt) == 696 == 267 + 267 + 161 + 1
    assert ckpt["resnet_v1_50/conv1/weights"].shape == (7, 7, 3, 64)
    assert not any("Momentum" in n or "Average" in n for n in ckpt.weights())


def test_unknown_variables_are_listed(narrow, save_checkpoint):
    arch = narrow("resnet_v1_50")
    found = {**shapes(arch), "aspp/weights": (1, 1, 8, 8), "net/extra": (2,)}

    class File(dict):
        path = "x"

        def shape(self, name):
            return self[name]

    ckpt = converters.SlimCheckpoint(File(found), arch, "net")
    assert ckpt.unknown == ["aspp/weights", "net/extra"]


def test_overrides():
    arch = arch_lib.get("resnet_v1_50", num_classes=21)
    found = detect(shapes(arch), "x", arch="resnet_v1_50", convention="torchvision").arch
    assert found == arch.replace(convention="torchvision")
    two = {**shapes(arch, "a"), **shapes(arch, "b")}
    assert detect(two, "x", scope="b").scope == "b"


def without(arch, name):
    return {k: v for k, v in shapes(arch).items() if k != f"net/{name}"}


R50 = arch_lib.get("resnet_v1_50")


@pytest.mark.parametrize(
    ("found", "options", "message"),
    [
        ({"vgg_16/conv1/conv1_1/weights": (3, 3, 3, 64)}, {}, "no slim ResNet in it.*vgg_16/conv1"),
        ({}, {}, "no slim ResNet in it"),
        ({**shapes(R50, "a"), **shapes(R50, "b")}, {}, "holds 2 networks.*'a', 'b'"),
        (
            shapes(R50),
            {"arch": "resnet_v1_101"},
            "no variable net/block3/unit_7.*detected: resnet_v1",
        ),
        (shapes(R50), {"arch": "resnext_v1_50"}, r"conv1/weights has shape \[1, 1, 64, 64\]"),
        (shapes(R50), {"arch": "resnet_v2_50"}, "no variable net/conv1/biases"),
        (shapes(R50), {"scope": "other"}, "no unit of a ResNet in this scope"),
        (
            without(R50, "block2/unit_2/bottleneck_v1/conv3/weights"),
            {},
            "no variable net/block2/unit_2",
        ),
        (without(R50, "conv1/weights"), {}, "conv1/weights is missing"),
        (
            without(R50, "block1/unit_1/bottleneck_v1/conv1/weights"),
            {},
            "no variable net/block1/unit_1/bottl.*conv1",
        ),
        (
            without(R50, "block1/unit_3/bottleneck_v1/conv1/weights"),
            {},
            "no variable net/block1/unit_3",
        ),
        (
            {**shapes(R50), "net/block4/unit_3/bottleneck_v1/conv3/weights": (1, 1, 9, 9)},
            {},
            r"conv3/weights has shape \[1, 1, 9, 9\], but in .* it is \[1, 1, 512, 2048\]",
        ),
        (
            {**shapes(R50), "net/block999999999/unit_1/bottleneck_v1/conv1/weights": (1, 1, 1, 1)},
            {},
            "block5/unit_1/bottleneck_v1/conv2/weights is missing",
        ),
    ],
)
def test_what_is_wrong_is_named(found, options, message):
    with pytest.raises(converters.CheckpointError, match=f"(?s)^ckpt: .*{message}"):
        detect(found, "ckpt", **options)
