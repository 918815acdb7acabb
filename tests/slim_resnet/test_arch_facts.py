"""Facts of an Arch that its widths do not tell: names for sets of them, users' words, sentences."""

from __future__ import annotations

import dataclasses
import json

import pytest

from slim_resnet import arch as arch_lib
from slim_resnet.arch import assumptions, family, with_facts
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.facts import TOLD

R50 = arch_lib.get("resnet_v1_50")


def strided(arch):
    """The convolutions of units that have a stride, without the unit's kind."""
    return [
        f"{unit.block}/{unit.index}/{conv.scope.rpartition('/')[2]}"
        for unit in arch.units
        for conv in unit.convs
        if conv.stride > 1
    ]


@pytest.mark.parametrize(
    ("facts", "expected", "convention"),
    [
        ({}, ["1/3/conv2", "2/4/conv2", "3/6/conv2"], "slim"),
        # torchvision; SimCLR and the official ResNet v1.5, which have slim's root pool
        ({"convention": "torchvision"}, ["2/1/conv2", "3/1/conv2", "4/1/conv2"], "torchvision"),
        ({"stride_unit": "first"}, ["2/1/conv2", "3/1/conv2", "4/1/conv2"], "custom"),
        # Caffe's, and keras.applications.ResNet50
        (
            {"stride_unit": "first", "stride_conv": "conv1", "root_pool": "symmetric"},
            ["2/1/conv1", "3/1/conv1", "4/1/conv1"],
            "custom",
        ),
        # tf-faster-rcnn
        ({"root_pool": "symmetric"}, ["1/3/conv2", "2/4/conv2", "3/6/conv2"], "custom"),
    ],
)
def test_where_strides_sit(facts, expected, convention):
    arch = R50.replace(**facts)
    assert (strided(arch), arch.convention) == (expected, convention)
    assert arch.variables == R50.variables
    assert arch.replace(convention="slim") == R50


def test_a_stem_is_a_name_for_the_roots_facts():
    small = R50.replace(stem="cifar")
    assert (small.root_kernel, small.root_stride, small.root_pool) == (3, 1, "none")
    assert (small.stem, small.convention, small.default_image_size) == ("cifar", "slim", 32)
    assert small.replace(stem="imagenet") == R50
    assert R50.replace(root_kernel=5).stem == "custom"
    assert R50.replace(root_block=False).stem == "none"
    torchvision = arch_lib.get("resnet_cifar_20").replace(stem="imagenet")
    assert torchvision.root_pool == "symmetric"


def test_variables_follow_the_facts():
    def names(**facts):
        return [v.name for v in R50.replace(**facts).variables]

    assert not [n for n in names(batch_norm_scale=False) if n.endswith("gamma")]
    assert not [n for n in names(batch_norm_center=False) if n.endswith("beta")]
    assert names(conv_bias="root")[:3] == [
        "conv1/weights",
        "conv1/biases",
        "conv1/BatchNorm/gamma",
    ]
    assert len(names(conv_bias="all")) == len(names()) + 53
    # a block whose first unit keeps the depth: 5 variables of a projection more
    one = {"stages": (dataclasses.replace(R50.stages[0], depth=64),)}
    assert len(names(**one, shortcut="block_projection")) == len(names(**one)) + 5
    assert names(deep_stem=(32, 32))[:11:5] == [f"conv1_{n}/weights" for n in (1, 2, 3)]
    v2 = arch_lib.get("resnet_v2_50")
    assert len(v2.variables) - len(v2.replace(plain_bias=False).variables) == 1 + 4 + 16
    assert len(names(use_batch_norm=False)) == 2 * 54
    assert names(logits_bias=False)[-1] == "logits/weights"
    dense = R50.replace(logits_layer="dense", input_channels=4).variables
    assert (dense[0].shape, dense[-2].shape) == ((7, 7, 4, 64), (2048, 1000))
    headless = R50.replace(root_block=False, input_channels=8)
    assert headless.variables[0].shape == (1, 1, 8, 256)
    assert headless.end_points[0] == "block1/unit_1/bottleneck_v1/shortcut"


