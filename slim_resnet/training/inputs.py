"""Batches of a dataset, as `tf.data` pipelines.

What a training step sees is a function of the seed and the number of the step: the order of the
images is a permutation drawn for each epoch, their augmentation comes from stateless random ops. So
a training that goes on from a checkpoint sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from slim_resnet.compat import tf
from slim_resnet.datasets import Dataset, DatasetError, Stream
from slim_resnet.training import ordering
from slim_resnet.training.placement import ALONE, Placement
from slim_resnet.training.recipe import Recipe

_EXAMPLE = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64),
}
_AREA, _ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)  # of a training crop, as Inception and ResNet have it
_ENDLESS = 2**62  # steps
_TEST_CROP = 224 / 256  # of the shorter side


def training_batches(
    dataset: Dataset | Stream, recipe: Recipe, first_step, placement: Placement = ALONE
):
    """The batches of every step from `first_step` on, augmented.

    Args:
        dataset: the training split.
        recipe: its batch size, seed and dtype.
        first_step: an int64 scalar, e.g. the global step; read when the iterator is initialised.
        placement: which share of each global batch is this worker's.

    Returns:
        A `tf.data` dataset of (images [batch, height, width, 3], labels [batch]), one element for
        each step up to `recipe.steps`; without end for an asynchronous worker.
    """
    first, last, stride = first_step, recipe.steps, 1
    if not placement.synchronous:  # workers take steps in turn; a quick one makes more than a share
        first, last, stride = first_step + placement.worker, _ENDLESS, placement.num_workers
    steps = tf.data.Dataset.range(first, last, stride)
    made = (_memory if isinstance(dataset, Dataset) else _disk)(dataset, recipe, steps, placement)
    return made.prefetch(tf.data.AUTOTUNE)


def iterate(make: Callable) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The elements of the `tf.data` dataset that `make()` builds, in a graph of its own."""
    with tf.Graph().as_default() as graph:
        iterator = tf.data.make_initializable_iterator(make())
        batch = iterator.get_next()
    session = tf.Session(graph=graph)  # not entered: the caller's stays the default one meanwhile
    try:
        session.run(iterator.initializer)
        while True:
            try:
                values = session.run(batch)
            except tf.errors.OutOfRangeError:
                return
            yield values
    finally:
        session.close()


def training_batch(dataset: Dataset | Stream, recipe: Recipe, step: int, placement=ALONE):
    """The batch of one step, as arrays."""
    batches = iterate(
        lambda: training_batches(dataset, recipe, tf.constant(step, tf.int64), placement).take(1)
    )
    return next(batches)


