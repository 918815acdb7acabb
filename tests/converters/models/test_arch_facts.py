"""PyTorch modules and Keras models of every fact of an Arch: against slim's graph, and others'."""

from __future__ import annotations

import numpy as np
import pytest

import converters
from converters.files import WeightsFile
from slim_resnet import arch as arch_lib
from slim_resnet.arch.parts import ACTIVATIONS, Stage
from slim_resnet.regression.record import seeded_value

SIZES = ((33, 40), (46, 35))  # odd and even, both ways


def small(name, se=(None, None), **facts):
    """Two blocks of an entry, at a few channels; `se` are widths of squeeze-and-excitation."""
    arch = arch_lib.get(name, num_classes=3)
    cardinality = min(arch.cardinality, 2)
    widths = [(8, 4), (12, 6)] if len(arch.kind.convs) == 3 else [(4, 4), (6, 6)]
    strides = (2, 1) if arch.stride_unit == "last" else (1, 2)
    stages = tuple(
        Stage(units, *width, stride, se_depth=se_depth)
        for units, width, stride, se_depth in zip((2, 1), widths, strides, se, strict=True)
    )
    arch = arch.replace(name="net", stages=stages, cardinality=cardinality, root_depth=5)
    return arch.replace(**facts)


def recognised(arch):
    arrays = {f"net/{v.name}": seeded_value(v.name, v.shape) for v in arch.variables}
    return converters.Recognised(WeightsFile.of_arrays("seeded", arrays), arch, "net")


CASES = [
    # Caffe's strides, and an activation that is negative below a symmetric pool
    (
        "resnet_v1_50",
        {"stride_unit": "first", "stride_conv": "conv1", "root_pool": "symmetric"}
        | {"activation": "leaky_relu", "activation_slope": 0.1, "input_channels": 1},
    ),
    ("resnet_v1_50", {"root_pool": "zeros", "activation": "elu", "unit_activation": "elu"}),
    ("resnet_v1_50", {"use_bounded_activations": True, "activation": "swish", "conv_bias": "root"}),
    ("resnet_v1_50", {"root_padding": "valid", "root_pool": "valid", "use_batch_norm": False}),
    ("resnet_v1_50", {"stride_conv": "conv3", "batch_norm_scale": False, "root_kernel": 4}),
    # strided 3x3 padded SAME, in the first unit, as a tf.layers network
    (
        "resnet_v1_18",
        {"stride_unit": "first", "conv_padding": "same", "root_padding": "same"}
        | {"conv_bias": "all", "batch_norm_center": False, "batch_norm_epsilon": 1e-3},
    ),
    ("resnet_v1_18", {"stride_conv": "conv2", "activation": "tanh", "unit_activation": "none"}),
    # dense prediction without a root
    (
        "resnet_v1_50",
        {"root_block": False, "input_channels": 8, "global_pool": False, "output_stride": 1},
    ),
    ("resnet_v1_50", {"global_pool": False, "num_classes": None, "root_stride": 1}),
    ("resnet_v1_50", {"logits_layer": "dense", "logits_bias": False, "activation": "selu"}),
    (
        "resnet_v2_50",
        {"root_pool": "symmetric", "activation": "relu6", "unit_activation": "leaky_relu"}
        | {"conv_bias": "units", "stride_unit": "first"},
    ),
    ("resnet_v2_50", {"root_pool": "zeros", "activation": "sigmoid", "batch_norm_scale": False}),
    # DeepLab's _beta nets, and one without batch norm
    ("resnet_v1_50", {"deep_stem": (6, 5), "root_kernel": 3, "output_stride": 4}),
    ("resnet_v1_18", {"deep_stem": (6,), "root_kernel": 5, "use_batch_norm": False}),
    # as TensorFlow's official ResNets: a projection in each block, no biases in v2
    ("resnet_v1_50", {"shortcut": "block_projection", "root_depth": 64}),
    ("resnet_v2_50", {"plain_bias": False, "shortcut": "block_projection"}),
    ("resnext_v1_50", {"form": "branches", "conv_bias": "units", "activation": "none"}),
    ("resnext_v1_50", {"form": "concat", "conv_bias": "all", "batch_norm_scale": False}),
    # ResNet-D, and its pooling in other units
    (
        "resnet_v1_50",
        {"deep_stem": (6, 5), "root_kernel": 3, "shortcut": "average_projection"}
        | {"convention": "torchvision"},
    ),
    ("resnet_v1_18", {"shortcut": "average_projection", "stride_unit": "first"}),
    ("resnet_v2_50", {"shortcut": "average_projection", "stride_unit": "first"}),
    (
        "resnet_v1_50",
        {"shortcut": "average_projection", "stride_unit": "first"},
    ),
    # squeeze-and-excitation in units of every kind and form
    ("resnet_v1_50", {"se": (3, 2), "convention": "torchvision"}),
    ("resnet_v1_18", {"se": (3, 2), "activation": "elu", "use_batch_norm": False}),
    ("resnet_v2_50", {"se": (3, 2), "plain_bias": False, "batch_norm_scale": False}),
    ("resnet_cifar_20", {"se": (1, None), "root_depth": 4}),
    ("resnext_v1_50", {"se": (3, 2), "conv_bias": "all"}),
    ("resnext_v1_50", {"se": (3, None), "form": "concat", "global_pool": False}),
    ("resnext_v1_50", {"se": (None, 2), "form": "branches", "shortcut": "average_projection"}),
]


