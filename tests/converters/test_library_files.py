"""PyTorch files as people have them, compared with torchvision's own class."""

from __future__ import annotations

import argparse
import collections
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from converters import CheckpointError, to_torch
from converters.formats.libraries import from_state
from converters.formats.library_files import load_weights

BOUNDS = {torch.float64: 1e-12, torch.float32: 2e-5}
IMAGES = torch.randn(2, 3, 75, 90, generator=torch.manual_seed(1), dtype=torch.float64)


@pytest.fixture(scope="module")
def make_net(torchvision_resnet):
    """torchvision's class with one unit a block, its batch norms like a trained net's."""

    def make(seed=0, num_classes=5):
        torch.manual_seed(seed)
        resnet = torchvision_resnet
        made = resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], num_classes=num_classes)
        for module in made.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.data.uniform_(0.5, 1)
                module.bias.data.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        return made.eval()

    return make


@pytest.fixture
def net(make_net):
    return make_net()


def assert_computes(ckpt, net):
    """Our module of the checkpoint gives what torchvision's does."""
    ours = to_torch(ckpt)
    for dtype, bound in BOUNDS.items():
        with torch.inference_mode():
            found, expected = (each.to(dtype)(IMAGES.to(dtype)) for each in (ours, net))
        assert expected.abs().max() > 0.1
        assert (found - expected).abs().max() <= bound * expected.abs().max()


def assert_holds(ckpt, state):
    """The checkpoint has the bits of a plain state dict."""
    arrays = {name: value.numpy() for name, value in state.items()}
    plain = from_state(ckpt.arch, arrays, "torchvision")
    assert {n: v.tobytes() for n, v in ckpt.items()} == {n: v.tobytes() for n, v in plain.items()}


def around(prefix, state):
    return {prefix + name: value for name, value in state.items()}


def trained(state):
    """What trainings on ImageNet save beside it."""
    return {
        "epoch": 3,
        "state_dict": state,
        "args": argparse.Namespace(arch="resnet50", lr=0.1),
        "best_acc1": np.float64(0.7),
        "seen": collections.Counter({"cat": 2}),
    }


def in_sequential(number, state):
    return {name.replace("fc.", f"fc.{number}."): value for name, value in state.items()}


