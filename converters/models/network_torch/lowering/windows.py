"""Pooling, resizing, padding, and blocks that move between space and other axes."""

from __future__ import annotations

import math

from converters.graphs.network import Layer
from converters.models.network_torch.layouts import held, is_image
from converters.models.network_torch.lowering.builder import Builder
from converters.models.network_torch.lowering.padding import pad_before, window_padding
from converters.models.network_torch.lowering.size_arithmetic import Size, sizes
from converters.models.network_torch.plan import Tensor

_ONE = (1, 1)


def max_pool(b: Builder, layer: Layer) -> Tensor:
    ref = b.tensor(layer.inputs[0]).ref
    kernel, strides, padding = (layer.options[key] for key in ("kernel", "strides", "padding"))
    own = window_padding(padding, kernel, strides, _ONE)
    if own is None or any(2 * n > k for n, k in zip(own, kernel, strict=True)):
        ref, own = pad_before(b, ref, padding, kernel, strides, _ONE, -math.inf), (0, 0)
    return Tensor(b.add("F.max_pool2d", ref, kernel, strides, *_if_any(own)), 4)


def avg_pool(b: Builder, layer: Layer) -> Tensor:
    ref = b.tensor(layer.inputs[0]).ref
    kernel, strides, padding = (layer.options[key] for key in ("kernel", "strides", "padding"))
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"{layer.name}: TensorFlow's AvgPool has no explicit padding")
    own = window_padding(padding, kernel, strides, _ONE)
    if own is None:
        return Tensor(b.add("ops.avg_pool_same", ref, kernel, strides), 4)
    options = {"count_include_pad": False} if any(own) else {}
    return Tensor(b.add("F.avg_pool2d", ref, kernel, strides, *_if_any(own), **options), 4)


def _if_any(padding: tuple[int, int]) -> tuple:
    """A padding as an argument, none where it is nothing."""
    return (padding,) if any(padding) else ()


_RESIZE = {
    "ResizeBilinear": "ops.resize_bilinear",
    "ResizeNearestNeighbor": "ops.resize_nearest",
    "ResizeBicubic": "ops.resize_bicubic",
}
_METHODS = {name: f"Resize{name}" for name in ("Bilinear", "NearestNeighbor", "Bicubic")} | {
    "bilinear": "ResizeBilinear",
    "nearest": "ResizeNearestNeighbor",
    "nearest_neighbor": "ResizeNearestNeighbor",
    "bicubic": "ResizeBicubic",
}


def resize(b: Builder, layer: Layer) -> Tensor:
    ref = b.tensor(layer.inputs[0]).ref
    size = b.option(layer, "size", list(layer.inputs[1:]))
    method = layer.options["method"]
    target = _RESIZE[_METHODS.get(method, method)]
    options = {key: True for key in ("align_corners", "half_pixel_centers") if layer.options[key]}
    return Tensor(b.add(target, ref, b.literal(tuple(size)), **options), 4)


def pad(b: Builder, layer: Layer) -> Tensor:
    before = b.tensor(layer.inputs[0])
    rank = before.rank
    paddings = held(sizes(b.option(layer, "paddings", list(layer.inputs[1:]))).tolist())
    if layer.options["mode"] == "CONSTANT":
        options = {"value": layer.options["value"]} if layer.options["value"] else {}
        return Tensor(b.add("F.pad", before.ref, _flat(b, paddings), **options), rank)
    reflects = layer.options["mode"] == "REFLECT"
    untouched = all(_is_zero(pair) for pair in paddings[:2])
    if reflects and is_image(rank) and untouched:
        ref = b.add("F.pad", before.ref, _flat(b, paddings[2:]), mode="reflect")
        return Tensor(ref, rank)
    ref = before.ref
    for dimension, pair in enumerate(paddings):
        if not _is_zero(pair):
            ref = b.add("ops.pad_mirrored", ref, dimension, *map(b.literal, pair), not reflects)
    return Tensor(ref, rank)


def _is_zero(pair) -> bool:
    return not any(isinstance(each, Size) or each for each in pair)


def _flat(b: Builder, paddings) -> object:
    """As `F.pad` wants them: the last dimension first, and none that is not padded at the end."""
    pairs = [tuple(pair) for pair in reversed(paddings)]
    while pairs and _is_zero(pairs[-1]):
        pairs.pop()
    return b.literal(tuple(each for pair in pairs for each in pair))


def depth_blocks(b: Builder, layer: Layer) -> Tensor:
    """depth_to_space, space_to_depth."""
    ref = b.tensor(layer.inputs[0]).ref
    block = layer.options["block"]
    block = block[0] if isinstance(block, tuple) else block
    return Tensor(b.add(f"ops.{layer.kind}", ref, block), 4)


def batch_blocks(b: Builder, layer: Layer) -> Tensor:
    """space_to_batch, batch_to_space, of two spatial axes."""
    ref = b.tensor(layer.inputs[0]).ref
    key = "paddings" if layer.kind == "space_to_batch" else "crops"
    amounts = sizes(b.option(layer, key, list(layer.inputs[1:]))).tolist()
    return Tensor(b.add(f"ops.{layer.kind}", ref, layer.options["block"], _flat(b, amounts)), 4)


LOWER = {
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "resize": resize,
    "pad": pad,
    "depth_to_space": depth_blocks,
    "space_to_depth": depth_blocks,
    "space_to_batch": batch_blocks,
    "batch_to_space": batch_blocks,
}
