"""NCHW graphs as NHWC: every image is NHWC here, and knows which axes the graph means.

A value whose `layout` is "NCHW" is the graph's tensor with its axes in another order. What counts
axes is counted anew; what depends on their order (a reshape) gets the graph's own order back.
"""

from __future__ import annotations

from collections.abc import Sequence

from converters.graphs.building import Builder
from converters.graphs.drafts import Draft, Value

TO_NHWC = (0, 2, 3, 1)  # as the permutation of a transpose, and as the NHWC axis's NCHW one
TO_NCHW = (0, 3, 1, 2)
_NHWC_AXIS = TO_NCHW  # of NCHW's axes 0 to 3: N 0, C 3, H 1, W 2


def axis_of(value: Value, axis: int) -> int:
    """The axis of a value that the graph means by `axis`, which may be negative."""
    axis = axis + value.rank if axis < 0 else axis
    if not 0 <= axis < value.rank:
        raise IndexError(f"axis {axis} of rank {value.rank}")
    return _NHWC_AXIS[axis] if value.layout == "NCHW" else axis


def by_axis(value: Value, entries: Sequence) -> tuple:
    """Entries that the graph gives an axis each, in the order of the value's own axes."""
    if value.layout != "NCHW":
        return tuple(entries)
    return tuple(entries[axis] for axis in TO_NHWC)


def plain(builder: Builder, value: Value) -> Value:
    """A value with its axes in the graph's order."""
    if value.layout != "NCHW":
        return value
    return _transposed(builder, value, TO_NCHW, "NHWC")


def flat(builder: Builder, value: Value) -> Value:
    """As `plain`, for what only depends on the order of the values."""
    if value.layout == "NCHW" and value.shape[1:3] == (1, 1):
        return value.labelled("NHWC")
    return plain(builder, value)


def to_layout(builder: Builder, value: Value, layout: str) -> Value:
    """A value of rank 4 as a tensor of a layout of the graph's."""
    if value.layout == layout:
        return value
    if layout == "NHWC":
        return plain(builder, value)
    return _transposed(builder, value, TO_NHWC, "NCHW")


def aligned(builder: Builder, values: Sequence[Value]) -> tuple[list[Value], str]:
    """Values that arithmetic broadcasts, with the same axes; and the layout of what it makes.

    NumPy's rule aligns the last axes, which in an NCHW graph are others than here.
    """
    if all(value.layout != "NCHW" for value in values):
        return list(values), "NHWC"
    if any(value.rank > 4 for value in values):
        return [plain(builder, value) for value in values], "NHWC"
    return [_aligned(builder, value) for value in values], "NCHW"


def _aligned(builder: Builder, value: Value) -> Value:
    if value.layout == "NCHW" or value.rank == 0:
        return value
    for _ in range(4 - value.rank):
        name = builder.unique(f"{value.draft.name}/expanded")
        value = builder.layer(name, "expand_dims", [value], {"axis": 0}, operations=())
    return _transposed(builder, value, TO_NHWC, "NCHW")


def _transposed(builder: Builder, value: Value, permutation: tuple, layout: str) -> Value:
    """A transpose that the graph does not have; one that takes back another is none."""
    draft = value.draft
    inverse = TO_NHWC if permutation == TO_NCHW else TO_NCHW
    if draft.kind == "transpose" and draft.options["permutation"] == inverse:
        return draft.inputs[0].labelled(layout)
    name = builder.unique(f"{draft.name}/{'nchw' if permutation == TO_NCHW else 'nhwc'}")
    options = {"permutation": permutation}
    return builder.layer(name, "transpose", [value], options, layout=layout, operations=())


def is_transposing(draft: Draft) -> bool:
    """Whether a transpose goes from one layout to the other."""
    return draft.kind == "transpose" and draft.options["permutation"] in (TO_NHWC, TO_NCHW)
