"""The shape of what each kind of layer computes, from those of what it reads; NHWC.

Source: the shape functions in TensorFlow's `core/framework/common_shape_fns.cc`, `core/ops/*.cc`.
Sizes are integers or `Size`s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from converters.files.errors import Malformed
from converters.graphs.network import KINDS
from converters.graphs.sizes import Dim, Size

Dims = tuple[Dim, ...]
_MAX_AXIS = 2**31


def output_shapes(
    kind: str, inputs: Sequence[Dims], options: Mapping, weights: Mapping[str, Dims]
) -> list[Dims]:
    """The shape of every output of a layer.

    Args:
        kind: a key of `KINDS`.
        inputs: the shapes of its inputs.
        options: its options, all that its shape depends on known.
        weights: the shapes of its parameters.

    Raises:
        Malformed: the shapes do not go together.
    """
    rule = _SHAPES.get(kind)
    if rule is None:
        return [inputs[0]]
    try:
        shapes = rule(inputs, options, weights)
    except (IndexError, ValueError, ZeroDivisionError, TypeError) as error:
        listed = ", ".join(map(text, inputs))
        raise Malformed(f"a {kind} cannot be computed of {listed} ({error})") from error
    shapes = shapes if isinstance(shapes, list) else [shapes]
    for shape in shapes:
        if any(not isinstance(dim, Size) and not 0 <= dim < _MAX_AXIS for dim in shape):
            raise Malformed(f"a {kind} of {', '.join(map(text, inputs))} has no possible size")
    return shapes


def text(shape: Dims) -> str:
    """A shape for messages."""
    return "[" + ", ".join("?" if isinstance(dim, Size) else str(dim) for dim in shape) + "]"


def window(size: Dim, kernel: int, stride: int, dilation: int, padding: object, axis: int) -> Dim:
    """The size along a spatial axis (0, 1) of what a sliding window computes."""
    if padding == "SAME":
        return (size + (stride - 1)) // stride
    if padding != "VALID":
        size = size + sum(padding[axis])
    return (size - ((kernel - 1) * dilation + 1)) // stride + 1


def broadcast(shapes: Sequence[Dims]) -> Dims:
    """The shape of arithmetic on values of these shapes."""
    rank = max(map(len, shapes))
    aligned = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(_broadcast_axis(dims) for dims in zip(*aligned, strict=True))


def _broadcast_axis(dims: Sequence[Dim]) -> Dim:
    integers = {dim for dim in dims if not isinstance(dim, Size) and dim != 1}
    if len(integers) > 1:
        raise ValueError(f"sizes {sorted(integers)} of one axis")
    if integers:
        return integers.pop()
    sizes = list(dict.fromkeys(dim for dim in dims if isinstance(dim, Size)))
    if len(sizes) > 1:  # equal in any network that runs, unless one of them is 1
        return sizes[0].atoms.size(("broadcast", *sizes))
    return sizes[0] if sizes else 1


def default_transposed(size: Dim, kernel: int, stride: int, padding: str) -> Dim:
    """The size along an axis of a transposed convolution where the graph does not say another."""
    return size * stride + (max(kernel - stride, 0) if padding == "VALID" else 0)


def product(dims: Sequence[Dim]) -> Dim:
    """The number of values in a shape."""
    return math.prod(dims)


def _conv(inputs, options, weights) -> Dims:
    kernel = weights["kernel"]
    batch, *spatial, channels = _rank(inputs[0], 4)
    groups = options.get("groups", 1)
    if not isinstance(channels, Size) and channels != kernel[2] * groups:
        raise ValueError(f"its kernel {text(kernel)} is of other channels")
    sizes = [
        window(size, kernel[axis], options["strides"][axis], options["dilations"][axis],
               options["padding"], axis)
        for axis, size in enumerate(spatial)
    ]  # fmt: skip
    out = kernel[3] if "groups" in options else kernel[2] * kernel[3]
    return (batch, *sizes, out)


def _conv_transpose(inputs, options, weights) -> Dims:
    kernel = weights["kernel"]
    batch, *spatial, _ = _rank(inputs[0], 4)
    sizes = options["size"] or [
        default_transposed(size, kernel[axis], options["strides"][axis], options["padding"])
        for axis, size in enumerate(spatial)
    ]
    return (batch, *sizes, kernel[2])


def _dense(inputs, options, weights) -> Dims:
    rows, columns = weights["kernel"]
    if not isinstance(inputs[0][-1], Size) and inputs[0][-1] != rows:
        raise ValueError(f"its kernel is {text((rows, columns))}")
    return (*inputs[0][:-1], columns)


def _matmul(inputs, options, weights) -> Dims:
    one, other = inputs
    rows = one[-1] if options["transpose_a"] else one[-2]
    columns = other[-2] if options["transpose_b"] else other[-1]
    return (*broadcast([one[:-2], other[:-2]]), rows, columns)


def _pool(inputs, options, weights) -> Dims:
    batch, *spatial, channels = _rank(inputs[0], 4)
    sizes = [
        window(size, options["kernel"][axis], options["strides"][axis], 1, options["padding"], axis)
        for axis, size in enumerate(spatial)
    ]
    return (batch, *sizes, channels)


def _resize(inputs, options, weights) -> Dims:
    batch, _, _, channels = _rank(inputs[0], 4)
    return (batch, *options["size"], channels)


def _pad(inputs, options, weights) -> Dims:
    paddings = options["paddings"]
    return tuple(
        size + before + after for size, (before, after) in zip(inputs[0], paddings, strict=True)
    )


def _depth_to_space(inputs, options, weights) -> Dims:
    batch, height, width, channels = _rank(inputs[0], 4)
    block = options["block"]
    return (batch, height * block, width * block, channels // (block * block))


def _space_to_depth(inputs, options, weights) -> Dims:
    batch, height, width, channels = _rank(inputs[0], 4)
    block = options["block"]
    return (batch, height // block, width // block, channels * (block * block))


def _space_to_batch(inputs, options, weights) -> Dims:
    batch, *sizes = inputs[0]
    for axis, (block, (before, after)) in enumerate(
        zip(options["block"], options["paddings"], strict=True)
    ):
        sizes[axis] = (sizes[axis] + before + after) // block
        batch = batch * block
    return (batch, *sizes)


def _batch_to_space(inputs, options, weights) -> Dims:
    batch, *sizes = inputs[0]
    for axis, (block, (before, after)) in enumerate(
        zip(options["block"], options["crops"], strict=True)
    ):
        sizes[axis] = sizes[axis] * block - before - after
        batch = batch // block
    return (batch, *sizes)


def _reduce(inputs, options, weights) -> Dims:
    axes = options["axes"]
    if options["keepdims"]:
        return tuple(1 if axis in axes else dim for axis, dim in enumerate(inputs[0]))
    return tuple(dim for axis, dim in enumerate(inputs[0]) if axis not in axes)


def _without_axis(inputs, options, weights) -> Dims:
    axis = options["axis"]
    return (*inputs[0][:axis], *inputs[0][axis + 1 :])


def _top_k(inputs, options, weights) -> list[Dims]:
    return [(*inputs[0][:-1], options["k"])] * 2


def _concat(inputs, options, weights) -> Dims:
    axis = options["axis"]
    rest = [shape[:axis] + (1,) + shape[axis + 1 :] for shape in inputs]
    if len(set(map(len, rest))) > 1:
        raise ValueError("values of several ranks")
    shape = list(broadcast(rest))
    shape[axis] = sum(each[axis] for each in inputs)
    return tuple(shape)


def _split(inputs, options, weights) -> list[Dims]:
    axis = options["axis"]
    shape = inputs[0]
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in options["sizes"]]


def _stack(inputs, options, weights) -> Dims:
    axis = options["axis"]
    shape = broadcast(inputs)
    return (*shape[:axis], len(inputs), *shape[axis:])


def _unstack(inputs, options, weights) -> list[Dims]:
    return [_without_axis(inputs, options, weights)] * options["num"]


def _squeeze(inputs, options, weights) -> Dims:
    axes = options["axes"]
    if any(not isinstance(inputs[0][axis], Size) and inputs[0][axis] != 1 for axis in axes):
        raise ValueError(f"axes {axes} are not 1")
    return tuple(dim for axis, dim in enumerate(inputs[0]) if axis not in axes)


def _expand_dims(inputs, options, weights) -> Dims:
    axis = options["axis"]
    return (*inputs[0][:axis], 1, *inputs[0][axis:])


def _transpose(inputs, options, weights) -> Dims:
    permutation = options["permutation"]
    if sorted(permutation) != list(range(len(inputs[0]))):
        raise ValueError(f"{permutation} is no permutation of its axes")
    return tuple(inputs[0][axis] for axis in permutation)


def _strided_slice(inputs, options, weights) -> Dims:
    dims = []
    for axis, (dim, (begin, end, stride)) in enumerate(
        zip(inputs[0], options["slices"], strict=True)
    ):
        if axis not in options["shrink"]:
            dims.append(sliced(dim, begin, end, stride))
    for axis in sorted(options["new"]):
        dims.insert(axis, 1)
    return tuple(dims)


def sliced(dim: Dim, begin: int | None, end: int | None, stride: int) -> Dim:
    """The length of `range(dim)[begin:end:stride]`."""
    if not isinstance(dim, Size):
        return len(range(dim)[begin:end:stride])
    if stride != 1:
        if stride == -1 and begin is None and end is None:
            return dim
        if stride > 1 and begin in (None, 0) and end is None:
            return (dim + (stride - 1)) // stride
        return dim.atoms.size(("slice", dim, begin, end, stride))
    if (begin or 0) >= 0 and (end is None or end < 0):  # as long as the value is long enough
        return dim + (end or 0) - (begin or 0)
    if begin is not None and begin < 0 and end is None:
        return -begin
    return dim.atoms.size(("slice", dim, begin, end, stride))


def _slice(inputs, options, weights) -> Dims:
    rows = zip(inputs[0], options["begin"], options["size"], strict=True)
    return tuple(dim - begin if _all(size) else size for dim, begin, size in rows)


def _all(size: Dim) -> bool:
    return not isinstance(size, Size) and size == -1


def _tile(inputs, options, weights) -> Dims:
    return tuple(dim * n for dim, n in zip(inputs[0], options["multiples"], strict=True))


def _gather(inputs, options, weights) -> Dims:
    axis = options["axis"]
    indices = options["indices"]
    inner = inputs[1] if indices is None else (len(indices),)
    return (*inputs[0][:axis], *inner, *inputs[0][axis + 1 :])


def _range(inputs, options, weights) -> Dims:
    start, limit, delta = (options[each] for each in ("start", "limit", "delta"))
    if isinstance(delta, Size) or delta != 1:
        if any(isinstance(each, Size) for each in (start, limit, delta)):
            raise ValueError("a step that is computed")
        return (max(0, math.ceil((limit - start) / delta)),)
    return (limit - start,) if isinstance(limit - start, Size) else (max(0, limit - start),)


def _rank(shape: Dims, rank: int) -> Dims:
    if len(shape) != rank:
        raise ValueError(f"{text(shape)} is not of rank {rank}")
    return shape


def _same(inputs, options, weights) -> Dims:
    return inputs[0]


def _broadcast(inputs, options, weights) -> Dims:
    return broadcast(inputs)


def _given(inputs, options, weights) -> Dims:
    return tuple(options["shape"])


_Rule = Callable[[Sequence[Dims], Mapping, Mapping[str, Dims]], "Dims | list[Dims]"]
_SHAPES: dict[str, _Rule] = {
    "conv": _conv,
    "depthwise_conv": _conv,
    "conv_transpose": _conv_transpose,
    "dense": _dense,
    "matmul": _matmul,
    **dict.fromkeys(("max_pool", "avg_pool"), _pool),
    "resize": _resize,
    "pad": _pad,
    "depth_to_space": _depth_to_space,
    "space_to_depth": _space_to_depth,
    "space_to_batch": _space_to_batch,
    "batch_to_space": _batch_to_space,
    **dict.fromkeys(("mean", "sum", "max", "min", "prod", "any", "all"), _reduce),
    **dict.fromkeys(("argmax", "argmin"), _without_axis),
    "top_k": _top_k,
    "concat": _concat,
    "split": _split,
    "stack": _stack,
    "unstack": _unstack,
    "squeeze": _squeeze,
    "expand_dims": _expand_dims,
    **dict.fromkeys(("reshape", "broadcast_to", "fill"), _given),
    "flatten": lambda inputs, options, weights: (inputs[0][0], product(inputs[0][1:])),
    "parameter": lambda inputs, options, weights: weights["value"],
    "transpose": _transpose,
    "strided_slice": _strided_slice,
    "slice": _slice,
    "tile": _tile,
    "gather": _gather,
    "range": _range,
    "shape": lambda inputs, options, weights: (len(inputs[0]),),
    **dict.fromkeys(
        (
            "add", "sub", "mul", "div", "floor_div", "floor_mod", "maximum", "minimum", "pow",
            "squared_difference", "add_n", "greater", "greater_equal", "less", "less_equal",
            "equal", "not_equal", "logical_and", "logical_or", "select",
        ),
        _broadcast,
    ),
}  # fmt: skip
if not set(_SHAPES) <= set(KINDS):  # a typing error in the table
    raise RuntimeError(set(_SHAPES) - set(KINDS))
