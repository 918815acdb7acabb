"""Operations as layers: what becomes one, what stays two, and that TensorFlow computes the same."""

from __future__ import annotations

import numpy as np
import pytest
from built import kinds, only

pytest.importorskip("tensorflow")


def image(tf, channels=3, height=None, width=None):
    return tf.placeholder(tf.float32, [None, height, width, channels], "image")


def kernel(tf, *shape, name="weights"):
    return tf.get_variable(name, shape)


def conv(tf, x, channels=4, size=3, padding="VALID", stride=1, name="conv"):
    weights = kernel(tf, size, size, x.shape[-1], channels, name=f"{name}/weights")
    return tf.nn.conv2d(x, weights, strides=[1, stride, stride, 1], padding=padding, name=name)


def same(tf, x, spatial, rate, size=3):
    """The paddings and crops of a dilated SAME convolution, as `with_space_to_batch` has them."""
    around = (size - 1) * rate
    base = [[around // 2, around - around // 2]] * 2
    return tf.required_space_to_batch_paddings(spatial, [rate, rate], base)


@pytest.mark.parametrize("known", [True, False], ids=["known size", "computed"])
@pytest.mark.parametrize("rate", [2, 3])
def test_space_to_batch_is_a_dilation(build, known, rate):
    def make(tf):
        x = image(tf, 3, *(9, 11) if known else ())
        spatial = [9, 11] if known else tf.shape(x)[1:3]
        paddings, crops = same(tf, x, spatial, rate)
        x = conv(tf, tf.space_to_batch_nd(x, [rate, rate], paddings))
        x = tf.batch_to_space_nd(x, [rate, rate], crops)
        tf.nn.bias_add(x, kernel(tf, 4, name="bias"), name="out")

    built = build(make, "out")
    network = built.read()
    (layer,) = network.layers
    assert (layer.kind, layer.name) == ("conv", "out")
    assert (layer.options["dilations"], layer.options["padding"]) == ((rate, rate), "SAME")
    assert set(layer.weights) == {"kernel", "bias"}
    assert {"SpaceToBatchND", "conv", "BatchToSpaceND", "out"} <= set(layer.operations)
    assert built.error(network) < 1e-5


def test_crops_of_another_size_stay(build):
    """What is cropped is not what was padded: no dilated convolution."""

    def make(tf):
        x = tf.space_to_batch_nd(image(tf, 3, 8, 8), [2, 2], [[0, 0], [0, 0]])
        tf.batch_to_space_nd(conv(tf, x), [2, 2], [[1, 0], [0, 1]], name="out")

    built = build(make, "out")
    network = built.read()
    assert kinds(network) == ["space_to_batch", "conv", "batch_to_space"]
    assert built.error(network) < 1e-5


@pytest.mark.parametrize("padding", ["VALID", "SAME"])
def test_a_pad_goes_into_the_convolution(build, padding):
    def make(tf):
        x = tf.pad(image(tf), [[0, 0], [1, 2], [3, 0], [0, 0]])
        tf.identity(conv(tf, x, padding=padding), "out")

    built = build(make, "out", image=images(2, 9, 11, 3))
    network = built.read()
    assert kinds(network) == ["conv", "identity"]
    assert built.error(network) < 1e-5


def test_a_pad_before_a_strided_same_convolution_stays(build):
    """How much SAME pads there depends on the image's size."""

    def make(tf):
        x = tf.pad(image(tf), [[0, 0], [1, 1], [1, 1], [0, 0]])
        tf.identity(conv(tf, x, padding="SAME", stride=2), "out")

    built = build(make, "out")
    assert kinds(built.read()) == ["pad", "conv", "identity"]
    assert built.error(built.read()) < 1e-5


def images(*shape):
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


def pooled(activation, value=0.0, pads=1):
    def make(tf):
        x = activation(tf, image(tf))
        around = [pads, pads]
        x = tf.pad(x, [[0, 0], around, around, [0, 0]], constant_values=value)
        tf.nn.max_pool2d(x, 3, 2, "VALID", name="out")

    return make


def relu(tf, x):
    return tf.nn.relu(x)


def negative(tf, x):
    return -tf.nn.relu(x) - 1


def test_zeros_around_a_relu_go_into_the_max_pool(build):
    built = build(pooled(relu), "out")
    network = built.read()
    assert kinds(network) == ["relu", "max_pool"]
    assert only(network, "max_pool").options["padding"] == ((1, 1), (1, 1))
    assert built.error(network) < 1e-6


@pytest.mark.parametrize(
    "make",
    [pooled(negative), pooled(relu, pads=3), pooled(relu, value=0.5)],
    ids=["negative values", "windows of padding alone", "another value"],
)
def test_paddings_that_a_maximum_notices_stay(build, make):
    built = build(make, "out")
    network = built.read()
    assert "pad" in kinds(network)
    assert built.error(network) < 1e-6


def test_the_lowest_number_around_goes_into_the_max_pool(build):
    built = build(pooled(negative, value=np.finfo(np.float32).min), "out")
    network = built.read()
    assert kinds(network)[-2:] != ["pad", "max_pool"]
    assert built.error(network) < 1e-6


@pytest.mark.parametrize("shared", [True, False], ids=["one kernel", "several"])
def test_split_and_concat_are_groups(build, shared):
    def make(tf):
        x = image(tf, 6)
        if shared:
            kernels = tf.split(kernel(tf, 3, 3, 2, 12), 3, 3)
        else:
            kernels = [kernel(tf, 3, 3, 2, 4, name=f"w{i}") for i in range(3)]
        parts = [
            tf.nn.conv2d(part, each, strides=[1, 1, 1, 1], padding="SAME")
            for part, each in zip(tf.split(x, 3, 3), kernels, strict=True)
        ]
        tf.nn.bias_add(tf.concat(parts, 3), kernel(tf, 12, name="bias"), name="out")

    built = build(make, "out", image=images(2, 9, 11, 6))
    network = built.read()
    (layer,) = network.layers
    assert layer.options["groups"] == 3
    if shared:
        assert layer.weights["kernel"] == "weights"
    assert network.parameters[layer.weights["kernel"]].shape == (3, 3, 2, 12)
    assert built.error(network) < 1e-5


def test_groups_in_another_order_stay(build):
    def make(tf):
        one, two = tf.split(image(tf, 4), 2, 3)
        parts = [conv(tf, two, name="a"), conv(tf, one, name="b")]
        tf.concat(parts, 3, name="out")

    built = build(make, "out", image=images(2, 9, 11, 4))
    network = built.read()
    assert kinds(network).count("conv") == 2
    assert built.error(network) < 1e-5


def test_a_value_that_is_asked_for_is_not_fused(build):
    def make(tf):
        x = conv(tf, image(tf), name="conv")
        tf.nn.bias_add(x, kernel(tf, 4, name="bias"), name="out")

    built = build(make, "out", "conv")
    network = built.read()
    assert [(layer.name, layer.kind) for layer in network.layers] == [
        ("conv", "conv"),
        ("out", "bias"),
    ]
    assert network.outputs == ("out", "conv")
    assert built.error(network) < 1e-5


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_a_transposed_convolution_knows_its_size(build, padding):
    """tf.layers and slim compute the output's shape; it is what the padding gives anyway."""

    def make(tf):
        x = image(tf)
        sizes = tf.shape(x)
        more = 1 if padding == "VALID" else 0
        shape = tf.stack([sizes[0], sizes[1] * 2 + more, sizes[2] * 2 + more, 5])
        tf.nn.conv2d_transpose(x, kernel(tf, 3, 3, 5, 3), shape, [1, 2, 2, 1], padding, name="out")

    built = build(make, "out")
    network = built.read()
    assert kinds(network) == ["conv_transpose"]
    assert only(network, "conv_transpose").options["size"] is None
    assert built.error(network) < 1e-5


def test_a_transposed_convolution_to_the_size_of_another(build):
    def make(tf):
        x = image(tf)
        half = conv(tf, x, 4, padding="SAME", stride=2)
        sizes = tf.shape(x)
        shape = tf.stack([sizes[0], sizes[1], sizes[2], 5])
        tf.nn.conv2d_transpose(half, kernel(tf, 4, 4, 5, 4), shape, [1, 2, 2, 1], name="out")

    for size in ((9, 11), (8, 12)):
        built = build(make, "out", image=images(1, *size, 3))
        network = built.read()
        assert any(layer.is_shape for layer in network.layers)
        assert built.error(network) < 1e-5


def test_a_size_that_is_computed_follows_the_image(build):
    def make(tf):
        x = image(tf)
        small = tf.nn.max_pool2d(x, 2, 2, "VALID")
        tf.image.resize_bilinear(small, tf.shape(x)[1:3] * 2 - 1, align_corners=True, name="out")

    built = build(make, "out", image=images(1, 7, 12, 3))
    network = built.read()
    assert only(network, "resize").shape == (None, None, None, 3)
    assert built.error(network) < 1e-5


RESHAPES = {
    "flat": (lambda tf, x: tf.reshape(x, [-1, 9 * 11 * 3]), ["flatten"]),
    "flat, batch computed": (lambda tf, x: tf.reshape(x, [tf.shape(x)[0], -1]), ["flatten"]),
    "rows": (lambda tf, x: tf.reshape(x, [-1, 3]), ["reshape"]),
    "rows of each": (lambda tf, x: tf.reshape(x, [tf.shape(x)[0], -1, 3]), ["reshape"]),
    "nothing": (lambda tf, x: tf.reshape(x, tf.shape(x)), []),
    "groups": (lambda tf, x: tf.reshape(x, [-1, 9, 11, 3, 1]), ["reshape"]),
}


@pytest.mark.parametrize("form", RESHAPES)
def test_reshapes_leave_the_batch_open(build, form):
    reshape, expected = RESHAPES[form]
    built = build(lambda tf: tf.nn.relu(reshape(tf, image(tf, 3, 9, 11)), "out"), "out")
    network = built.read()
    assert kinds(network) == [*expected, "relu"]
    assert built.error(network) < 1e-6


def test_a_batch_that_the_graph_fixed_is_open(build):
    def make(tf):
        x = tf.placeholder(tf.float32, [4, 9, 11, 3], "image")
        tf.matmul(tf.reshape(x, [4, -1]), kernel(tf, 297, 5), name="out")

    built = build(make, "out")
    network = built.read()
    assert kinds(network) == ["flatten", "dense"]
    assert network.inputs[0].shape == (None, 9, 11, 3)
    built.fed["image"], expected = built.fed["image"][:3], built.computed["out"][:3]
    assert built.error(network, {"out": expected}) < 1e-5


def test_nchw_needs_no_transposes(build):
    """CPU kernels of TensorFlow are NHWC: the graph transposes before and after them."""

    def make(tf):
        x = tf.transpose(image(tf), [0, 3, 1, 2])
        x = tf.nn.relu(x * tf.reshape(kernel(tf, 3, name="scale"), [3, 1, 1]))
        x = tf.concat([x, tf.reduce_max(x, 1, keepdims=True) + 0 * x], 1)
        x = tf.pad(x, [[0, 0], [0, 0], [1, 0], [0, 2]])
        pooled = tf.reduce_mean(x, [2, 3])
        sizes = tf.shape(x)
        tf.multiply(pooled, tf.cast(sizes[1], tf.float32), name="vector")
        tf.transpose(x, [0, 2, 3, 1], name="map")

    built = build(make, "vector", "map")
    network = built.read()
    assert "transpose" not in kinds(network)
    assert {layer.layout for layer in network.layers if len(layer.shape) == 4} == {"NHWC", "NCHW"}
    assert built.error(network) < 1e-5


SLICES = {
    "crop": lambda tf, x: x[:, 1:-1, 2:9, :],
    "steps": lambda tf, x: x[:, ::2, 1::3],
    "backwards": lambda tf, x: x[:, ::-1],
    "new axes": lambda tf, x: x[:, tf.newaxis, :, 0, ..., tf.newaxis],
    "single": lambda tf, x: x[..., -1],
    "computed": lambda tf, x: x[:, : tf.shape(x)[1] // 2, 1 : tf.shape(x)[2] - 1],
    "slice": lambda tf, x: tf.slice(x, [0, 1, 1, 0], [-1, 4, -1, 2]),
    "gather": lambda tf, x: tf.gather(x, [2, 0, 1], axis=3),
    "tile": lambda tf, x: tf.tile(x, [1, 2, 1, 2]),
    "unstack": lambda tf, x: tf.stack(tf.unstack(x, axis=3)[::-1], axis=1),
    "top": lambda tf, x: tf.nn.top_k(tf.reduce_mean(x, [1, 2]), 2)[0],
    "split": lambda tf, x: tf.concat(tf.split(x, [1, -1], 3)[::-1], 3),
}


@pytest.mark.parametrize("form", SLICES)
def test_arrays(build, form):
    size = () if form == "computed" else (9, 11)
    built = build(lambda tf: tf.multiply(SLICES[form](tf, image(tf, 3, *size)), 2, "out"), "out")
    assert built.error(built.read()) < 1e-6


def test_preprocessing_of_bytes_is_part_of_it(build):
    def make(tf):
        x = tf.placeholder(tf.uint8, [None, None, None, 3], "image")
        tf.divide(tf.cast(x, tf.float32) - [120.0, 115.0, 100.0], 127.5, name="out")

    pixels = np.random.default_rng(2).integers(0, 256, (2, 5, 6, 3)).astype(np.uint8)
    built = build(make, "out", image=pixels)
    network = built.read()
    assert network.inputs[0].dtype == "uint8"
    assert built.error(network) < 1e-6


def test_half_precision_is_read_as_float(build):
    def make(tf):
        x = tf.cast(image(tf), tf.float16)
        w = tf.cast(kernel(tf, 3, 3, 3, 4), tf.float16)
        tf.cast(tf.nn.conv2d(x, w, strides=[1, 1, 1, 1], padding="SAME"), tf.float32, name="out")

    built = build(make, "out")
    network = built.read()
    assert kinds(network) == ["conv", "identity"]
    assert built.error(network) < 5e-3
