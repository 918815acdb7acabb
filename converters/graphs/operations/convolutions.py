"""Layers with weights and windows. Source: TensorFlow's `core/ops/nn_ops.cc`, `image_ops.cc`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.files.errors import Malformed
from converters.files.graphdef import FUSED_EPSILON
from converters.graphs.drafts import CONSTANT, Value
from converters.graphs.layouts import to_layout
from converters.graphs.operations.operation import Handler, Operation, all_known
from converters.graphs.shapes import default_transposed
from converters.graphs.sizes import Size

_LAYOUTS = ("NHWC", "NCHW")
_PADDINGS = ("SAME", "VALID")
_MAX_PATCHES = 2**24  # weights that are made of ExtractImagePatches


def _image(op: Operation, index: int = 0) -> Value:
    """An input as the image that the operation's `data_format` says it is."""
    layout = op.node.text("data_format", "NHWC")
    value = op.inputs[index]
    if layout not in _LAYOUTS:
        raise Malformed(f"its operation {op.name!r} has the layout {layout}, which no layer has")
    if value.rank != 4:
        raise Malformed(f"its operation {op.name!r} ({op.type}) has an input of rank {value.rank}")
    return to_layout(op.builder, value, layout)


def _padding(op: Operation) -> str | tuple:
    padding = op.node.text("padding", "")
    if padding == "EXPLICIT":
        pairs = np.reshape(op.node.integers("explicit_paddings"), (-1, 2)).tolist()
        height, width = op.node.spatial_axes
        if len(pairs) == 4 and min(map(min, pairs)) >= 0:
            return tuple(pairs[height]), tuple(pairs[width])
    if padding not in _PADDINGS:
        raise Malformed(f"its operation {op.name!r} has the unknown padding {padding!r}")
    return padding


def _window(op: Operation, kernel: tuple[int, int] | None = None) -> dict:
    strides = op.node.spatial("strides")
    window = {"strides": strides, "padding": _padding(op)}
    return window if kernel is None else {"kernel": kernel, **window}


def _kernel(op: Operation, index: int = 1, rank: int = 4) -> Value:
    kernel = op.inputs[index]
    if not kernel.static:
        raise Malformed(
            f"the kernel of its operation {op.name!r} ({op.type}) is computed from the image"
        )
    if kernel.rank != rank or any(isinstance(dim, Size) or dim < 1 for dim in kernel.shape):
        raise Malformed(f"the kernel of its operation {op.name!r} is not of rank {rank}")
    return kernel


def _conv(op: Operation) -> Value:
    op.need(2)
    value, kernel = _image(op), _kernel(op)
    channels = value.shape[3]
    groups = 1 if isinstance(channels, Size) else channels // kernel.shape[2]
    if groups < 1 or kernel.shape[3] % groups:
        raise Malformed(f"the kernel of its operation {op.name!r} is of other channels")
    options = {**_window(op), "dilations": op.node.spatial("dilations"), "groups": groups}
    return op.layer("conv", [value], options, weights={"kernel": kernel}, layout=value.layout)


def _depthwise(op: Operation) -> Value:
    op.need(2)
    value, kernel = _image(op), _kernel(op)
    options = {**_window(op), "dilations": op.node.spatial("dilations")}
    weights = {"kernel": kernel}
    return op.layer("depthwise_conv", [value], options, weights=weights, layout=value.layout)


