"""Recognising a network from names and shapes, and saying no clearly."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import converters
from converters.recognise.detection import detect
from slim_resnet import arch as arch_lib
from slim_resnet.arch.parts import FORMS, Stage


def shapes(arch, scope="net"):
    prefix = f"{scope}/" if scope else ""
    return {prefix + v.name: v.shape for v in arch.variables}


# Whether projections pool is nothing that slim's names tell.
POOLING = {n for n, a in arch_lib.REGISTRY.items() if a.shortcut == "average_projection"}


@pytest.mark.parametrize("name", sorted(set(arch_lib.REGISTRY) - POOLING))
@pytest.mark.parametrize("num_classes", [10, 1001, None])
def test_registry_entries_are_recognised(name, num_classes):
    arch = arch_lib.get(name, num_classes=num_classes)
    found = detect(shapes(arch), "x")
    assert (found.arch, found.scope) == (arch, "net")


@pytest.mark.parametrize("name", sorted(POOLING))
def test_pooling_before_projections_is_told_and_never_guessed(name):
    arch = arch_lib.get(name, num_classes=10)
    plain = detect(shapes(arch), "x").arch
    assert (plain.deep_stem, plain.shortcut) == ((32, 32), "projection")
    assert ("shortcut", "no pooling in shortcuts") in arch_lib.assumptions(plain)
    assert detect(shapes(arch), "x", arch=name).arch == arch
    facts = {"shortcut": "average_projection"}
    found = detect(shapes(arch), "x", convention="torchvision", facts=facts).arch
    assert found.replace(name=name) == arch


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("net/block2/unit_3/bottleneck_v1/se/expand/biases"), "no variable net/"),
        (lambda s: s.update({"net/block2/unit_1/bottleneck_v1/se/reduce/weights": (9,)}), "rank 4"),
    ],
)
def test_squeeze_and_excitation_is_in_every_unit_of_a_block(change, message):
    found = shapes(arch_lib.get("se_resnet_v1_50"))
    change(found)
    with pytest.raises(converters.CheckpointError, match=message):
        detect(found, "x")


R50 = arch_lib.get("resnet_v1_50")
SCOPES = ["", "a/b/resnet_v1_50", "tower_0", "FeatureExtractor/resnet_v1_101", "block1/unit_1"]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("name", ["resnext_v1_50", "resnet_v2_50", "resnext_cifar"])
def test_any_scope(scope, name):
    arch = arch_lib.get(name)
    found = detect(shapes(arch, scope), "x")
    assert (found.arch, found.scope) == (arch, scope)


def test_scopes_of_slots_and_averages_are_no_networks():
    arch = arch_lib.get("resnet_v1_50")
    slots = {f"train/{n}/Momentum": s for n, s in shapes(arch, "net").items()}
    averages = {f"ema/{n}/ExponentialMovingAverage": s for n, s in shapes(arch, "net").items()}
    assert detect({**slots, **averages, **shapes(arch, "net")}, "x").scope == "net"


LIKE = ["resnet_v1_18", "resnet_v2_50", "resnext_v1_50", "resnext_29_8x64d", "resnet_cifar_20_b"]


@st.composite
def networks(draw):
    """An Arch of unusual depth, width, cardinality, form and classes."""
    like = arch_lib.get(draw(st.sampled_from(LIKE)))
    cardinality = draw(st.integers(2, 9)) if like.cardinality > 1 else 1
    sizes = st.integers(1, 40)
    strides = {"slim": (2, 2, 1), "torchvision": (1, 2, 2)}[like.convention]
    stages = tuple(
        Stage(draw(st.integers(1, 4)), draw(sizes), cardinality * draw(sizes), stride)
        for stride in strides
    )
    forms = FORMS if cardinality > 1 else ("grouped",)
    made = like.replace(
        stages=stages,
        cardinality=cardinality,
        root_depth=draw(sizes),
        num_classes=draw(st.sampled_from([None, 2, 1000, 1001])),
        form=draw(st.sampled_from(forms)),
    )
    return made.replace(name=f"{made.family}_custom")


@given(networks(), st.sampled_from(SCOPES))
@settings(deadline=None, max_examples=150, derandomize=True)
def test_unusual_depths_widths_and_cardinalities(arch, scope):
    found = detect(shapes(arch, scope), "x")
    assert (found.arch.units, found.scope) == (arch.units, scope)
    # where the depth never changes, which kind of shortcut it would need does not matter
    assert found.arch.replace(shortcut=arch.shortcut) == arch


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

    ckpt = converters.Recognised(File(found), arch, "net")
    assert ckpt.unknown == ["aspp/weights", "net/extra"]


def test_overrides():
    arch = arch_lib.get("resnet_v1_50", num_classes=21)
    found = detect(shapes(arch), "x", arch="resnet_v1_50", convention="torchvision").arch
    assert found == arch.replace(convention="torchvision")
    two = {**shapes(arch, "a"), **shapes(arch, "b")}
    assert detect(two, "x", scope="b").scope == "b"


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_a_named_network_is_the_checkpoints(form):
    arch = arch_lib.get("resnext_v1_50", form=form, num_classes=10)
    assert detect(shapes(arch), "x", arch="resnext_v1_50").arch == arch


def test_what_is_no_whole_network_is_left_out_with_a_note():
    """Faster R-CNN of the object detection API: block4 is in a scope of its own."""
    whole = arch_lib.get("resnet_v1_101", num_classes=None)
    first = shapes(whole.replace(stages=whole.stages[:3]), "FirstStage/resnet_v1_101")
    second = {n: s for n, s in shapes(whole, "SecondStage/resnet_v1_101").items() if "block4" in n}
    found = detect({**first, **second}, "x")
    assert found.scope == "FirstStage/resnet_v1_101"
    assert [s.num_units for s in found.arch.stages] == [3, 4, 23]
    (note,) = found.notes
    assert "'SecondStage/resnet_v1_101' is no whole network: x: SecondStage" in note


def test_absurd_numbers_are_no_blocks():
    odd = f"net/block{'9' * 5000}/unit_1/bottleneck_v1/conv1/weights"
    assert detect({**shapes(R50), odd: (1, 1, 1, 1)}, "x").arch == R50


# -- two readings ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def save_together(tmp_path_factory):
    """Builds networks in one graph, (Arch, scope) each, and saves them in one checkpoint."""
    from slim_resnet import graph
    from slim_resnet.compat import tf
    from slim_resnet.regression.record import seeded_value

    def save(*networks) -> str:
        prefix = tmp_path_factory.mktemp("together") / "model.ckpt"
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.placeholder(tf.float32, [None, None, None, 3])
            for arch, scope in networks:
                graph.build(arch, images, scope=scope, reuse=tf.AUTO_REUSE)
            values = {v: seeded_value(v.op.name, tuple(v.shape)) for v in tf.global_variables()}
            graph.assign(session, values)
            tf.train.Saver().save(session, str(prefix), write_meta_graph=False)
        return str(prefix)

    return save


def short(arch, **changes):
    """The first two stages, one unit each, and the name that a detected network gets."""
    stages = tuple(dataclasses.replace(s, num_units=1) for s in arch.stages[:2])
    strides = (2, 1)
    stages = tuple(dataclasses.replace(s, stride=t) for s, t in zip(stages, strides, strict=True))
    return arch.replace(name=f"{arch.family}_custom", stages=stages, **changes)


def test_two_towers(narrow, save_together):
    one, other = short(narrow("resnet_v1_50")), short(narrow("resnet_v1_50", base=2))
    prefix = save_together((one, "tower_0/net"), (other, "tower_1/net"))
    with pytest.raises(converters.CheckpointError) as error:
        converters.load_checkpoint(prefix)
    assert str(error.value).endswith(
        "holds 2 networks, all of them whole: choose one with --scope: "
        "'tower_0/net': resnet_v1_custom (resnet_v1, 1-1 units, bottlenecks 4-8, 10 classes); "
        "'tower_1/net': resnet_v1_custom (resnet_v1, 1-1 units, bottlenecks 2-4, 10 classes)"
    )
    ckpt = converters.load_checkpoint(prefix, scope="tower_1/net")
    assert ckpt.arch == other
    assert {name.partition("/")[0] for name in ckpt.unknown} == {"tower_0"}


def test_two_kinds_of_units_in_one_scope(narrow, save_together):
    one, other = short(narrow("resnet_v1_50")), short(narrow("resnet_v2_50"))
    prefix = save_together((one, "net"), (other, "net"))
    with pytest.raises(converters.CheckpointError) as error:
        converters.load_checkpoint(prefix)
    assert str(error.value).endswith(
        "choose one with --arch: "
        "'net': resnet_v1_custom (resnet_v1, 1-1 units, bottlenecks 4-8, 10 classes); "
        "'net': resnet_v2_custom (resnet_v2, 1-1 units, bottlenecks 4-8, 10 classes)"
    )
    for arch in (one, other):
        assert converters.load_checkpoint(prefix, arch=arch.name).arch == arch


def test_two_forms_in_one_scope(narrow, save_together):
    grouped = short(narrow("resnext_v1_50"))
    concat = grouped.replace(form="concat")
    prefix = save_together((grouped, "net"), (concat, "net"), (grouped, "other"))
    with pytest.raises(converters.CheckpointError) as error:
        converters.load_checkpoint(prefix)
    described = "(resnext_v1, 1-1 units, bottlenecks 8-16, cardinality 4, 10 classes)"
    assert str(error.value).endswith(
        "holds 3 networks, all of them whole: choose one with --scope and --arch: "
        f"'net': resnext_v1_custom:grouped {described}; "
        f"'net': resnext_v1_custom:concat {described}; 'other': resnext_v1_custom {described}"
    )
    for arch in (grouped, concat):
        label = f"resnext_v1_custom:{arch.form}"
        ckpt = converters.load_checkpoint(prefix, arch=label, scope="net")
        assert ckpt.arch == arch
        assert list(ckpt.stored()) == [v.name for v in arch.variables]
    with pytest.raises(converters.CheckpointError, match="choose one with --arch: 'net'"):
        converters.load_checkpoint(prefix, arch="resnext_v1_custom", scope="net")
    with pytest.raises(ValueError, match="unknown architecture 'resnext_v1_custom:branches'"):
        converters.load_checkpoint(prefix, arch="resnext_v1_custom:branches", scope="net")


def test_no_two_networks_of_the_registry_have_the_same_variables():
    """Otherwise names and shapes could be read two ways, and none of them should be taken."""
    found = {}
    for name, arch in arch_lib.REGISTRY.items():
        for form in FORMS if arch.cardinality > 1 and arch.unit != "split_v1" else (arch.form,):
            variables = tuple(arch.replace(form=form, num_classes=10).variables)
            assert found.setdefault(variables, name) == name


def without(arch, name):
    return {k: v for k, v in shapes(arch).items() if k != f"net/{name}"}


@pytest.mark.parametrize(
    ("found", "options", "message"),
    [
        ({"vgg_16/conv1/conv1_1/weights": (3, 3, 3, 64)}, {}, "no slim ResNet in it.*vgg_16/conv1"),
        ({}, {}, "no slim ResNet in it"),
        (
            {**shapes(R50, "a"), **shapes(R50, "b")},
            {},
            "holds 2 networks.*choose one with --scope: 'a': resnet_v1_50 .*; 'b': resnet_v1_50 ",
        ),
        (
            {
                **without(R50, "conv1/weights"),
                "b/block1/unit_1/basic_v1/conv1/weights": (3, 3, 4, 4),
            },
            {},
            "parts of 2 networks, none of them whole: choose one with --scope: 'b', 'net'",
        ),
        (
            {f"s{i}/block1/unit_1/basic_v1/conv1/weights": (3, 3, 4, 4) for i in range(100)},
            {},
            "100 scopes hold units of a ResNet: choose one with --scope: 's0', 's1', 's10', ...",
        ),
        (
            {
                **shapes(arch_lib.get("resnext_v1_50")),
                "net/block2/unit_1/bottleneck_v1/conv2/weights": (3, 3, 16, 256),
            },
            {},
            "the cardinalities of its blocks are 32, 16, 32, 32",
        ),
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
