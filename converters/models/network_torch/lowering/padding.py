"""Padding before windows: torch's own where it can be, a step before where it cannot."""

from __future__ import annotations

from converters.models.network_torch.lowering.builder import Builder
from converters.models.network_torch.plan import Ref

Pair = tuple[int, int]  # (height, width)
Padding = str | tuple[Pair, Pair]


def window_padding(padding: Padding, kernel: Pair, strides: Pair, dilations: Pair) -> Pair | None:
    """What torch's `padding` must be, (height, width); None where it cannot say it.

    TensorFlow's SAME depends on the size of the input unless the stride is 1, or the kernel covers
    one pixel; and it may put more behind than before, which torch's padding cannot.
    """
    if padding == "VALID":
        return (0, 0)
    if padding != "SAME":
        (top, bottom), (left, right) = padding
        return (top, left) if top == bottom and left == right else None
    found = []
    for size, stride, dilation in zip(kernel, strides, dilations, strict=True):
        total = (size - 1) * dilation
        if total and (stride != 1 or total % 2):
            return None
        found.append(total // 2)
    return tuple(found)


def pad_before(
    b: Builder,
    ref: Ref,
    padding: Padding,
    kernel: Pair,
    strides: Pair,
    dilations: Pair,
    value: float = 0.0,
) -> Ref:
    """The padding as a step of its own, where `window_padding` gives None."""
    options = {"value": value} if value else {}
    if padding != "SAME":
        (top, bottom), (left, right) = padding
        return b.add("F.pad", ref, (left, right, top, bottom), **options)
    if dilations != (1, 1):
        options["dilation"] = dilations
    return b.add("ops.pad_same", ref, kernel, strides, **options)