def test_unit_rates_multiply_the_rates_of_output_stride():
    deeplab = with_facts(R50, {"output_stride": 16, "multi_grid": "1,2,4"})
    assert [conv.rate for unit in deeplab.units[-3:] for conv in unit.convs] == [
        *(1, 2, 1),
        *(1, 4, 1),
        *(1, 8, 1),
    ]
    assert with_facts(R50, {"multi_grid": [1, 1, 1]}) == R50
    with pytest.raises(ValueError, match=r"2 unit_rates \(1, 2\) for 3 units"):
        with_facts(R50, {"multi_grid": "1,2"})
    with pytest.raises(ValueError, match="both the stride 2 and the rate 4"):
        with_facts(R50.replace(convention="torchvision"), {"multi_grid": "4,2,1"})


# -- what users say --------------------------------------------------------------------------------


def test_users_may_say_numbers_and_words_as_texts():
    told = {
        "convention": "torchvision",
        "output_stride": "8",
        "activation": "leaky_relu",
        "activation_slope": "0.1",
        "batch_norm_epsilon": "1e-3",
        "global_pool": "no",
        "root_stride": 2.0,
    }
    arch = with_facts(R50, told)
    assert arch == R50.replace(
        convention="torchvision",
        output_stride=8,
        activation="leaky_relu",
        activation_slope=0.1,
        batch_norm_epsilon=1e-3,
        global_pool=False,
    )
    assert with_facts(arch, {"output_stride": "none"}).output_stride is None
    strides = with_facts(R50, {"stride_unit": "first", "strides": "1-2-2-2"})
    assert strides == R50.replace(stride_unit="first")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"epsilon": 1}, "unknown fact 'epsilon': facts to tell are convention, stride_unit"),
        ({"input_channels": 1}, "input_channels is read from the variables: facts to tell are"),
        ({"root_pool": "valid-ish"}, "unknown root_pool 'valid-ish': use same or symmetric or"),
        ({"stride_conv": "conv4"}, "unknown stride_conv 'conv4': use conv1 or conv2 or conv3"),
        ({"activation": "prelu"}, "unknown activation 'prelu': use relu or relu6 or leaky_relu"),
        ({"output_stride": "12"}, "output_stride 12 cannot be reached: the blocks of resnet_v1_50"),
        ({"output_stride": "eight"}, "output_stride is 'eight': give a number"),
        ({"output_stride": 8.5}, "output_stride is 8.5: no network has that"),
        ({"root_stride": True}, "root_stride is True: give a number"),
        ({"root_stride": 0}, "root_stride is 0: give a number from 1 on"),
        ({"batch_norm_epsilon": 2}, "batch_norm_epsilon is 2: give a number from 0 to 1"),
        ({"global_pool": "maybe"}, "global_pool is 'maybe': use true or false"),
        ({"strides": "2,2"}, r"strides are \(2, 2\): give one for each of the 4 blocks"),
        ({"strides": 2}, "strides is 2: give numbers, as in"),
        ({"convention": "caffe"}, "unknown convention 'caffe': use slim or torchvision"),
    ],
)
def test_what_makes_no_sense_is_said(facts, message):
    with pytest.raises(ValueError, match=message):
        with_facts(R50, facts)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("resnet_v2_50", {"use_bounded_activations": True}, "only bottleneck_v1 has use_bounded"),
        ("resnet_v1_50", {"logits_layer": "dense", "global_pool": False}, "logits of a map are"),
        ("resnet_v1_50", {"family": "vgg"}, "unknown family 'vgg': use resnet_v1, resnet_v2"),
        ("resnet_v1_50", {"unit": "bottleneck_v2"}, "unknown unit of resnet_v1 'bottleneck_v2'"),
        ("resnet_v1_50", {"cardinality": 2}, "resnet_v1: its cardinality is always 1"),
        ("resnext_cifar", {"form": "branches"}, "resnext_cifar has no form 'branches'"),
        ("resnext_cifar", {"batch_norm_scale": False}, "its batch_norm_scale is always True"),
    ],
)
def test_facts_that_do_not_go_together(name, changes, message):
    with pytest.raises(ValueError, match=message):
        arch_lib.get(name, **changes)


# -- sentences -------------------------------------------------------------------------------------