def _transposed(op: Operation) -> Value:
    """Conv2DBackpropInput as a layer: its output's size, its kernel, its input."""
    op.need(3)
    value, kernel = _image(op, 2), _kernel(op)
    if op.node.spatial("dilations") != (1, 1):
        raise Malformed(f"its transposed convolution {op.name!r} has dilations, which no layer has")
    window = _window(op)
    if window["padding"] not in _PADDINGS:
        raise Malformed(f"its transposed convolution {op.name!r} has explicit paddings")
    sizes = op.sizes(0)
    spatial = op.node.spatial_axes
    if sizes is None:
        spatial_sizes = op.unknown_sizes(2, "size")
    elif len(sizes) in (2, 4):
        spatial_sizes = tuple(sizes if len(sizes) == 2 else (sizes[axis] for axis in spatial))
    else:
        raise Malformed(f"the output shape of its operation {op.name!r} is not of rank 4")
    natural = tuple(
        default_transposed(value.shape[1 + i], kernel.shape[i], window["strides"][i],
                           window["padding"])
        for i in range(2)
    )  # fmt: skip
    size = spatial_sizes if all_known(spatial_sizes) else None
    inputs = [value]
    if natural == spatial_sizes:
        size = None
    elif size is None:
        inputs.append(_nhwc_sizes(op, op.inputs[0], value.layout))
    return op.layer(
        "conv_transpose", inputs, {**window, "size": size}, sizes={"size": spatial_sizes},
        weights={"kernel": kernel}, layout=value.layout,
    )  # fmt: skip


def _nhwc_sizes(op: Operation, sizes: Value, layout: str) -> Value:
    """A shape that the graph computes, in the order of axes that it has here."""
    if layout == "NHWC":
        return sizes
    return op.helper("size", "gather", [sizes], {"axis": 0, "indices": (0, 2, 3, 1)})


def _matmul(op: Operation) -> Value:
    """A product with a parameter is a dense layer, one of two values is not."""
    op.need(2)
    value, other = op.inputs[:2]
    batched = op.type != "MatMul"
    flips = [op.node.flag(name) for name in (("adj_x", "adj_y") if batched else
                                             ("transpose_a", "transpose_b"))]  # fmt: skip
    if min(value.rank, other.rank) < 2:
        raise Malformed(f"its operation {op.name!r} ({op.type}) multiplies vectors")
    if other.static and not value.static and other.rank == 2 and not flips[0]:
        if flips[1]:
            other = op.helper("kernel", "transpose", [other], {"permutation": (1, 0)})
        return op.layer("dense", [value], weights={"kernel": other})
    options = {"transpose_a": flips[0], "transpose_b": flips[1]}
    return op.layer("matmul", [value, other], options)


def _pool(op: Operation) -> Value:
    kind = "avg_pool" if op.type == "AvgPool" else "max_pool"
    value = _image(op)
    _check_spatial(op, op.node.integers("ksize"), op.node.integers("strides"))
    window = _window(op, op.node.spatial("ksize"))
    return op.layer(kind, [value], window, layout=value.layout)


def _check_spatial(op: Operation, *windows: Sequence[int]) -> None:
    """Raises Malformed for windows, one entry an axis, that go over the batch or the channels."""
    others = set(range(4)).difference(op.node.spatial_axes)
    if any(len(window) == 4 and any(window[i] != 1 for i in others) for window in windows):
        raise Malformed(f"its operation {op.name!r} pools over channels, which no layer does")


def _pool_v2(op: Operation) -> Value:
    op.need(3)
    value = _image(op)
    height, width = op.node.spatial_axes
    kernel, strides = (op.integers(index, "window") for index in (1, 2))
    if len(kernel) != 4 or len(strides) != 4 or min(*kernel, *strides) < 1:
        raise Malformed(f"the window of its operation {op.name!r} is no rank-4 one")
    _check_spatial(op, kernel, strides)
    options = {
        "kernel": (kernel[height], kernel[width]),
        "strides": (strides[height], strides[width]),
        "padding": _padding(op),
    }
    return op.layer("max_pool", [value], options, layout=value.layout)