@pytest.mark.parametrize(("name", "facts"), CASES)
def test_every_end_point_is_slims(name, facts):
    report = converters.verify(recognised(small(name, **facts)), image_sizes=SIZES, batch_size=1)
    assert report.passed, report.first_divergence
    assert report.max_rel_error <= 1e-12
    assert {c.target for c in report.comparisons} == {"torch", "keras"}


def test_the_rates_of_single_units():
    stages = (Stage(3, 8, 4, 1, (1, 2, 4)),)
    arch = small("resnet_v1_50").replace(stages=stages, output_stride=4, global_pool=False)
    assert converters.verify(recognised(arch), image_sizes=SIZES, batch_size=1).passed


def test_no_activation_is_left_out():
    tried = {facts.get(role) for _, facts in CASES for role in ("activation", "unit_activation")}
    assert set(ACTIVATIONS) <= tried | {"relu"}


# -- against networks that we did not write --------------------------------------------------------


def test_keras_applications(monkeypatch):
    """ResNet50 of Keras: stride in the first unit's 1x1, symmetric pool, biases everywhere."""
    keras = pytest.importorskip("keras")
    from keras.src.applications import resnet

    def stack(x):
        x = resnet.stack_residual_blocks_v1(x, 4, 2, stride1=1, name="conv2")
        return resnet.stack_residual_blocks_v1(x, 6, 1, name="conv3")

    theirs = resnet.ResNet(
        stack, preact=False, use_bias=True, include_top=True, weights=None, classes=3,
        classifier_activation=None, input_shape=(48, 40, 3), name="small",
    )  # fmt: skip
    facts = {
        "stride_unit": "first",
        "stride_conv": "conv1",
        "root_pool": "symmetric",
        "conv_bias": "all",
        "batch_norm_epsilon": 1.001e-5,
    }
    stages = (Stage(2, 16, 4, 1), Stage(1, 24, 6, 2))
    arch = arch_lib.get("resnet_v1_50", stages=stages, num_classes=3, **facts)
    for variable in theirs.variables:
        variable.assign(seeded_value(variable.path, tuple(variable.shape)))
    values = {v.path: np.array(v) for v in theirs.variables}
    arrays = {f"net/{v.name}": _of_keras(v, values) for v in arch.variables}
    found = converters.Recognised(WeightsFile.of_arrays("keras", arrays), arch, "net")
    images = np.random.default_rng(0).standard_normal((2, 48, 40, 3)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(theirs(images))
    import torch

    with torch.inference_mode():
        actual = converters.to_torch(found)(torch.from_numpy(images).permute(0, 3, 1, 2))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


# Scope of a layer here -> the one in keras.applications, where 0 is the projection.
_KERAS_CONVS = {"shortcut": 0, "conv1": 1, "conv2": 2, "conv3": 3}


def _of_keras(variable, values):
    """The value of a variable of ours in the network of keras.applications."""
    scope, _, name = variable.name.rpartition("/")
    scope, is_norm = scope.removesuffix("/BatchNorm"), scope.endswith("/BatchNorm")
    if scope == "logits":
        key = "predictions/" + {"weights": "kernel", "biases": "bias"}[name]
        return values[key].reshape(variable.shape)
    if scope == "conv1":
        layer = "conv1"
    else:
        block, unit, _, conv = scope.split("/")
        where = f"conv{int(block[5:]) + 1}_block{unit[5:]}"
        layer = f"{where}_{_KERAS_CONVS[conv]}"
    if is_norm:
        return values[f"{layer}_bn/{name}"]
    return values[f"{layer}_conv/" + {"weights": "kernel", "biases": "bias"}[name]]


def test_torchvision_with_slims_pool_and_another_activation(torchvision_resnet):
    """A torchvision ResNet whose modules are exchanged: SimCLR's root pool, and leaky ReLUs."""
    import torch

    theirs = torchvision_resnet.ResNet(torchvision_resnet.Bottleneck, [1, 1, 1, 1], num_classes=3)

    def exchange(module):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.ReLU):
                setattr(module, name, torch.nn.LeakyReLU(0.25))
            exchange(child)

    exchange(theirs)
    arch = arch_lib.get("resnet_v1_50", num_classes=3, convention="torchvision").replace(
        activation="leaky_relu", unit_activation="leaky_relu", activation_slope=0.25,
    )  # fmt: skip
    arch = arch.replace(stages=tuple(Stage(1, s.depth, s.depth_bottleneck, s.stride)
                                     for s in arch.stages))  # fmt: skip
    from converters.models import torch_model

    ours = torch_model.from_state(arch, theirs.double().eval().state_dict())
    images = torch.randn(1, 3, 64, 49, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-12)