def test_batches(stream: Stream, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every image of a stream once, in order: shorter side scaled, centre cropped, normalized."""

    def make():
        images = tf.data.Dataset.range(len(stream)).map(
            lambda index: _test_image(stream, index), num_parallel_calls=tf.data.AUTOTUNE
        )
        return images.batch(batch_size).prefetch(tf.data.AUTOTUNE)

    done = 0
    try:
        for batch in iterate(make):
            yield batch
            done += len(batch[1])
    except tf.errors.OpError as error:
        check_decodable(stream, range(done, min(done + batch_size, len(stream))))
        raise error


def check_decodable(stream: Stream, indices: Iterable[int]) -> None:
    """Raises DatasetError that names the first of these images that cannot be decoded."""
    with tf.Graph().as_default(), tf.Session() as session:
        index = tf.placeholder(tf.int64, [])
        image = _test_image(stream, index)
        for number in indices:
            try:
                session.run(image, {index: number})
            except tf.errors.OpError as error:
                reason = (error.message or type(error).__name__).splitlines()[0]
                raise DatasetError(
                    f"{stream.where(number)}: the image cannot be decoded: {reason}"
                ) from None


def _memory(dataset: Dataset, recipe: Recipe, steps, placement: Placement):
    """Whole batches at once: for small images the ops cost more than the pixels."""

    def gather(step):
        index = ordering.images_of_step(dataset, recipe, step, placement)
        return dataset.images[index], dataset.labels[index]

    def batch(step):
        kinds = [tf.as_dtype(dataset.images.dtype), tf.int64]
        images, labels = tf.numpy_function(gather, [step], kinds)
        images.set_shape([recipe.batch_size, *dataset.image_shape])
        labels.set_shape([recipe.batch_size])
        images = _normalized(dataset, tf.cast(images, tf.float32))
        if recipe.augment:
            images = _crop_and_flip(images, dataset, *_draws(dataset, recipe, step, placement))
        return tf.cast(images, recipe.dtype), labels

    return steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE)


def _draws(dataset: Dataset, recipe: Recipe, step, placement: Placement):
    """Offsets [batch, 2] of the crops and whether to mirror [batch], for this worker's images.

    They are drawn for the whole step, so that they do not depend on the number of workers.
    """
    mine, whole = ordering.share(recipe, placement)
    offsets = tf.random.stateless_uniform(
        [whole, 2], tf.stack([recipe.seed, 2 * step]), 0, 2 * dataset.padding + 1, tf.int32
    )
    flips = tf.random.stateless_uniform([whole], tf.stack([recipe.seed, 2 * step + 1])) < 0.5
    return offsets[mine], flips[mine] if dataset.flip else None


def _crop_and_flip(images, dataset: Dataset, offsets, flips):
    """Pads with zeros (the mean), takes a crop of the old size from each image, mirrors some."""
    height, width, _ = dataset.image_shape
    pad = [dataset.padding] * 2
    images = tf.pad(images, [[0, 0], pad, pad, [0, 0]])
    rows = tf.range(height)[None] + offsets[:, :1]
    columns = tf.range(width)[None]
    if flips is not None:
        columns = tf.where_v2(flips[:, None], width - 1 - columns, columns)
    images = tf.gather(images, rows, batch_dims=1, axis=1)
    return tf.gather(images, columns + offsets[:, 1:], batch_dims=1, axis=2)


def _disk(stream: Stream, recipe: Recipe, steps, placement: Placement):
    """Image by image: reading and decoding cost more than the ops."""

    def images_of(step):
        positions = tf.numpy_function(
            lambda step: ordering.positions(step, recipe, placement), [step], tf.int64
        )
        return tf.data.Dataset.from_tensor_slices(tf.ensure_shape(positions, [recipe.batch_size]))

    def image(position):
        index = tf.numpy_function(
            lambda p: ordering.order(len(stream), recipe.seed, np.array([p]))[0],
            [position],
            tf.int64,
        )
        if not recipe.augment:
            pixels, label = _test_image(stream, index)
        else:
            encoded, label = _read(stream, index)
            seed = tf.stack([tf.cast(recipe.seed, tf.int64), position])
            pixels = _distorted(stream, encoded, seed)
        return tf.cast(pixels, recipe.dtype), label

    images = steps.flat_map(images_of).map(image, num_parallel_calls=tf.data.AUTOTUNE)
    return images.batch(recipe.batch_size, drop_remainder=True)


def _read(stream: Stream, index):
    """An image's encoded bytes and its label."""
    encoded, label = tf.numpy_function(stream.read, [index], [tf.string, tf.int64])
    encoded, label = tf.ensure_shape(encoded, []), tf.ensure_shape(label, [])
    if not stream.is_example:
        return encoded, label
    parsed = tf.io.parse_single_example(encoded, _EXAMPLE)
    return parsed["image/encoded"], parsed["image/class/label"]


def _decoded(encoded):
    return tf.cast(tf.io.decode_image(encoded, channels=3, expand_animations=False), tf.float32)


def _distorted(stream: Stream, encoded, seed):
    """A random crop of 8 to 100 % of the area, scaled to the image size, half of them mirrored."""
    image = _decoded(encoded)
    begin, size, _ = tf.compat.v2.image.stateless_sample_distorted_bounding_box(
        tf.shape(image),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed,
        area_range=_AREA,
        aspect_ratio_range=_ASPECT,
    )
    image = _resized(tf.slice(image, begin, size), *stream.image_shape[:2])
    if stream.flip:
        mirrored = tf.random.stateless_uniform([], seed + [1, 0]) < 0.5
        image = tf.where_v2(mirrored, image[:, ::-1], image)
    return _normalized(stream, tf.ensure_shape(image, stream.image_shape))


def _test_image(stream: Stream, index):
    encoded, label = _read(stream, index)
    image = _decoded(encoded)
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    side = round(stream.image_size / _TEST_CROP)
    scaled = tf.cast(tf.round(shape * side / tf.reduce_min(shape)), tf.int32)
    image = _resized(image, scaled[0], scaled[1])
    top, left = (scaled[0] - stream.image_size) // 2, (scaled[1] - stream.image_size) // 2
    image = tf.slice(image, [top, left, 0], stream.image_shape)
    return _normalized(stream, image), label


def _resized(image, height, width):
    return tf.image.resize_images(image, [height, width], align_corners=False)


def _normalized(dataset: Dataset | Stream, images):
    return (images - dataset.mean) / dataset.std
