"""Converted models against TensorFlow 1.15's outputs, the slim graph, and torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import converters
from converters.models.naming import table
from slim_resnet import arch as arch_lib
from slim_resnet.regression.record import take_samples

SIZES = ("32x32", "47x33", "64x64")


@pytest.fixture(scope="module", params=["slim_v1", "slim_v2"])
def legacy_run(request, data):
    """A real TF 1.15 checkpoint and what TF 1.15 computed with it."""
    folder = data / request.param
    return converters.load_checkpoint(folder / "v2"), np.load(folder / "outputs.npz")


def torch_outputs(ckpt, images):
    return converters.to_torch(ckpt)(torch.from_numpy(images).permute(0, 3, 1, 2)).detach().numpy()


def keras_outputs(ckpt, images):
    return converters.to_keras(ckpt).predict(images, verbose=0)


def relative(found, expected):
    error = np.abs(found - expected).max()
    return error and error / np.abs(expected).max()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("outputs", [torch_outputs, keras_outputs])
def test_logits_of_tf_115(legacy_run, size, outputs):
    ckpt, recorded = legacy_run
    assert relative(outputs(ckpt, recorded[f"{size}|image"]), recorded[f"{size}|logits"]) <= 2e-5


@pytest.mark.parametrize("outputs", [torch_outputs, keras_outputs])
@pytest.mark.parametrize("name", ["slim_v1", "slim_v2"])
def test_logits_of_tf_115_with_the_moving_averages(data, name, outputs):
    recorded = np.load(data / name / "outputs_ema.npz")
    for weights, close in (("ema", True), ("model", False)):
        ckpt = converters.load_checkpoint(data / name / "v2", weights=weights)
        error = relative(outputs(ckpt, recorded["image"]), recorded["logits"])
        assert (error <= 2e-5) == close


def test_torch_end_points_of_tf_115(legacy_run):
    ckpt, recorded = legacy_run
    net = converters.to_torch(ckpt)
    for size in SIZES:
        images = torch.from_numpy(recorded[f"{size}|image"]).permute(0, 3, 1, 2)
        with torch.inference_mode():
            found = net.end_points(images)
        assert list(found) == list(ckpt.arch.end_points)
        for name, value in found.items():
            if value.ndim == 4:
                value = value.permute(0, 2, 3, 1)
            expected = recorded[f"{size}|ep|{ckpt.full_name(name)}"]
            now = take_samples(value.contiguous().numpy(), 32)
            assert relative(now, expected.ravel()) <= 2e-5, (size, name)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("resnet_v1_50", {}),
        ("resnet_v2_50", {"num_classes": None}),
        ("resnext_v1_50", {}),
        pytest.param("resnext_v1_50", {"convention": "torchvision"}, marks=pytest.mark.slow),
        pytest.param(
            "resnext_v1_50", {"output_stride": 8, "num_classes": None}, marks=pytest.mark.slow
        ),
        pytest.param("resnet_v1_50", {"output_stride": 16}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_narrow_nets_match_at_every_end_point(name, changes, narrow, save_checkpoint):
    arch = narrow(name, **changes)
    ckpt = converters.load_checkpoint(save_checkpoint(arch, scope="net"), arch=arch)
    report = converters.verify(ckpt, image_sizes=[(48, 64), (33, 47)])
    assert report.passed, report.first_divergence
    assert report.max_rel_error <= 1e-12
    assert len(report.comparisons) == 2 * 2 * 42


@pytest.mark.parametrize("convention", ["slim", "torchvision"])
@pytest.mark.slow
def test_resnext_50_matches_in_both_conventions(convention, save_checkpoint):
    prefix = save_checkpoint(arch_lib.get("resnext_v1_50"))
    ckpt = converters.load_checkpoint(prefix, convention=convention)
    assert ckpt.arch.name == "resnext_v1_50"
    report = converters.verify(ckpt, batch_size=1)
    assert report.passed, report.first_divergence
    assert {c.image_size for c in report.comparisons} == {(64, 64), (97, 113)}


@pytest.mark.parametrize(
    ("name", "peer"), [("resnext_v1_50", "resnext50_32x4d"), ("resnet_v1_50", "resnet50")]
)
@pytest.mark.parametrize("size", [(64, 64), (75, 97)])
def test_torchvision_convention_is_torchvisions_network(name, peer, size, torchvision_resnet):
    """The same weights in our module and in torchvision's class, by the same names."""
    from converters.models import torch_model

    torch.manual_seed(0)
    theirs = getattr(torchvision_resnet, peer)().double().eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    arch = arch_lib.get(name, convention="torchvision")
    ours = torch_model.from_state(arch, theirs.state_dict())
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.inference_mode():
        expected = theirs(images)
        assert relative(ours(images).numpy(), expected.numpy()) <= 1e-12
        slim = torch_model.from_state(arch.replace(convention="slim"), theirs.state_dict())
        assert relative(slim(images).numpy(), expected.numpy()) > 1e-3  # the conventions differ


def test_weights_arrive_bit_for_bit(legacy_run):
    ckpt, _ = legacy_run
    weights = ckpt.weights()
    state = converters.to_torch(ckpt).state_dict()
    model = {v.path: v for v in converters.to_keras(ckpt).variables}
    for row in table(ckpt.arch):
        for back in (
            row.to_torch.inverse(state[row.torch].numpy()),
            row.to_keras.inverse(np.asarray(model[row.keras])),
        ):
            np.testing.assert_array_equal(back, weights[row.slim])


def test_torch_module_is_in_eval_mode_and_trainable(legacy_run):
    net = converters.to_torch(legacy_run[0])
    assert not net.training
    net.train()
    net(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def test_keras_model_is_made_of_built_in_layers(legacy_run):
    model = converters.to_keras(legacy_run[0])
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    assert model.input_shape == (None, None, None, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(bad, narrow, save_checkpoint):
    arch = narrow("resnet_v1_50")
    name = "net/block2/unit_1/bottleneck_v1/conv2/weights"
    value = np.zeros((3, 3, 8, 8), np.float32)
    value[1, 2, 3, 4] = bad
    ckpt = converters.load_checkpoint(save_checkpoint(arch, scope="net", **{name: value}))
    for convert in (converters.to_torch, converters.to_keras):
        with pytest.raises(converters.CheckpointError, match=f"{name} holds 1 values that are NaN"):
            convert(ckpt)