def _patches(op: Operation) -> Value:
    """ExtractImagePatches, as the convolution that puts every pixel of a window into a channel."""
    value = _image(op)
    kernel, rates = op.node.spatial("ksizes"), op.node.spatial("rates")
    channels = value.shape[3]
    if isinstance(channels, Size) or kernel[0] * kernel[1] * channels**2 > _MAX_PATCHES:
        raise Malformed(f"its operation {op.name!r} (ExtractImagePatches) has too many channels")
    size = kernel[0] * kernel[1] * channels
    weights = op.builder.constant(
        f"{op.name}/kernel", np.eye(size, dtype=np.float32).reshape(*kernel, channels, size)
    )
    options = {**_window(op), "dilations": rates, "groups": 1}
    return op.layer("conv", [value], options, weights={"kernel": weights}, layout=value.layout)


def _lrn(op: Operation) -> Value:
    (value,) = op.inputs
    number = op.node.number
    radius = op.node.integer("depth_radius", 5)
    if radius < 0:
        raise Malformed(f"its operation {op.name!r} has the absurd depth_radius {radius}")
    options = {
        "depth_radius": radius,
        "bias": number("bias", 1.0),
        "alpha": number("alpha", 1.0),
        "beta": number("beta", 0.5),
    }
    return op.layer("lrn", [to_layout(op.builder, value, "NHWC")], options)


def _batch_norm(op: Operation) -> Value:
    op.need(5)
    value = _image(op)
    gamma, beta, mean, variance = op.inputs[1:5]
    roles = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    for role, parameter in roles.items():
        if not parameter.static or parameter.rank != 1:
            raise Malformed(f"the {role} of its batch norm {op.name!r} is computed from the image")
    epsilon = op.node.number("epsilon", FUSED_EPSILON)
    if not 0 <= epsilon < 1:
        raise Malformed(f"its batch norm {op.name!r} has the absurd epsilon {epsilon}")
    options = {"epsilon": epsilon, "decay": op.decay(mean.draft.name), "fused": True}
    weights = {
        **roles,
        "gamma": None if _is_splat(gamma, 1) else gamma,
        "beta": None if _is_splat(beta, 0) else beta,
    }
    return op.layer("batch_norm", [value], options, weights=weights, layout=value.layout)


def _batch_statistics(op: Operation) -> Value:
    """A batch norm that takes the statistics of what is fed: arithmetic, layer by layer."""
    op.need(3)
    value, layout = _image(op), op.node.text("data_format", "NHWC")
    axes = {"axes": (0, 1, 2), "keepdims": True}
    mean = op.helper("mean", "mean", [value], axes, layout=layout)
    centred = op.helper("centred", "sub", [value, mean], layout=layout)
    square = op.helper("square", "square", [centred], layout=layout)
    variance = op.helper("variance", "mean", [square], axes, layout=layout)
    number = np.array(op.node.number("epsilon", FUSED_EPSILON), value.dtype)
    epsilon = op.builder.constant(f"{op.name}/epsilon", number)
    total = op.helper("total", "add", [variance, epsilon], layout=layout)
    factor = op.helper("rsqrt", "rsqrt", [total], layout=layout)
    scaled = op.helper("normalized", "mul", [centred, factor], layout=layout)
    scaled = op.helper("scaled", "mul", [scaled, op.inputs[1]], layout=layout)
    return op.layer("add", [scaled, op.inputs[2]], layout=layout)


def _is_splat(value: Value, number: float) -> bool:
    """Whether a parameter is a constant of one number, as stands for one that is left out."""
    if value.draft.kind != CONSTANT:
        return False
    constant = value.constant
    return constant is not None and bool((constant == number).all())


HANDLERS: dict[str, Handler] = {
    "Conv2D": _conv,
    "DepthwiseConv2dNative": _depthwise,
    "Conv2DBackpropInput": _transposed,
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _matmul),
    **dict.fromkeys(("MaxPool", "AvgPool"), _pool),
    "MaxPoolV2": _pool_v2,
    "ExtractImagePatches": _patches,
    "LRN": _lrn,
    "BatchStatistics": _batch_statistics,
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _batch_norm),
}
