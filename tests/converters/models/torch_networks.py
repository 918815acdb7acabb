"""Networks built by hand, and the same in TensorFlow; images of either layout."""

from __future__ import annotations

import numpy as np
import pytest
from hand_built import Draft

tf = pytest.importorskip("tensorflow")
torch = pytest.importorskip("torch")


from converters.models.network_torch import module  # noqa: E402


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def first(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.moveaxis(x, -1, 1))


def last(x: torch.Tensor) -> np.ndarray:
    return np.moveaxis(x.detach().numpy(), 1, -1)


def half_sized(d: Draft) -> str:
    """A pooled map resized to half the image, rounded up, and joined to one of that size."""
    x = d.input("image", None, None, None, 3)
    small = d.layer("pool", "max_pool", x, rank=4, strides=(4, 4))
    two = d.size("two", "strided_slice", d.sizes_of(x), slices=((1, 3, 1),), rank=(2,))
    real = d.size("ToFloat", "cast", two, dtype="float32", rank=(2,))
    half = d.size("half", "mul", real, d.constant("scale", np.float32(0.5)), rank=(2,))
    size = d.size("size", "cast", d.size("up", "ceil", half, rank=(2,)), dtype="int32", rank=(2,))
    large = d.layer("Resize", "resize", small, size, size=None, rank=4)
    return d.layer("out", "concat", large, d.layer("avg", "avg_pool", x, rank=4), axis=3, rank=4)


def half_sized_in_tf(x, arrays):
    size = tf.cast(tf.math.ceil(tf.cast(tf.shape(x)[1:3], tf.float32) * 0.5), tf.int32)
    small = tf.cast(tf.nn.max_pool2d(x, 2, 4, "SAME"), tf.float32)
    large = tf.cast(tf.raw_ops.ResizeBilinear(images=small, size=size), x.dtype)
    return tf.concat([large, tf.nn.avg_pool2d(x, 2, 2, "SAME")], 3)


def attention(d: Draft) -> str:
    """A softmax over all pixels, through reshapes to sizes that are computed."""
    x = d.input("image", None, None, None, 4)
    b, h, w = (
        d.entry(f"d{axis}", d.sizes_of(x) if axis == 0 else "image/Shape", axis)
        for axis in range(3)
    )
    four = d.constant("four", np.int32(4), is_shape=True)
    rows = d.size("rows", "stack", b, d.size("area", "mul", h, w), four, axis=0, rank=(3,))
    flat = d.layer("flat", "reshape", x, rows, shape=None, rank=3)
    weights = d.layer("softmax", "softmax", flat, axis=1, rank=3)
    back = d.size("back", "stack", b, h, w, four, axis=0, rank=(4,))
    return d.layer("out", "reshape", weights, back, shape=None, rank=4)


def attention_in_tf(x, arrays):
    b, h, w, c = x.shape
    return tf.reshape(tf.nn.softmax(tf.reshape(x, (b, h * w, c)), 1), (b, h, w, c))


def decoder(d: Draft) -> str:
    """A transposed convolution to the size of a skip connection, and one that is cropped to it."""
    x = d.input("image", None, None, None, 4)
    skip = d.conv("skip", x, (3, 3, 4, 5))
    small = d.conv("small", skip, (3, 3, 5, 6), strides=(2, 2))
    weights = {"kernel": d.variable("up/weights", (4, 4, 5, 6)), "bias": d.variable("b", (5,))}
    sizes = d.sizes_of(skip)
    up = d.layer("up", "conv_transpose", small, sizes, rank=4, weights=weights)
    twice = d.layer("twice", "conv_transpose", small, rank=4, weights=weights)
    crop = d.layer("crop", "slice", twice, sizes, begin=(0, 0, 0, 0), size=None, rank=4)
    return d.layer("out", "add", up, crop, rank=4)


