"""StridedSlice: Python's slices, with masks.

Source: TensorFlow's `core/util/strided_slice_op.cc`, `python/ops/array_ops.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from converters.files.errors import Malformed
from converters.graphs.drafts import Value
from converters.graphs.layouts import by_axis, plain
from converters.graphs.operations.operation import Handler, Operation, all_known
from converters.graphs.operations.sizing import sliced as dynamic_slice
from converters.graphs.sizes import Dim, Size

_EVERYTHING = (None, None, 1)


@dataclass
class _Index:
    """What a StridedSlice takes of each axis of its input.

    Attributes:
        slices: (begin, end, stride) an axis; begin and end may be `Size`s.
        entries: which entry of the operation's lists each axis has; None: none.
        shrink: the axes that go.
        new: the axes of the output that come.
    """

    slices: list[tuple[Dim | None, Dim | None, int]] = field(default_factory=list)
    entries: list[int | None] = field(default_factory=list)
    shrink: list[int] = field(default_factory=list)
    new: list[int] = field(default_factory=list)


def _strided_slice(op: Operation) -> Value:
    op.need(4)
    value = op.inputs[0]
    index = _index(op, value.rank)
    if all(all_known([e for e in ends[:2] if e is not None]) for ends in index.slices):
        return _static(op, value, index)
    return _dynamic(op, plain(op.builder, value), index)


def _static(op: Operation, value: Value, index: _Index) -> Value:
    if index.shrink or index.new:
        value = plain(op.builder, value)
    slices = by_axis(value, index.slices)
    if all(s == _EVERYTHING for s in slices) and not index.new:
        return value
    options = {"slices": slices, "shrink": tuple(index.shrink), "new": tuple(index.new)}
    return op.layer("strided_slice", [value], options, layout=value.layout)


def _index(op: Operation, rank: int) -> _Index:
    """The slices of every axis: masks, ellipsis and new axes worked out."""
    strides = op.integers(3, "strides")
    count = len(strides)
    begins = op.sizes(1) or op.unknown_sizes(count, "begin")
    ends = op.sizes(2) or op.unknown_sizes(count, "end")
    if not len(begins) == len(ends) == count <= 32:
        raise Malformed(
            f"its operation {op.name!r} has begins, ends and strides of several lengths"
        )
    masks = {
        name: op.node.integer(f"{name}_mask", 0)
        for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    found = _Index()
    output = 0
    taken = sum(not _bit(masks["new_axis"] | masks["ellipsis"], i) for i in range(count))
    for i in range(count):
        if _bit(masks["ellipsis"], i):
            for _ in range(rank - taken):
                found.slices.append(_EVERYTHING)
                found.entries.append(None)
                output += 1
        elif _bit(masks["new_axis"], i):
            found.new.append(output)
            output += 1
        elif _bit(masks["shrink_axis"], i):
            found.shrink.append(len(found.slices))
            found.slices.append(_single(op, begins[i]))
            found.entries.append(i)
        else:
            begin = None if _bit(masks["begin"], i) else begins[i]
            end = None if _bit(masks["end"], i) else ends[i]
            if strides[i] == 0:
                raise Malformed(f"its operation {op.name!r} has a stride of 0")
            if begin == 0 and strides[i] > 0:
                begin = None
            found.slices.append((begin, end, strides[i]))
            found.entries.append(i)
            output += 1
    missing = rank - len(found.slices)
    if missing < 0:
        raise Malformed(f"its operation {op.name!r} slices more axes than its input has")
    found.slices += [_EVERYTHING] * missing
    found.entries += [None] * missing
    return found


def _single(op: Operation, begin: Dim) -> tuple:
    if isinstance(begin, Size):
        return begin, begin + 1, 1
    return begin, begin + 1 or None, 1  # -1 is followed by the end


def _bit(mask: int, index: int) -> bool:
    return bool(mask >> index & 1)


def _dynamic(op: Operation, value: Value, index: _Index) -> Value:
    """Begins and sizes as `slice` has them; strides are 1, and nothing counts from the end."""
    begins, sizes = [], []
    for dim, (begin, end, stride) in zip(value.shape, index.slices, strict=True):
        if stride != 1:
            raise Malformed(f"its operation {op.name!r} has computed slices with strides")
        begin = 0 if begin is None else begin
        begin = dim + begin if not isinstance(begin, Size) and begin < 0 else begin
        end = dim if end is None else end
        end = dim + end if not isinstance(end, Size) and end < 0 else end
        begins.append(begin)
        sizes.append(-1 if end == dim else end - begin)
    if index.new:
        raise Malformed(f"its operation {op.name!r} has computed slices and new axes")
    vectors = (
        _vector(op, "begin", value, begins, index, _begin),
        _vector(op, "size", value, sizes, index, _size),
    )
    if not index.shrink:
        return dynamic_slice(op, value, (tuple(begins), tuple(sizes)), vectors)
    raise Malformed(f"its operation {op.name!r} takes a computed index of an axis")


def _vector(op, name: str, value: Value, entries: Sequence[Dim], index: _Index, compute) -> Value:
    """A list of sizes as a value: numbers, and what is computed."""
    parts = []
    for axis, entry in enumerate(entries):
        if isinstance(entry, Size):
            parts.append(compute(op, value, axis, index))
        else:
            number = np.array(entry, np.int32)
            parts.append(op.builder.constant(f"{op.name}/{name}{axis}", number))
    return op.helper(name, "stack", parts, {"axis": 0})


def _begin(op: Operation, value: Value, axis: int, index: _Index) -> Value:
    begin = index.slices[axis][0]
    if isinstance(begin, Size):
        return _entry(op, 1, index.entries[axis], f"begin{axis}")
    return _from_end(op, value, axis, begin, f"begin{axis}")


def _size(op: Operation, value: Value, axis: int, index: _Index) -> Value:
    begin, end, _ = index.slices[axis]
    if isinstance(end, Size):
        stop = _entry(op, 2, index.entries[axis], f"end{axis}")
    else:
        stop = _from_end(op, value, axis, end or 0, f"end{axis}")
    if not begin:
        return stop
    if isinstance(begin, Size):
        start = _entry(op, 1, index.entries[axis], f"start{axis}")
    elif begin < 0:
        start = _from_end(op, value, axis, begin, f"start{axis}")
    else:
        start = op.builder.constant(f"{op.name}/start{axis}", np.array(begin, stop.dtype))
    return op.helper(f"size{axis}", "sub", [stop, start])


def _entry(op: Operation, source: int, index: int, name: str) -> Value:
    """An entry of a list of sizes that the operation reads."""
    vector = op.inputs[source]
    if vector.draft.kind == "stack" and vector.rank == 1:
        return vector.draft.inputs[index]
    options = {"slices": ((index, index + 1, 1),), "shrink": (0,), "new": ()}
    return op.helper(name, "strided_slice", [vector], options)


def _from_end(op: Operation, value: Value, axis: int, offset: int, name: str) -> Value:
    """The size of an axis plus something negative."""
    sizes = op.helper(f"{name}_shape", "shape", [value], dtype="int32")
    options = {"slices": ((axis, axis + 1, 1),), "shrink": (0,), "new": ()}
    size = op.helper(f"{name}_axis", "strided_slice", [sizes], options)
    shift = op.builder.constant(f"{op.name}/{name}_offset", np.array(offset, np.int32))
    return op.helper(name, "add", [size, shift]) if offset else size


HANDLERS: dict[str, Handler] = {"StridedSlice": _strided_slice}
