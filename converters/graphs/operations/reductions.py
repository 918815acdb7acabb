"""Reductions over axes. Source: TensorFlow's `core/ops/math_ops.cc`."""

from __future__ import annotations

from collections.abc import Sequence

from converters.files.errors import Malformed
from converters.graphs.drafts import Value
from converters.graphs.layouts import TO_NHWC, axis_of, plain
from converters.graphs.operations.operation import Handler, Operation

_REDUCTIONS = {
    "Mean": "mean", "Sum": "sum", "Max": "max", "Min": "min", "Prod": "prod", "Any": "any",
    "All": "all",
}  # fmt: skip


def _reduce(op: Operation) -> Value:
    op.need(2)
    value = op.inputs[0]
    keep = op.node.flag("keep_dims")
    axes = tuple(sorted({axis_of(value, axis) for axis in op.integers(1, "axes")}))
    if not axes:
        return value
    if not keep and not _keeps_order(value, axes):
        value = plain(op.builder, value)
        axes = tuple(sorted(axis_of(value, axis) for axis in op.integers(1, "axes")))
    layout = value.layout if keep else "NHWC"
    return op.layer(_REDUCTIONS[op.type], [value], {"axes": axes, "keepdims": keep}, layout=layout)


def _keeps_order(value: Value, axes: tuple[int, ...]) -> bool:
    """Whether the axes that are left are in the graph's order."""
    if value.layout != "NCHW":
        return True
    left = [TO_NHWC[axis] for axis in range(4) if axis not in axes]
    return left == sorted(left)


def _arg(op: Operation) -> Value:
    op.need(1)
    value = plain(op.builder, op.inputs[0])
    axis = op.axis(value, 1) if len(op.inputs) > 1 else 0
    kind = {"ArgMax": "argmax", "ArgMin": "argmin"}[op.type]
    return op.layer(kind, [value], {"axis": axis}, dtype=op.node.dtype("output_type", "int64"))


def _top_k(op: Operation) -> Sequence[Value]:
    value = plain(op.builder, op.inputs[0])
    count = op.integer(1, "count") if len(op.inputs) > 1 else op.node.integer("k", 1)
    values = op.layer("top_k", [value], {"k": count}).draft.values
    values[1].dtype = "int32"
    return values


def _cumsum(op: Operation) -> Value:
    op.need(2)
    value = op.inputs[0]
    options = {
        "axis": op.axis(value, 1),
        "exclusive": op.node.flag("exclusive"),
        "reverse": op.node.flag("reverse"),
    }
    return op.layer("cumsum", [value], options, layout=value.layout)


def _size(op: Operation) -> Value:
    """Size: how many values there are."""
    (value,) = op.inputs
    dtype = op.node.dtype("out_type", "int32")
    sizes = op.helper("shape", "shape", [value], dtype=dtype)
    return op.layer("prod", [sizes], {"axes": (0,), "keepdims": False})


def _l2_loss(op: Operation) -> Value:
    raise Malformed(f"its operation {op.name!r} is a loss (L2Loss)", "choose outputs before it")


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("TopK", "TopKV2"), _top_k),
    "Cumsum": _cumsum,
    "Size": _size,
    "L2Loss": _l2_loss,
}