KINDS = {
    "plain": (lambda s: s, ()),
    "pth.tar": (lambda s: trained(around("module.", s)), ("below 'state_dict'", "'module.'")),
    "model": (lambda s: {"model": s}, ("below 'model'",)),
    "model_state": (lambda s: {"model_state": around("model.", s)}, ("'model_state'", "'model.'")),
    "net": (lambda s: {"net": around("encoder.", s)}, ("below 'net'", "without 'encoder.'")),
    "nested": (lambda s: {"a": {"model_state_dict": s}}, ("below 'a/model_state_dict'",)),
    "backbone": (
        lambda s: {**around("module.backbone.", s), "module.neck.weight": torch.ones(2, 2)},
        ("'module.backbone.'", "1 arrays beside .* are left out: module.neck.weight"),
    ),
    "sequential": (lambda s: in_sequential(1, s), ("fc.1 is taken as fc; .*Dropout",)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("suffix", "zipped"), [(".pt", True), (".pth.tar", False), (".ckpt", False)]
)
def test_what_is_around_a_network_is_undone_and_told(kind, suffix, zipped, net, tmp_path):
    wrap, told = KINDS[kind]
    path = tmp_path / f"net{suffix}"
    torch.save(wrap(net.state_dict()), path, _use_new_zipfile_serialization=zipped)
    ckpt = load_weights(path, "torchvision")
    assert (ckpt.arch.convention, ckpt.num_classes) == ("torchvision", 5)
    *notes, counters = ckpt.notes
    assert len(notes) == len(told)
    assert counters.startswith("17 counters of batches")
    assert all(map(re.search, told, notes))
    assert_holds(ckpt, net.state_dict())


def test_the_network_is_torchvisions(net, tmp_path):
    torch.save(trained(around("module.", net.state_dict())), tmp_path / "net.pth.tar")
    assert_computes(load_weights(tmp_path / "net.pth.tar", "torchvision"), net)


@pytest.mark.parametrize(
    ("wrap", "prefixes"),
    [
        (lambda a, b: {"model": around("module.", a), "ema": b}, ("model/module.", "ema/")),
        (
            lambda a, b: {"state_dict": around("encoder_q.", a) | around("encoder_k.", b)},
            ("encoder_q.", "encoder_k."),
        ),
    ],
)
def test_of_two_networks_the_user_chooses(wrap, prefixes, make_net, tmp_path):
    path = tmp_path / "net.pth"
    states = [make_net(seed).state_dict() for seed in (0, 1)]
    torch.save(wrap(*states), path)
    choices = " or ".join(f"--prefix {prefix!r}" for prefix in sorted(prefixes))
    with pytest.raises(CheckpointError, match=rf"holds 2 networks.*{re.escape(choices)}"):
        load_weights(path, "torchvision")
    for prefix, state in zip(prefixes, states, strict=True):
        assert_holds(load_weights(path, "torchvision", prefix=prefix), state)
        assert_holds(load_weights(path, "torchvision", prefix=prefix[:-1]), state)
    with pytest.raises(CheckpointError, match=f"no network below --prefix 'x': .*{prefixes[0]}"):
        load_weights(path, "torchvision", prefix="x")


@pytest.mark.parametrize(
    "head",
    [
        {"fc.0.weight": torch.ones(7, 2048), "fc.2.weight": torch.ones(3, 7)},
        {"fc.0.weight": torch.ones(2048), "fc.0.running_mean": torch.ones(2048)},
        {"fc.weight": torch.ones(7, 2048), "fc.1.weight": torch.ones(3, 7)},
    ],
)
def test_another_head_is_refused_and_can_be_left_out(head, net, tmp_path):
    path = tmp_path / "net.pth"
    net.fc = torch.nn.Identity()
    torch.save({**net.state_dict(), **head}, path)
    with pytest.raises(CheckpointError, match=r"not one linear layer .*--ignore '\^fc\\\.'"):
        load_weights(path, "torchvision")
    ckpt = load_weights(path, "torchvision", ignore=r"^fc\.")
    assert (
        ckpt.notes[0] == f"{len(head)} arrays are ignored, as you said: {', '.join(sorted(head))}"
    )
    assert ckpt.num_classes is None
    assert_computes(ckpt, net)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("save", [torch.save, save_file])
def test_half_precision(dtype, save, net, tmp_path):
    path = tmp_path / ("net.pth" if save is torch.save else "net.safetensors")
    net = net.to(dtype)
    save(net.state_dict(), path)
    ckpt = load_weights(path, "torchvision")
    kind = str(dtype).removeprefix("torch.")
    assert re.search(rf"\d+ arrays are {kind}, .*float32: the same numbers", ckpt.notes[0])
    assert_holds(ckpt, net.float().state_dict())
    assert_computes(ckpt, net)


def test_double_precision_is_the_users_decision(net, tmp_path):
    path = tmp_path / "net.pth"
    torch.save(net.double().state_dict(), path)
    with pytest.raises(CheckpointError, match="is float64, .*convert the model to float32 first"):
        load_weights(path, "torchvision")
    torch.save(net.float().state_dict(), path)
    assert_computes(load_weights(path, "torchvision"), net)


RULES = r"""
[[rule]]
match = '.*\.num_batches_tracked'
drop = true

[[rule]]
match = 'features\.(?P<root>[01])\.(.*)'
name = '{root}.{2}'

[[rule]]
match = 'features\.(?P<stage>[4-7])\.(.*)'
name = 'layer{stage-3}.{2}'

[[rule]]
match = 'classifier\.(.*)'
name = 'fc.{1}'

[words.root]
0 = "conv1"
1 = "bn1"
"""


def test_rules_make_the_librarys_names(net, tmp_path):
    """A backbone that is torch.nn.Sequential(*resnet.children()[:-1])."""
    path, rules = tmp_path / "net.pth", tmp_path / "names.toml"
    features = torch.nn.Sequential(*list(net.children())[:-1])
    torch.save({**around("features.", features.state_dict()),
                **around("classifier.", net.fc.state_dict())}, path)  # fmt: skip
    with pytest.raises(CheckpointError, match=r"no layer1.0.conv1.weight .*need --rules"):
        load_weights(path, "torchvision")
    rules.write_text(RULES)
    assert_computes(load_weights(path, "torchvision", rules=rules), net)
    rules.write_text(RULES.replace("drop = true", "name = 'x'\nlayout = 'OIHW'"))
    with pytest.raises(ValueError, match="the layout of rule 1 is for rules that make slim's"):
        load_weights(path, "torchvision", rules=rules)
    rules.write_text(f"scope = 'net'\n{RULES}")
    with pytest.raises(ValueError, match="the scope 'net' is for rules that make slim's"):
        load_weights(path, "torchvision", rules=rules)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.update({"layer1.0.se.fc1.weight": torch.ones(2)}), "has besides layer1.0.se"),
        (lambda s: s.update({"projector.weight": torch.ones(2)}), "has besides projector.weight"),
        (lambda s: s.pop("layer2.0.bn3.bias"), "lacks layer2.0.bn3.bias"),
        (lambda s: s.pop("layer3.0.conv2.weight"), "by its names it is no whole network"),
        (lambda s: s.update({"conv1.weight": torch.ones(64, 3, 3, 3)}), "torchvision has no model"),
        (lambda s: s.update({"conv1.weight": torch.ones(64, 3)}), "conv1.weight has the shape"),
    ],
)
def test_what_is_not_torchvisions_is_refused(change, message, net, tmp_path):
    """A squeeze, a head without its prefix, a root for small images: outputs would differ."""
    state = net.state_dict()
    change(state)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(ValueError, match=message):
        load_weights(tmp_path / "net.pth", "torchvision")


