"""What moves values about. Source: TensorFlow's `core/ops/array_ops.cc`, `image_ops.cc`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.files.errors import Malformed
from converters.graphs.drafts import Value
from converters.graphs.layouts import TO_NCHW, TO_NHWC, axis_of, by_axis, plain, to_layout
from converters.graphs.operations.operation import Handler, Operation, all_known
from converters.graphs.sizes import Dim, Size

_RESIZES = {
    "ResizeBilinear": "bilinear", "ResizeNearestNeighbor": "nearest", "ResizeBicubic": "bicubic",
}  # fmt: skip


def _concat(op: Operation) -> Value:
    axis_first = op.type == "Concat"
    index = 0 if axis_first else len(op.inputs) - 1
    values = [value for i, value in enumerate(op.inputs) if i != index]
    if len(values) == 1:
        return values[0]
    axis = op.integer(index, "axis")
    layout = "NHWC"
    if any(value.layout == "NCHW" for value in values):
        values = [to_layout(op.builder, value, "NCHW") for value in values]
        layout = "NCHW"
    return op.layer("concat", values, {"axis": axis_of(values[0], axis)}, layout=layout)


def _split(op: Operation) -> Sequence[Value]:
    """Split has its axis first, SplitV the sizes and the axis last."""
    op.need(2)
    first = op.type == "Split"
    value = op.inputs[1 if first else 0]
    axis = op.axis(value, 0 if first else 2)
    if first:
        sizes = _equal_parts(op, value.shape[axis])
    else:
        sizes = _parts(op.integers(1, "sizes"), value.shape[axis])
    options = {"axis": axis, "sizes": sizes}
    return op.layer("split", [value], options, layout=value.layout).draft.values


def _equal_parts(op: Operation, size: Dim) -> tuple[int, ...]:
    count = op.node.integer("num_split", 1)
    if not 0 < count < 10_000 or isinstance(size, Size) or size % count:
        raise Malformed(f"its operation {op.name!r} splits an axis of {size} into {count} parts")
    return (size // count,) * count


def _parts(sizes: tuple[int, ...], total: Dim) -> tuple[int, ...]:
    if -1 in sizes and not isinstance(total, Size):
        rest = total - sum(size for size in sizes if size != -1)
        return tuple(rest if size == -1 else size for size in sizes)
    return sizes


def _pack(op: Operation) -> Value:
    values = [plain(op.builder, value) for value in op.inputs]
    axis = op.node.integer("axis", 0)
    axis = axis + values[0].rank + 1 if axis < 0 else axis
    return op.layer("stack", values, {"axis": axis})


def _unpack(op: Operation) -> Sequence[Value]:
    value = plain(op.builder, op.inputs[0])
    axis = axis_of(value, op.node.integer("axis", 0))
    options = {"axis": axis, "num": op.node.integer("num", 1)}
    if value.shape[axis] != options["num"] or options["num"] > 10_000:
        raise Malformed(f"its operation {op.name!r} unpacks other than its input has")
    return op.layer("unstack", [value], options).draft.values


def _squeeze(op: Operation) -> Value:
    value = op.inputs[0]
    axes = op.node.integers("squeeze_dims") or op.node.integers("axis")
    if not axes:
        graph_axes = range(value.rank)
        axes = [a for a in graph_axes if value.shape[axis_of(value, a)] == 1]
    mapped = tuple(sorted(axis_of(value, axis) for axis in axes))
    left = [axis for axis in range(value.rank) if axis not in mapped]
    if value.layout == "NCHW" and [TO_NHWC[a] for a in left] != sorted(TO_NHWC[a] for a in left):
        value = plain(op.builder, value)
        mapped = tuple(sorted(axis_of(value, axis) for axis in axes))
    if not mapped:
        return value
    return op.layer("squeeze", [value], {"axes": mapped})


def _expand_dims(op: Operation) -> Value:
    op.need(2)
    value = plain(op.builder, op.inputs[0])
    axis = op.integer(1, "axis")
    axis = axis + value.rank + 1 if axis < 0 else axis
    if not 0 <= axis <= value.rank:
        raise Malformed(f"the axis of its operation {op.name!r} is {axis}")
    return op.layer("expand_dims", [value], {"axis": axis})


def _transpose(op: Operation) -> Value:
    """One that goes from NHWC to NCHW or back only changes what the graph calls the axes."""
    op.need(2)
    value = op.inputs[0]
    permutation = op.integers(1, "permutation")
    if value.layout == "NCHW" and permutation == TO_NHWC:
        return value.labelled("NHWC")
    if value.layout == "NHWC" and permutation == TO_NCHW and value.rank == 4 and not value.static:
        return value.labelled("NCHW")
    if permutation == tuple(range(value.rank)):
        return value
    return op.layer("transpose", [plain(op.builder, value)], {"permutation": permutation})


def _tile(op: Operation) -> Value:
    op.need(2)
    value = op.inputs[0]
    sizes = op.sizes(1)
    if all_known(sizes):
        multiples = by_axis(value, sizes)
        if set(multiples) == {1}:
            return value
        return op.layer("tile", [value], {"multiples": multiples}, layout=value.layout)
    value = plain(op.builder, value)
    sizes = sizes or op.unknown_sizes(value.rank, "multiples")
    inputs = [value, op.inputs[1]]
    return op.layer("tile", inputs, {"multiples": None}, sizes={"multiples": sizes})


def _reverse(op: Operation) -> Value:
    op.need(2)
    value = op.inputs[0]
    if op.type == "Reverse":
        axes = [axis for axis, flip in enumerate(op.constant(1, "axes").tolist()) if flip]
    else:
        axes = op.integers(1, "axes")
    mapped = tuple(sorted(axis_of(value, axis) for axis in axes))
    return op.layer("reverse", [value], {"axes": mapped}, layout=value.layout)


def _gather(op: Operation) -> Value:
    op.need(2)
    value, indices = plain(op.builder, op.inputs[0]), op.inputs[1]
    axis = op.axis(value, 2) if op.type == "GatherV2" else 0
    if op.node.integer("batch_dims", 0):
        raise Malformed(f"its operation {op.name!r} gathers by batch, which no layer does")
    constant = indices.constant
    if constant is not None and constant.ndim == 0 and not value.static:
        index = int(constant)
        picked = [(None, None, 1)] * value.rank
        picked[axis] = (index, index + 1 or None, 1)
        options = {"slices": tuple(picked), "shrink": (axis,), "new": ()}
        return op.layer("strided_slice", [value], options)
    if constant is not None and constant.ndim == 1 and not value.static:
        return op.layer("gather", [value], {"axis": axis, "indices": tuple(constant.tolist())})
    return op.layer("gather", [value, indices], {"axis": axis, "indices": None})


def _pad(op: Operation) -> Value:
    op.need(2)
    value = op.inputs[0]
    options = {"mode": op.node.text("mode", "CONSTANT"), "value": 0.0}
    if op.type == "PadV2":
        op.need(3)
        options["value"] = _pad_value(op)
    elements = op.inputs[1].elements
    if elements is None or elements.shape != (value.rank, 2):
        raise Malformed(f"the paddings of its operation {op.name!r} are not known by their axes")
    pairs = by_axis(value, [tuple(row) for row in elements.tolist()])
    if all(all_known(pair) for pair in pairs):
        if min(map(min, pairs)) < 0:
            raise Malformed(f"its operation {op.name!r} pads by less than nothing")
        if not np.any(pairs):
            return value
        return op.layer("pad", [value], {"paddings": pairs, **options}, layout=value.layout)
    value = plain(op.builder, value)
    sizes = {"paddings": tuple(tuple(row) for row in elements.tolist())}
    return op.layer("pad", [value, op.inputs[1]], {"paddings": None, **options}, sizes=sizes)


def _pad_value(op: Operation) -> float:
    number = op.inputs[2].number
    if number is None:
        raise Malformed(f"what its operation {op.name!r} pads with is computed")
    return float(number)


def _resize(op: Operation) -> Value:
    op.need(2)
    value = plain(op.builder, op.inputs[0])
    sizes = op.sizes(1) or op.unknown_sizes(2, "size")
    options = {
        "method": _RESIZES[op.type],
        "size": sizes if all_known(sizes) else None,
        "align_corners": op.node.flag("align_corners"),
        "half_pixel_centers": op.node.flag("half_pixel_centers"),
    }
    inputs = [value] if options["size"] else [value, op.inputs[1]]
    dtype = value.dtype if op.type == "ResizeNearestNeighbor" else "float32"
    return op.layer("resize", inputs, options, sizes={"size": sizes}, dtype=dtype)


def _resize_area(op: Operation) -> Value:
    """By whole factors, which makes it an average pooling."""
    op.need(2)
    value, sizes = plain(op.builder, op.inputs[0]), op.sizes(1)
    image = value.shape[1:3]
    if not (all_known(sizes) and all_known(image) and len(sizes) == 2):
        raise Malformed(f"its operation {op.name!r} (ResizeArea) is of sizes that are computed")
    if any(a % max(b, 1) for a, b in zip(image, sizes, strict=True)):
        raise Malformed(f"its operation {op.name!r} (ResizeArea) is of no whole factor")
    kernel = tuple(a // b for a, b in zip(image, sizes, strict=True))
    options = {"kernel": kernel, "strides": kernel, "padding": "VALID"}
    return op.layer("avg_pool", [value], options, dtype="float32")


def _blocks(op: Operation) -> Value:
    kind = {"DepthToSpace": "depth_to_space", "SpaceToDepth": "space_to_depth"}[op.type]
    layout = op.node.text("data_format", "NHWC")
    block = op.node.integer("block_size", 2)
    if layout not in ("NHWC", "NCHW") or not 1 < block < 1000:
        raise Malformed(f"its operation {op.name!r} has the unknown layout {layout!r} or block")
    value = to_layout(op.builder, op.inputs[0], layout)
    return op.layer(kind, [value], {"block": block}, layout=layout)


def _batches(op: Operation) -> Value:
    """SpaceToBatch(ND) and BatchToSpace(ND)."""
    kind = "space_to_batch" if op.type.startswith("SpaceToBatch") else "batch_to_space"
    pairs_name = "paddings" if kind == "space_to_batch" else "crops"
    is_nd = op.type.endswith("ND")
    op.need(3 if is_nd else 2)
    value = op.inputs[0]
    pairs = op.inputs[2 if is_nd else 1]
    block = op.integers(1, "block shape") if is_nd else (op.node.integer("block_size", 2),) * 2
    elements = pairs.elements
    if elements is None or elements.shape != (len(block), 2) or min(block) < 1:
        raise Malformed(f"the {pairs_name} of its operation {op.name!r} are not known by its axes")
    rows = [tuple(row) for row in elements.tolist()]
    if value.layout == "NCHW" and len(block) == 3 and block[0] == 1 and rows[0] == (0, 0):
        block, rows = block[1:], rows[1:]
        if not pairs.static:
            slices = ((1, None, 1), (None, None, 1))
            options = {"slices": slices, "shrink": (), "new": ()}
            pairs = op.helper(pairs_name, "strided_slice", [pairs], options)
    else:
        value = plain(op.builder, value)
    known = all(all_known(row) for row in rows)
    options = {"block": tuple(block), pairs_name: tuple(rows) if known else None}
    inputs = [value] if known else [value, pairs]
    sizes = {pairs_name: tuple(rows)}
    return op.layer(kind, inputs, options, sizes=sizes, layout=value.layout)


HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(("Concat", "ConcatV2"), _concat),
    **dict.fromkeys(("Split", "SplitV"), _split),
    "Pack": _pack,
    "Unpack": _unpack,
    "Squeeze": _squeeze,
    "ExpandDims": _expand_dims,
    "Transpose": _transpose,
    "Tile": _tile,
    **dict.fromkeys(("ReverseV2", "Reverse"), _reverse),
    **dict.fromkeys(("Gather", "GatherV2"), _gather),
    **dict.fromkeys(("Pad", "PadV2", "MirrorPad"), _pad),
    **dict.fromkeys(_RESIZES, _resize),
    "ResizeArea": _resize_area,
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _blocks),
    **dict.fromkeys(("SpaceToBatch", "SpaceToBatchND", "BatchToSpace", "BatchToSpaceND"), _batches),
}
