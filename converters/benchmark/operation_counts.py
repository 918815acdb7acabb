"""The work of a network in floating point operations: 2 x the multiply-adds of its convolutions.

Batch norms, ReLUs, pools and sums are not counted, as is usual (arXiv:1512.03385, Table 1, counts
multiply-adds of the same layers).
"""

from __future__ import annotations

import math

from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Conv

FORWARD, TRAINING = "forward", "forward + backward"
WORKS = (FORWARD, TRAINING)

Size = tuple[int, int]


def flops(arch: Arch, size: Size, work: str = FORWARD) -> int:
    """Floating point operations for one image.

    Args:
        arch: the network, in any form; they all do the same work.
        size: height and width of the image.
        work: one of `WORKS`. A convolution's gradients to its input and to its weights cost as much
            as itself, each; the one to the images is not taken.

    Returns:
        2 x multiply-adds.
    """
    layers = _multiply_adds(arch, size)
    if work == FORWARD:
        return 2 * sum(layers)
    first, *others = layers
    return 2 * (2 * first + 3 * sum(others))


def feature_size(arch: Arch, size: Size) -> Size:
    """Height and width of what the last block puts out."""
    size = _after_root(arch, size)
    for unit in arch.units:
        size = _smaller(size, unit.stride)
    return size


def _multiply_adds(arch: Arch, size: Size) -> list[int]:
    """Of one image, layer by layer, the first one first."""
    found, outputs = [], size
    for conv in arch.root_convs:
        outputs = _outputs(conv, outputs)
        found.append(_of(conv, outputs))
    size = _after_root(arch, size)
    for unit in arch.units:
        if unit.projection:
            found.append(_of(unit.projection, _smaller(size, unit.stride)))
        for conv in unit.convs:
            size = _smaller(size, conv.stride)
            found.append(_of(conv, size))
        found += [_of(conv, (1, 1)) for conv in unit.se]
    where = (1, 1) if arch.global_pool else size
    return found + ([_of(arch.logits, where)] if arch.logits else [])


def _after_root(arch: Arch, size: Size) -> Size:
    """Height and width of what the first block reads."""
    for conv in arch.root_convs:
        size = _outputs(conv, size)
    if arch.root_pool == "valid":
        size = tuple(length - 2 for length in size)
    return _smaller(size, 2) if arch.has_root_pool else size


def _outputs(conv: Conv, size: Size) -> Size:
    return conv.output_size(size[0]), conv.output_size(size[1])


def _of(conv: Conv, output: Size) -> int:
    return math.prod(output) * math.prod(conv.weights_shape)


def _smaller(size: Size, stride: int) -> Size:
    """The output of a layer of odd kernel and symmetric padding, or of TensorFlow's SAME."""
    height, width = size
    return -(-height // stride), -(-width // stride)