def test_assumptions_name_facts_that_users_can_tell():
    assert assumptions(R50) == [
        ("stride_unit", "stride in the last unit"),
        ("strides", "strides of the blocks 2-2-2-1"),
        ("root_stride", "root of stride 2, padded symmetrically"),
        ("root_pool", "SAME root pool"),
        ("conv_padding", "strided 3x3 padded symmetrically"),
        ("activation", "ReLU"),
        ("batch_norm_epsilon", "epsilon 1e-05"),
        ("output_stride", "output_stride 32 (no atrous convolution)"),
        ("global_pool", "logits of the pooled features"),
    ]
    for name, arch in arch_lib.REGISTRY.items():
        for fact, _ in assumptions(arch):
            assert fact in TOLD, name


def test_assumptions_follow_the_facts():
    told = {
        "stride_unit": "first",
        "stride_conv": "conv1",
        "root_pool": "zeros",
        "activation": "leaky_relu",
        "output_stride": 16,
        "multi_grid": "1,2,4",
        "global_pool": False,
    }
    words = dict(assumptions(with_facts(R50, told)))
    assert words["stride_unit"] == "stride in the first unit's conv1"
    assert words["root_pool"] == "root pool padded with zeros"
    assert words["activation"] == "leaky ReLU of slope 0.2, ReLU after the sum"
    assert words["output_stride"] == "output_stride 16 (atrous convolution), unit rates 1-2-4"
    assert words["global_pool"] == "logits of every position"


def test_descriptions_name_what_is_unusual():
    assert R50.replace(convention="torchvision", output_stride=8).describe() == R50.describe()
    odd = R50.replace(
        input_channels=1, activation="relu6", batch_norm_scale=False, conv_bias="root"
    )
    assert odd.describe() == (
        f"{R50.describe()}, 1-channel images, ReLU6, ReLU after the sum, no gamma, "
        "biases before batch norms (root)"
    )


# -- JSON ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnext_v1_50", "resnet_v2_50", "resnext_cifar"])
def test_what_earlier_versions_wrote_is_read(name):
    arch = arch_lib.get(name)
    old = {
        key: getattr(arch, key)
        for key in (
            "name", "family", "unit", "cardinality", "num_classes", "convention", "stem",
            "root_depth", "shortcut", "form", "output_stride", "batch_norm_epsilon",
            "batch_norm_decay", "logits_bias",
        )
    }  # fmt: skip
    keys = ("num_units", "depth", "depth_bottleneck", "stride")
    old["stages"] = [{key: getattr(stage, key) for key in keys} for stage in arch.stages]
    assert Arch.from_json(json.dumps(old)) == arch
    if name == "resnext_v1_50":
        old["convention"] = "torchvision"
        found = Arch.from_json(json.dumps(old))
        assert (found.convention, found.root_pool) == ("torchvision", "symmetric")


def test_facts_survive_json():
    told = {"multi_grid": "1,2,4", "stride_conv": "conv1", "activation": "selu"}
    arch = with_facts(R50, told).replace(input_channels=1, root_kernel=5, logits_layer="dense")
    assert Arch.from_json(arch.to_json()) == arch
    assert json.loads(arch.to_json())["stride_conv"] == "conv1"


# -- families --------------------------------------------------------------------------------------


def test_every_family_builds_what_it_has_prototypes_of():
    from slim_resnet.graph import load_function

    for traits in family.FAMILIES.values():
        for name in (traits.generator, traits.arg_scope, traits.builder):
            assert callable(load_function(name))
        assert all(callable(load_function(name)) for name in traits.unit_fns.values())
        for unit, entry in traits.prototypes.items():
            arch = arch_lib.get(entry)
            assert (arch.unit, arch.family) == (unit, traits.name)
            assert unit in traits.unit_fns


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="there is a family 'resnet_v1' already"):
        family.register(family.FAMILIES["resnet_v1"])
    with pytest.raises(ValueError, match="has an architecture 'resnet_v1_50' already"):
        family.add(R50)


def test_what_squeezes_is_said():
    """Maxima have the weights of averages."""
    told = dict(assumptions(arch_lib.get("se_resnet_v1_50")))
    assert told["activation"] == (
        "squeeze-and-excitation of averages, ReLU and sigmoid before the sum"
    )
