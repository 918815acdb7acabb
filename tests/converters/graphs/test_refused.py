"""What no layer does is an error that names the operation and what to do."""

from __future__ import annotations

import pytest

from converters.files import CheckpointError

pytest.importorskip("tensorflow")


def image(tf):
    return tf.placeholder(tf.float32, [None, 9, 11, 3], "image")


def trunk(tf):
    weights = tf.get_variable("weights", [3, 3, 3, 3])
    x = tf.nn.conv2d(image(tf), weights, strides=[1, 1, 1, 1], padding="SAME", name="conv")
    return tf.nn.relu(x, name="features")


def loop(tf, x):
    return tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2), [0, x])[1]


def suppression(tf, x):
    boxes = tf.reshape(x, [-1, 4])
    return tf.gather(boxes, tf.image.non_max_suppression(boxes, boxes[:, 0], 5))


def data_dependent(tf, x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: x + 1, lambda: x - 1)


def dynamic_kernel(tf, x):
    return tf.nn.conv2d(x, tf.reshape(x[:1, :3, :3], [3, 3, 3, 1]), [1, 1, 1, 1], "SAME")


def volume(tf, x):
    return tf.nn.conv3d(x[:, None], tf.get_variable("w", [1, 3, 3, 3, 3]), [1] * 5, "SAME")


def unique(tf, x):
    return tf.unique(tf.reshape(x, [-1]))[0]


def pool_of_channels(tf, x):
    return tf.raw_ops.MaxPoolV2(input=x, ksize=[1, 1, 1, 3], strides=[1, 1, 1, 3], padding="VALID")


def negative_radius(tf, x):
    return tf.raw_ops.LRN(input=x, depth_radius=-5)


REFUSED = {
    loop: "belongs to a loop",
    suppression: "NonMaxSuppressionV3, which no layer here does",
    data_dependent: "depends on what is computed",
    dynamic_kernel: "kernel of its operation .* is computed from the image",
    volume: "Conv3D, which no layer here does",
    unique: "Unique, which no layer here does",
    pool_of_channels: "pools over channels",
    negative_radius: "absurd depth_radius -5",
}


@pytest.mark.parametrize("form", REFUSED, ids=lambda form: form.__name__)
def test_what_is_not_known_is_named(build, form):
    import tensorflow

    tensorflow.compat.v1.disable_control_flow_v2()

    def make(tf):
        tf.identity(form(tf, trunk(tf)), "out")

    built = build(make)
    with pytest.raises(CheckpointError, match=REFUSED[form]) as error:
        built.read("out")
    assert "choose outputs" in str(error.value)
    assert "features" in str(error.value)  # the nearest good output before it
    assert built.read("features").outputs == ("features",)


def test_a_loop_over_images_recommends_an_input_after_it(build):
    def make(tf):
        x = tf.map_fn(tf.image.per_image_standardization, image(tf))
        weights = tf.get_variable("weights", [3, 3, 3, 3])
        tf.nn.conv2d(x, weights, strides=[1, 1, 1, 1], padding="SAME", name="out")

    built = build(make)
    with pytest.raises(CheckpointError, match="inputs after it, such as map/TensorArray") as error:
        built.read("out")
    name = str(error.value).rstrip(".").rpartition(" ")[2]
    assert built.read("out", inputs=(name,)).inputs[0].shape == (None, 9, 11, 3)


def test_strings_are_no_images(build):
    def make(tf):
        files = tf.placeholder(tf.string, [None], "files")
        x = tf.string_to_hash_bucket_fast(files, 9)
        tf.nn.relu(tf.cast(x, tf.float32), name="out")

    with pytest.raises(CheckpointError, match="choose inputs after it"):
        build(make).read("out", inputs=("files",))


ABSURD = {
    "fill": lambda tf: tf.fill([2**14, 2**14], 1.0),
    "tile": lambda tf: tf.tile(tf.constant([[1.0, 2.0]]), [2**13, 2**13]),
    "range": lambda tf: tf.cast(tf.range(2**29), tf.float32),
}


@pytest.mark.parametrize("form", ABSURD)
def test_constants_that_grow_beyond_measure_are_not_made(build, form):
    """A few bytes of a graph are not to take gigabytes."""

    def make(tf):
        tf.add(tf.reduce_sum(ABSURD[form](tf)), image(tf), name="out")

    with pytest.raises(CheckpointError, match="absurd"):
        build(make).read("out")
