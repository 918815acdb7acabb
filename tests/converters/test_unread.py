"""Variables inside a network that no layer reads, slots below other scopes, facts users tell."""

from __future__ import annotations

import pytest

import converters
from converters.recognise.detection import detect, slots_of
from converters.recognise.unread_variables import unread
from slim_resnet import arch as arch_lib

R50 = arch_lib.get("resnet_v1_50", num_classes=10)
UNIT = "block1/unit_1/bottleneck_v1"


def shapes(arch, scope="net"):
    return {f"{scope}/{v.name}": v.shape for v in arch.variables}


@pytest.mark.parametrize(
    ("name", "shape", "look"),
    [
        (f"{UNIT}/se/fc1/weights", (1, 1, 256, 16), "squeeze-and-excitation"),
        (f"{UNIT}/SE_block/dense/kernel", (256, 16), "squeeze-and-excitation"),
        (f"{UNIT}/squeeze_excite/conv/weights", (1, 1, 4, 4), "squeeze-and-excitation"),
        (f"{UNIT}/cbam_block/ch_at/mlp_0/kernel", (64, 8), "attention (CBAM)"),
        (f"{UNIT}/spatial_attention/conv/kernel", (7, 7, 2, 1), "attention (CBAM)"),
        (f"{UNIT}/conv1/prelu/alpha", (64,), "PReLU slopes"),
        (f"{UNIT}/conv1/alphas", (64,), "PReLU slopes"),
        (f"{UNIT}/conv1/biases", (64,), "bias beside a batch norm"),
        ("conv1/act_quant/max", (), "fake quantization"),
        ("conv1/weights_quant/min", (), "fake quantization"),
        ("conv1/BatchNorm/renorm_mean", (64,), "batch renormalization"),
        (f"{UNIT}/conv1/GroupNorm/gamma", (64,), "another normalization"),
        ("conv1/u", (1, 64), "spectral normalization"),
        ("decoder/weights", (3, 3, 8, 8), "unknown"),
        (f"{UNIT}/base/weights", (3, 3, 8, 8), "unknown"),
    ],
)
def test_what_no_layer_reads_is_named_by_its_look(name, shape, look):
    inner = {v.name: v.shape for v in R50.variables}
    training = {f"{n}/Momentum": s for n, s in inner.items()} | {"global_step": ()}
    assert unread(R50, inner | training) == {}
    assert unread(R50, {**inner, **training, name: shape}) == {name: look}


def test_biases_that_the_network_has_are_read():
    arch = R50.replace(conv_bias="all")
    assert unread(arch, {v.name: v.shape for v in arch.variables}) == {}


# -- slots -----------------------------------------------------------------------------------------


def test_slots_below_a_scope_of_the_optimizers_own():
    weights, beta = "net/conv1/weights", "net/conv1/BatchNorm/beta"
    names = [
        f"train_op/{weights}/Momentum",
        f"a/b/{beta}/Momentum",
        f"{weights}/ExponentialMovingAverage",
        f"tower/{weights}/ExponentialMovingAverage",  # of another network
        "train_op/other/weights/Momentum",
        "global_step",
        weights,
        beta,
    ]
    assert slots_of(names, [weights, beta]) == {
        "Momentum": {weights: names[0], beta: names[1]},
        "ExponentialMovingAverage": {weights: names[2]},
    }


# -- facts -----------------------------------------------------------------------------------------

# What shapes tell.
READ = [
    {},
    {"batch_norm_scale": False},
    {"batch_norm_center": False, "batch_norm_scale": False},
    {"use_batch_norm": False},
    {"conv_bias": "root"},
    {"conv_bias": "units"},
    {"conv_bias": "all", "input_channels": 1},
    {"root_kernel": 5, "input_channels": 4},
    {"root_block": False, "input_channels": 16},
    {"logits_layer": "dense"},
    {"logits_bias": False},
    {"num_classes": None},
]


@pytest.mark.parametrize("name", ["resnet_v1_50", "resnet_v1_18", "resnext_v1_50"])
@pytest.mark.parametrize("facts", READ, ids=str)
def test_what_shapes_tell_is_read(name, facts):
    arch = arch_lib.get(name, **facts)
    found = detect(shapes(arch), "x")
    assert found.arch.replace(name=name, root_depth=arch.root_depth) == arch
    assert set(facts) <= set(found.read)
    told = {fact for fact, _ in arch_lib.assumptions(arch)}
    assert not told & (set(found.read) - {"shortcut"})


@pytest.mark.parametrize(
    "facts", [f for f in READ if "root" not in f.get("conv_bias", "")], ids=str
)
def test_what_shapes_tell_of_preactivation_nets(facts):
    if facts.get("conv_bias") == "all":
        facts = {**facts, "conv_bias": "units"}
    arch = arch_lib.get("resnet_v2_50", **facts)
    found = detect(shapes(arch), "x").arch
    assert found.replace(name=arch.name, root_depth=arch.root_depth) == arch


def test_a_small_root_has_neither_stride_nor_pool():
    small = arch_lib.get("resnet_v2_50", num_classes=10).replace(stem="cifar")
    assert detect(shapes(small), "x").arch.replace(name=small.name) == small


def test_a_network_without_norms_and_biases_says_so():
    bare = {n: s for n, s in shapes(R50).items() if "BatchNorm" not in n}
    message = "block1/unit_1/bottleneck_v1/conv1 has neither a batch norm .* nor biases"
    with pytest.raises(converters.CheckpointError, match=message):
        detect(bare, "x")
    oblong = {**shapes(R50), "net/conv1/weights": (7, 3, 3, 64)}
    with pytest.raises(converters.CheckpointError, match="a 7x3 filter, and roots are square"):
        detect(oblong, "x")


def test_users_tell_the_rest():
    told = {"stride_unit": "first", "output_stride": "8", "activation": "relu6"}
    found = detect(shapes(R50), "x", facts=told).arch
    assert found == R50.replace(stride_unit="first", output_stride=8, activation="relu6")
    with pytest.raises(ValueError, match="unknown fact 'stride'"):
        detect(shapes(R50), "x", facts={"stride": 1})
    with pytest.raises(ValueError, match="input_channels is read from the variables"):
        detect(shapes(R50), "x", facts={"input_channels": 1})
