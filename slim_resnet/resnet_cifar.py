"""The CIFAR ResNets of section 4.2 of arXiv:1512.03385: 6n + 2 layers, 16, 32 and 64 channels.

A 3x3 root, no max pool, three blocks of n basic units on 32x32 images; the stride sits in a block's
first unit. Shortcut option A (no parameters: subsample, add zero channels) by default, option B
(1x1 projection) in the networks whose name ends in `_b`.
"""

from __future__ import annotations

from slim_resnet import resnet_utils
from slim_resnet.arch import REGISTRY
from slim_resnet.generator import generator_fn, network_fn
from slim_resnet.resnet_v1 import basic

resnet_arg_scope = resnet_utils.resnet_arg_scope


resnet_cifar = generator_fn(
    "resnet_cifar",
    __name__,
    [basic],
    "Generator of networks with the CIFAR root from a list of blocks.",
    default_image_size=32,
    stem="cifar",
    root_depth=16,
)


def _network_fn(name):
    arch = REGISTRY[name]
    return network_fn(arch, resnet_cifar, basic, shortcut=arch.shortcut)


resnet_cifar_20 = _network_fn("resnet_cifar_20")
resnet_cifar_32 = _network_fn("resnet_cifar_32")
resnet_cifar_44 = _network_fn("resnet_cifar_44")
resnet_cifar_56 = _network_fn("resnet_cifar_56")
resnet_cifar_110 = _network_fn("resnet_cifar_110")
resnet_cifar_20_b = _network_fn("resnet_cifar_20_b")
resnet_cifar_32_b = _network_fn("resnet_cifar_32_b")
resnet_cifar_44_b = _network_fn("resnet_cifar_44_b")
resnet_cifar_56_b = _network_fn("resnet_cifar_56_b")
resnet_cifar_110_b = _network_fn("resnet_cifar_110_b")
