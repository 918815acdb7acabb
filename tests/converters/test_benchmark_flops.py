"""Floating point operations, against those that TensorFlow's profiler and PyTorch count."""

from __future__ import annotations

import pytest

from converters.benchmark import FORWARD, TRAINING, flops
from converters.benchmark.operation_counts import feature_size
from slim_resnet import arch as arch_lib

# Basic and bottleneck units, every shortcut, both stems.
PLAIN = ["resnet_v1_18", "resnet_v2_50", "resnet_cifar_20", "resnet_cifar_20_b"]
GROUPED = ["resnext_v1_50", "resnext_29_8x64d", "resnext_cifar"]
SIZE = (65, 50)


@pytest.mark.parametrize("name", ["resnet_v1_18", "resnet_cifar_20", "resnext_29_8x64d"])
def test_forward_is_what_tensorflow_counts(name):
    from slim_resnet import graph
    from slim_resnet.compat import tf

    arch = arch_lib.get(name)
    with tf.Graph().as_default() as built:
        graph.build(arch, tf.ones([2, *SIZE, 3]))
        make = tf.profiler.ProfileOptionBuilder
        options = make(make.float_operation()).with_empty_output().build()
        found = tf.profiler.profile(built, cmd="op", options=options)
    assert 2 * flops(arch, SIZE) == count(found, "Conv2D")  # of two images


def count(node, name: str) -> int:
    """The floating point operations of one type of operation, of what cmd="op" answers."""
    return (node.float_ops if node.name == name else 0) + sum(count(c, name) for c in node.children)


@pytest.mark.parametrize("name", PLAIN + GROUPED)
def test_both_works_are_what_pytorch_counts(name):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from converters.models import torch_model

    arch = arch_lib.get(name)
    images = torch.zeros(2, 3, *SIZE, device="meta")
    with torch.device("meta"):
        net = torch_model.ResNet(arch.grouped).train()
    with FlopCounterMode(display=False) as counter:
        logits = net(images)
        assert counter.get_total_flops() == 2 * flops(arch, SIZE, FORWARD)
        if name in GROUPED:
            return  # PyTorch counts their gradients as if the convolutions had one group
        torch.autograd.grad(logits.sum(), list(net.parameters()))
    assert counter.get_total_flops() == 2 * flops(arch, SIZE, TRAINING)


def test_resnext_50_has_the_multiply_adds_that_its_paper_tells():
    """4.2e9 in Table 1 of arXiv:1611.05431, of torchvision's strides."""
    arch = arch_lib.get("resnext_v1_50", convention="torchvision")
    assert flops(arch, (224, 224)) / 2 == pytest.approx(4.2e9, rel=0.02)


def test_forms_do_the_same_work():
    grouped, *others = (
        flops(arch_lib.get("resnext_v1_50", form=form), SIZE)
        for form in ("grouped", "concat", "branches")
    )
    assert others == [grouped, grouped]


def test_feature_size():
    assert feature_size(arch_lib.get("resnet_v1_50"), (224, 225)) == (7, 8)
    assert feature_size(arch_lib.get("resnet_v1_50", output_stride=8), (224, 225)) == (28, 29)
    assert feature_size(arch_lib.get("resnet_cifar_20"), (32, 33)) == (8, 9)
