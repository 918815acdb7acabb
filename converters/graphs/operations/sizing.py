"""Shapes, and what is done with them. Source: TensorFlow's `core/ops/array_ops.cc`, `math_ops.cc`.

Sizes that are not known before the network runs stay layers (`Layer.is_shape`); wherever what the
graph computes turns out to be a number, or what is left over, it becomes an option.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.files.errors import Malformed
from converters.graphs.drafts import Value
from converters.graphs.layouts import TO_NCHW, by_axis, flat, plain
from converters.graphs.operations.operation import Handler, Operation, all_known
from converters.graphs.shapes import product
from converters.graphs.sizes import Dim, Size

_MAX_MADE = 2**24  # values that a Fill or Range of constants may have


def _shape(op: Operation) -> Value:
    (value,) = op.inputs
    return _shape_of(op, value, op.node.dtype("out_type", "int32"))


def _shape_n(op: Operation) -> Sequence[Value]:
    raise Malformed(f"its operation {op.name!r} (ShapeN) belongs to a gradient")


def _shape_of(op: Operation, value: Value, dtype: str) -> Value:
    if all_known(value.shape):
        sizes = np.array([value.shape[axis] for axis in _graph_axes(value)], dtype)
        return op.builder.constant(op.name, sizes)
    if value.layout != "NCHW":
        return op.layer("shape", [value], dtype=dtype)
    sizes = op.helper("nhwc", "shape", [value], dtype=dtype)
    return op.layer("gather", [sizes], {"axis": 0, "indices": TO_NCHW})


def _graph_axes(value: Value) -> Sequence[int]:
    return TO_NCHW if value.layout == "NCHW" else range(value.rank)


def _rank(op: Operation) -> Value:
    return op.builder.constant(op.name, np.array(op.inputs[0].rank, np.int32))


def _reshape(op: Operation) -> Value:
    op.need(2)
    value = op.inputs[0]
    if value.static and op.inputs[1].constant is not None:
        return _static_reshape(op, value)
    value = flat(op.builder, value)
    wanted = op.sizes(1)
    if wanted is None:
        rank = op.inputs[1].shape[0] if op.inputs[1].rank == 1 else None
        if not isinstance(rank, int):
            raise Malformed(f"its operation {op.name!r} makes a value of unknown rank")
        sizes = op.unknown_sizes(rank, "shape")
        return op.layer("reshape", [value, op.inputs[1]], {"shape": None}, sizes={"shape": sizes})
    shape = _solved(op, value, _with_batch(op, value, wanted))
    if shape == value.shape:
        return value
    if len(shape) == 2 and value.rank > 1 and _is_flat(value, shape):
        return op.layer("flatten", [value])
    return _reshaped(op, value, shape)


def _static_reshape(op: Operation, value: Value) -> Value:
    shape = op.integers(1, "shape") if op.inputs[1].shape != (0,) else ()
    total = math.prod(value.shape)
    rest = math.prod(size for size in shape if size != -1)
    if shape.count(-1) > 1 or min(shape, default=0) < -1 or (total % rest if rest else total):
        raise Malformed(f"its operation {op.name!r} makes {shape} of {value.shape}")
    full = tuple(total // rest if size == -1 and rest else max(size, 0) for size in shape)
    if math.prod(full) != total:
        raise Malformed(f"its operation {op.name!r} makes {shape} of {value.shape}")
    return op.layer("reshape", [plain(op.builder, value)], {"shape": full})


def _is_flat(value: Value, shape: tuple[Dim, ...]) -> bool:
    return shape[0] == value.shape[0] and shape[1] == product(value.shape[1:])


def _with_batch(op: Operation, value: Value, wanted: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """A shape that was made for the graph's own batch, for any."""
    batch, size = op.builder.batch
    if size is None or not wanted or isinstance(wanted[0], Size) or wanted[0] < 1:
        return wanted
    if value.shape[0] != batch or wanted[0] % size:
        return wanted
    if -1 not in wanted:
        rest = value.shape[1:]
        if not all_known(wanted) or not all_known(rest):
            return wanted
        if math.prod(wanted) != size * math.prod(rest):
            return wanted
    elif wanted[0] != size:
        return wanted
    return (batch * (wanted[0] // size), *wanted[1:])


def _solved(op: Operation, value: Value, wanted: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """A wanted shape with what is left in the place of -1."""
    free = [axis for axis, size in enumerate(wanted) if not isinstance(size, Size) and size < 0]
    if len(free) > 1:
        raise Malformed(f"its operation {op.name!r} has a shape with several -1")
    rest = [size for axis, size in enumerate(wanted) if axis not in free]
    left = _quotient(value.shape, rest)
    if free:
        left = op.unknown_sizes(1, "rest")[0] if left is None else left
        return tuple(left if axis in free else size for axis, size in enumerate(wanted))
    if left is None or left == 1:
        return wanted
    unknown = [axis for axis, size in enumerate(wanted) if isinstance(size, Size)]
    if not isinstance(left, Size) and not unknown:
        raise Malformed(f"its operation {op.name!r} cannot make {wanted} of {value.shape}")
    return wanted


def _quotient(dims: Sequence[Dim], others: Sequence[Dim]) -> Dim | None:
    """The number of values in one shape over that in another; None if it cannot be told."""
    left = [dim for dim in dims if isinstance(dim, Size)]
    number = math.prod(dim for dim in dims if not isinstance(dim, Size))
    below = math.prod(dim for dim in others if not isinstance(dim, Size))
    for dim in others:
        if not isinstance(dim, Size):
            continue
        if dim in left:
            left.remove(dim)
            continue
        match = next((each for each in left if _ratio(each, dim)), None)
        if match is None:
            return None
        left.remove(match)
        above, under = _ratio(match, dim)
        number, below = number * above, below * under
    if below == 0:
        return None
    if not left:
        return number // below if number % below == 0 else None
    total = product(left) * number
    return total // below


def _ratio(one: Size, other: Size) -> tuple[int, int] | None:
    """Two integers that are to each other as two sizes; None if there are none."""
    if len(one.terms) != len(other.terms):
        return None
    above, under = one.terms[0][1], other.terms[0][1]
    return (above, under) if one * under == other * above else None


def _reshaped(op: Operation, value: Value, shape: tuple[Dim, ...]) -> Value:
    unknown = [axis for axis, size in enumerate(shape) if isinstance(size, Size)]
    if len(unknown) <= 1:
        option = tuple(-1 if isinstance(size, Size) else size for size in shape)
        return op.layer("reshape", [value], {"shape": option}, sizes={"shape": shape})
    vector = op.inputs[1]
    if vector.static:
        vector = _vector(op, value, shape)
    return op.layer("reshape", [value, vector], {"shape": None}, sizes={"shape": shape})


def _vector(op: Operation, value: Value, shape: tuple[Dim, ...]) -> Value:
    """A shape with the sizes of a value in it, as a value; at most one entry may be left over."""
    sizes = op.helper("sizes", "shape", [value], dtype="int32")
    entries = []
    for axis, size in enumerate(shape):
        if size in value.shape and isinstance(size, Size):
            index = value.shape.index(size)
            options = {"slices": ((index, index + 1, 1),), "shrink": (0,), "new": ()}
            entries.append(op.helper(f"size{axis}", "strided_slice", [sizes], options))
        else:
            number = np.array(-1 if isinstance(size, Size) else size, np.int32)
            entries.append(op.builder.constant(f"{op.name}/size{axis}", number))
    if sum(entry.number == -1 for entry in entries) > 1:
        raise Malformed(f"its operation {op.name!r} makes a value of several unknown sizes")
    return op.helper("shape", "stack", entries, {"axis": 0})


def _fill(op: Operation) -> Value:
    op.need(2)
    sizes, number = op.sizes(0), op.inputs[1].number
    dtype = op.inputs[1].dtype
    if number is None:
        raise Malformed(f"what its operation {op.name!r} fills with is computed")
    if all_known(sizes):
        if math.prod(sizes) > _MAX_MADE or min(sizes, default=0) < 0:
            raise Malformed(f"its operation {op.name!r} fills {list(sizes)}, which is absurd")
        return op.builder.constant(op.name, np.full(sizes, number, dtype))
    if sizes is None:
        raise Malformed(f"its operation {op.name!r} fills a shape of unknown rank")
    options = {"shape": None, "value": number}
    return op.layer("fill", [op.inputs[0]], options, sizes={"shape": sizes}, dtype=dtype)


def _range(op: Operation) -> Value:
    op.need(3)
    numbers = [value.number for value in op.inputs]
    if None not in numbers:
        if not numbers[2] or abs((numbers[1] - numbers[0]) / numbers[2]) > _MAX_MADE:
            raise Malformed(f"its operation {op.name!r} counts {numbers}, which is absurd")
        return op.builder.constant(op.name, np.arange(*numbers, dtype=op.inputs[0].dtype))
    sizes = [value.elements for value in op.inputs[:3]]
    if any(size is None for size in sizes):
        ends = (0, *op.unknown_sizes(1, "range"), 1)
    else:
        ends = tuple(each.item() for each in sizes)
    names = ("start", "limit", "delta")
    sizes = dict(zip(names, ends, strict=True))
    return op.layer("range", op.inputs[:3], dict.fromkeys(names), sizes=sizes)


def _lin_space(op: Operation) -> Value:
    """i / (count - 1) * (stop - start) + start: as arithmetic it is exact in float64, too."""
    op.need(3)
    start, stop, count = (value.number for value in op.inputs[:3])
    if start is None or stop is None:
        raise Malformed(f"its operation {op.name!r} (LinSpace) has ends that are computed")
    if count is not None and not 0 < count <= _MAX_MADE:
        raise Malformed(f"its operation {op.name!r} counts to {count}, which is absurd")
    steps, last = _computed_steps(op) if count is None else _known_steps(op, int(count))
    share = op.helper("share", "div", [steps, last])
    width = _number(op, "range", stop - start)
    return op.layer("add", [op.helper("width", "mul", [share, width]), _number(op, "from", start)])


def _number(op: Operation, name: str, value: object) -> Value:
    return op.builder.constant(f"{op.name}/{name}", np.asarray(value, op.inputs[0].dtype))


def _known_steps(op: Operation, count: int) -> tuple[Value, Value]:
    """0, 1, ... count - 1; and the last of them, for a single one 1."""
    return _number(op, "steps", range(count)), _number(op, "last", max(count - 1, 1))


def _computed_steps(op: Operation) -> tuple[Value, Value]:
    """The same of a count that is computed."""
    count, number = op.inputs[2], op.builder.constant
    limits = [number(f"{op.name}/zero", np.int32(0)), count, number(f"{op.name}/one", np.int32(1))]
    size = count.elements.item() if count.elements is not None else op.unknown_sizes(1, "count")[0]
    sizes = {"start": 0, "limit": size, "delta": 1}
    steps = op.helper("steps", "range", limits, dict.fromkeys(sizes), sizes=sizes, dtype="int32")
    last = op.helper("last", "sub", [count, limits[2]])
    dtype = np.dtype(op.inputs[0].dtype).name
    steps, last = (
        op.helper(f"float_{name}", "cast", [value], {"dtype": dtype}, dtype=dtype)
        for name, value in (("steps", steps), ("last", last))
    )
    return steps, last


def _broadcast_to(op: Operation) -> Value:
    op.need(2)
    value = plain(op.builder, op.inputs[0])
    sizes = op.sizes(1)
    if sizes is None:
        raise Malformed(f"its operation {op.name!r} makes a value of unknown rank")
    if sizes == value.shape:
        return value
    if all_known(sizes):
        return op.layer("broadcast_to", [value], {"shape": sizes})
    inputs = [value, op.inputs[1]]
    return op.layer("broadcast_to", inputs, {"shape": None}, sizes={"shape": sizes})


def _slice(op: Operation) -> Value:
    op.need(3)
    value = op.inputs[0]
    begin, size = op.sizes(1), op.sizes(2)
    if all_known(begin) and all_known(size) and len(begin) == len(size) == value.rank:
        begin, size = by_axis(value, begin), by_axis(value, size)
        slices = tuple(
            (b or None, None if s == -1 else b + s, 1) for b, s in zip(begin, size, strict=True)
        )
        options = {"slices": slices, "shrink": (), "new": ()}
        return op.layer("strided_slice", [value], options, layout=value.layout)
    value = plain(op.builder, value)
    begin = begin or op.unknown_sizes(value.rank, "begin")
    size = size or op.unknown_sizes(value.rank, "size")
    return sliced(op, value, (begin, size), op.inputs[1:3])


def sliced(op: Operation, value: Value, sizes: tuple, vectors: Sequence[Value]) -> Value:
    """A slice whose begin or size is computed; what is known of them is an option."""
    options, inputs = {}, [value]
    for name, known, vector in zip(("begin", "size"), sizes, vectors, strict=True):
        options[name] = tuple(known) if all_known(known) else None
        if options[name] is None:
            inputs.append(vector)
    return op.layer("slice", inputs, options, sizes={"begin": sizes[0], "size": sizes[1]})


HANDLERS: dict[str, Handler] = {
    "Shape": _shape,
    "ShapeN": _shape_n,
    "Rank": _rank,
    "Reshape": _reshape,
    "Fill": _fill,
    "Range": _range,
    "LinSpace": _lin_space,
    "BroadcastTo": _broadcast_to,
    "Slice": _slice,
}