def test_facts_go_with_our_own_module(net, tmp_path):
    """A root for small images, which torchvision's class has not: the user says what it does."""
    path = tmp_path / "net.pth"
    net.conv1 = torch.nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    net.maxpool = torch.nn.Identity()
    torch.save(net.state_dict(), path)
    with pytest.raises(ValueError, match="torchvision has no model .*use --from torch"):
        load_weights(path, "torchvision")
    with pytest.raises(ValueError, match="name its --arch, or say its --convention"):
        load_weights(path, "torch")
    ckpt = load_weights(path, "torch", convention="torchvision")
    assert "root of stride 1, padded symmetrically" in ckpt.assumed
    assert_computes(ckpt, net)
    net.conv1.stride = 2, 2
    net.maxpool = torch.nn.MaxPool2d(3, 2, 1)
    facts = {"root_stride": "2", "root_pool": "symmetric"}
    assert_computes(load_weights(path, "torch", convention="torchvision", facts=facts), net)


def test_whose_class_it_is_is_assumed_where_only_names_tell(tmp_path):
    """timm's resnetaa50 has the names and shapes of its resnet50, and pools more."""
    path = tmp_path / "net.pth"
    torch.save(pytest.importorskip("timm").create_model("resnetaa50").state_dict(), path)
    ckpt = load_weights(path, "timm")
    assert ckpt.assumed[0] == "timm's own class"
    assert not load_weights(path, "timm", arch="resnet_v1_50").assumed
    ckpt = load_weights(path, "torch", convention="torchvision")
    assert ckpt.assumed[0] == "no pooling or other layer without weights beside these"