def decoder_in_tf(x, arrays):
    a = {name: value.astype("d") for name, value in arrays.items()}
    skip = tf.nn.conv2d(x, a["skip/weights"], 1, "SAME") + a["skip/biases"]
    small = tf.nn.conv2d(skip, a["small/weights"], 2, "SAME") + a["small/biases"]
    up = tf.nn.conv2d_transpose(small, a["up/weights"], skip.shape, 2) + a["b"]
    twice = (*small.shape[:1], 2 * small.shape[1], 2 * small.shape[2], 5)
    crop = tf.nn.conv2d_transpose(small, a["up/weights"], twice, 2) + a["b"]
    return up + crop[:, : skip.shape[1], : skip.shape[2]]


def coordinates(d: Draft) -> str:
    """Rows counted, divided by the height, and beside the image."""
    x = d.input("image", None, None, None, 2)
    sizes = d.sizes_of(x)
    height = d.entry("height", sizes, 1)
    ends = {"start": 0, "limit": None, "delta": 1}
    rows = d.layer("rows", "range", height, rank=1, **ends)
    real = d.layer("real", "cast", rows, dtype="float32", rank=1)
    ratio = d.layer("ratio", "div", real, d.size("tall", "cast", height, dtype="float32"), rank=1)
    column = d.layer("column", "reshape", ratio, shape=(1, -1, 1, 1), rank=4)
    ones = d.layer("ones", "fill", sizes, shape=None, value=1.5, rank=4)
    shifted = d.layer("shifted", "mul", ones, column, rank=4)
    return d.layer("out", "concat", x, shifted, axis=3, rank=4)


def coordinates_in_tf(x, arrays):
    column = tf.reshape(tf.range(x.shape[1]) / x.shape[1], (1, -1, 1, 1))
    return tf.concat([x, tf.fill(x.shape, tf.constant(1.5, x.dtype)) * column], 3)


def padded(d: Draft) -> str:
    """Padded by half of what each axis has, upside down, tiled by the batch."""
    x = d.input("image", None, None, None, 3)
    sizes = d.sizes_of(x)
    half = [
        d.size(f"half{a}", "floor_div", d.entry(f"s{a}", sizes, a), d.constant(f"two{a}", 2, True))
        for a in (1, 2)
    ]
    none = d.constant("none", 0, is_shape=True)
    pairs = [
        d.size(f"pair{i}", "stack", *pair, axis=0, rank=(2,))
        for i, pair in enumerate([(none, none), (half[0], none), (none, half[1]), (none, none)])
    ]
    paddings = d.size("paddings", "stack", *pairs, axis=0, rank=(4, 2))
    padded = d.layer("Pad", "pad", x, paddings, paddings=None, mode="REFLECT", value=0.0, rank=4)
    upside = d.layer(
        "up",
        "strided_slice",
        padded,
        slices=((None, None, 1), (None, None, -1), (-1, None, -2), (None, None, 1)),
        rank=4,
    )
    one = d.constant("one", 1, is_shape=True)
    multiples = d.size(
        "multiples", "stack", one, one, one, d.entry("batch", sizes, 0), axis=0, rank=(4,)
    )
    return d.layer("out", "tile", upside, multiples, multiples=None, rank=4)


def padded_in_tf(x, arrays):
    b, h, w, _ = x.shape
    x = tf.pad(x, ((0, 0), (h // 2, 0), (0, w // 2), (0, 0)), "REFLECT")
    return tf.tile(x[:, ::-1, ::-2], (1, 1, 1, b))


NETS = {
    "half_sized": (half_sized, half_sized_in_tf, 3),
    "attention": (attention, attention_in_tf, 4),
    "decoder": (decoder, decoder_in_tf, 4),
    "coordinates": (coordinates, coordinates_in_tf, 2),
    "padded": (padded, padded_in_tf, 3),
}
SIZES = ((2, 8, 10), (1, 9, 7), (3, 12, 5))


def made(define):
    draft = Draft()
    network = draft.network(define(draft))
    return network, draft.arrays, module.build(network, draft.arrays)
