"""Verification finds what differs and names the first place."""

from __future__ import annotations

import json

import numpy as np
import pytest

import converters
from converters.proof import verification


@pytest.fixture(scope="module")
def ckpt(data):
    return converters.load_checkpoint(data / "slim_v1" / "v2")


def test_report_of_a_match(ckpt, tmp_path):
    report = converters.verify(ckpt, ["torch"], image_sizes=[(32, 32)])
    assert report.passed
    assert report.first_divergence is None
    assert 0 < report.max_rel_error <= 1e-12
    report.to_json(tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["passed"] is True
    assert [c["end_point"] for c in found["comparisons"]] == list(ckpt.arch.end_points)


def plant(monkeypatch, change):
    """Lets `change` at the torch module before it is run."""
    original = verification.to_torch

    def changed(ckpt):
        net = original(ckpt)
        change(net)
        return net

    monkeypatch.setattr(verification, "to_torch", changed)


def symmetric_pool(net):
    net._root_pool = lambda x: __import__("torch").nn.functional.max_pool2d(x, 3, 2, 1)


def other_epsilon(net):
    net.layer2[1].bn2.eps = 1e-3


def swapped_stride(net):
    net.layer1[2].conv2.stride = (1, 1)
    net.layer1[2].conv3.stride = (2, 2)


def one_weight(net):
    net.layer4[0].bn3.bias.data[0] += 1e-6


@pytest.mark.parametrize(
    ("change", "first"),
    [
        # the root pool is no end point: what reads it diverges first
        (symmetric_pool, "block1/unit_1/bottleneck_v1/shortcut"),
        (other_epsilon, "block2/unit_2/bottleneck_v1/conv2"),
        (one_weight, "block4/unit_1/bottleneck_v1/conv3"),
    ],
)
def test_the_first_divergence_is_named(ckpt, monkeypatch, change, first):
    plant(monkeypatch, change)
    report = converters.verify(ckpt, ["torch"], image_sizes=[(64, 64)])
    assert not report.passed
    assert report.first_divergence.end_point == first
    assert report.max_rel_error > 1e-12


def test_a_different_stride_is_found_by_its_shape(ckpt, monkeypatch):
    plant(monkeypatch, swapped_stride)
    report = converters.verify(ckpt, ["torch"], image_sizes=[(64, 64)])
    assert report.first_divergence.end_point == "block1/unit_3/bottleneck_v1/conv2"
    assert report.first_divergence.max_rel_error == np.inf


def test_symmetric_padding_is_not_seen_at_odd_sizes(ckpt, monkeypatch):
    """Why an even and an odd size are both run."""
    plant(monkeypatch, symmetric_pool)
    assert converters.verify(ckpt, ["torch"], image_sizes=[(65, 97)]).passed


def test_nan_never_passes(ckpt, monkeypatch):
    def nan(net):
        net.fc.bias.data[0] = float("nan")

    plant(monkeypatch, nan)
    report = converters.verify(ckpt, ["torch"], image_sizes=[(32, 32)])
    assert report.first_divergence.end_point == "logits"


def test_float32_has_its_own_bound(ckpt):
    report = converters.verify(ckpt, dtype="float32", image_sizes=[(32, 32)])
    assert report.tolerance == 2e-5
    assert report.passed
    assert report.max_rel_error > 1e-9  # it really was float32


@pytest.mark.parametrize("bad", [{"targets": ["jax"]}, {"dtype": "float16"}])
def test_unknown_target_or_dtype(ckpt, bad):
    with pytest.raises(ValueError, match="got"):
        converters.verify(ckpt, **bad)
