"""The CIFAR ResNets of section 4.2 of arXiv:1512.03385: 6n + 2 layers, 16, 32 and 64 channels.

A 3x3 root, no max pool, three blocks of n basic units on 32x32 images; the stride sits in a block's
first unit. Shortcut option A (no parameters: subsample, add zero channels) by default, option B
(1x1 projection) in the networks whose name ends in `_b`.
"""

from __future__ import annotations

from slim_resnet import resnet_utils
from slim_resnet.arch import REGISTRY
from slim_resnet.resnet_v1 import basic, generate, network_fn

resnet_arg_scope = resnet_utils.resnet_arg_scope


def resnet_cifar(
    inputs,
    blocks,
    num_classes=None,
    is_training=True,
    global_pool=True,
    output_stride=None,
    include_root_block=True,
    reuse=None,
    scope=None,
    **kwargs,
):
    """Generator of networks with the CIFAR root; arguments and results as `resnet_v1.resnet_v1`."""
    kwargs.setdefault("root_depth", 16)
    return generate(
        inputs,
        blocks,
        num_classes,
        is_training,
        global_pool,
        output_stride,
        include_root_block,
        reuse,
        scope,
        default_scope="resnet_cifar",
        unit_fns=[basic],
        stem="cifar",
        **kwargs,
    )


resnet_cifar.default_image_size = 32


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
