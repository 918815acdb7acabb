"""Training batches: a function of seed and step, augmented as the papers do, shared by workers."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from PIL import Image

from slim_resnet import datasets
from slim_resnet.compat import tf
from slim_resnet.datasets import DatasetError
from slim_resnet.training import evaluation, inputs, ordering
from slim_resnet.training.placement import Placement
from slim_resnet.training.recipe import Recipe

RECIPE = Recipe(steps=9, batch_size=24, dtype="float64", seed=5)


@pytest.fixture(scope="module")
def dataset(digits):
    """With an orientation to see: mirrored images differ from theirs."""
    return dataclasses.replace(digits[0], flip=True, padding=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty 16x16 images of noise in four classes: they need no scaling for a 14 pixel centre."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.RandomState(0)
    for split, count in (("train", 8), ("test", 2)):
        for label in range(4):
            place = root / split / f"class{label}"
            place.mkdir(parents=True)
            for i in range(count):
                pixels = rng.randint(256, size=(16, 16, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def stream(folder):
    return datasets.load("image-folder", folder, image_size=14)


def batches(dataset, recipe=RECIPE, first=0, placement=Placement(), most=-1):  # noqa: B008
    return list(
        inputs.iterate(
            lambda: inputs.training_batches(
                dataset, recipe, tf.constant(first, tf.int64), placement
            ).take(most)
        )
    )


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("kind", ["dataset", "stream"])
def test_a_step_sees_the_same_whenever_training_began(kind, request):
    data = request.getfixturevalue(kind)
    whole = batches(data)
    assert len(whole) == RECIPE.steps
    assert_same(batches(data, first=4), whole[4:])
    assert_same([inputs.training_batch(data, RECIPE, 6)], whole[6:7])
    other = batches(data, dataclasses.replace(RECIPE, seed=6))
    assert not np.array_equal(other[0][0], whole[0][0])


@pytest.mark.parametrize("kind", ["dataset", "stream"])
def test_workers_share_one_batch(kind, request):
    data = request.getfixturevalue(kind)
    whole = batches(data, dataclasses.replace(RECIPE, batch_size=48))
    shares = [batches(data, placement=Placement(worker=w, num_workers=2)) for w in range(2)]
    together = [
        tuple(np.concatenate(pair) for pair in zip(*step, strict=True))
        for step in zip(*shares, strict=True)
    ]
    assert_same(together, whole)


def test_asynchronous_workers_take_steps_in_turn(dataset):
    whole = batches(dataset)
    for worker in range(2):
        placement = Placement(worker=worker, num_workers=2, synchronous=False)
        expected = whole[3 + worker :: 2]
        found = batches(dataset, first=3, placement=placement, most=len(expected) + 9)
        # A worker that is quicker than the others makes more than its share.
        assert len(found) == len(expected) + 9
        assert_same(found[: len(expected)], expected)


def test_an_epoch_sees_every_image_once():
    size, epochs = 128, 3
    found = ordering.order(size, seed=1, positions=np.arange(epochs * size)).reshape(epochs, size)
    for epoch in found:
        assert sorted(epoch) == list(range(size))
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], ordering.order(size, 2, np.arange(size)))


def test_training_images_are_crops_of_the_padded_and_mirrored(dataset):
    """Against every crop there is, made with NumPy."""
    size, pad = 16, dataset.padding
    drawn = []
    for step, (images, labels) in enumerate(batches(dataset)[:4]):
        numbers = ordering.images_of_step(dataset, RECIPE, step)
        np.testing.assert_array_equal(labels, dataset.labels[numbers])
        for image, number in zip(images, numbers, strict=True):
            original = (dataset.images[number] - dataset.mean) / dataset.std
            padded = np.pad(original, ((pad, pad), (pad, pad), (0, 0)))
            found = [
                (top, left, flip)
                for top, left in itertools.product(range(2 * pad + 1), repeat=2)
                for flip in (False, True)
                if np.allclose(
                    crop(padded, top, left, size)[:, :: -1 if flip else 1], image, atol=1e-5
                )
            ]
            assert found, f"image {number} of step {step} is no crop"
            drawn += found[:1]
    tops, lefts, flips = map(set, zip(*drawn, strict=True))
    assert tops == lefts == set(range(2 * pad + 1))
    assert flips == {False, True}


def crop(padded, top, left, size):
    return padded[top : top + size, left : left + size]


def test_without_augmentation_images_are_as_they_are(dataset):
    plain = dataclasses.replace(RECIPE, augment=False)
    images, _ = batches(dataset, plain)[0]
    numbers = ordering.images_of_step(dataset, plain, 0)
    expected = (dataset.images[numbers] - dataset.mean) / dataset.std
    np.testing.assert_allclose(images, expected, atol=1e-6)


def test_digits_are_never_mirrored(digits):
    dataset = dataclasses.replace(digits[0], padding=0)
    assert not dataset.flip
    images, _ = batches(dataset)[0]
    numbers = ordering.images_of_step(dataset, RECIPE, 0)
    expected = (dataset.images[numbers] - dataset.mean) / dataset.std
    np.testing.assert_allclose(images, expected, atol=1e-6)


def test_test_images_of_a_folder_are_what_pillow_decodes(folder, stream):
    test = datasets.load("image-folder", folder, "test", image_size=14)
    parts = list(evaluation.batches(test, batch_size=3))
    assert [len(labels) for _, labels in parts] == [3, 3, 2]
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    paths = sorted((folder / "test").rglob("*.png"))
    for path, image, label in zip(paths, images, labels, strict=True):
        pixels = np.asarray(Image.open(path))[1:15, 1:15]
        np.testing.assert_allclose(image, (pixels - test.mean) / test.std, atol=1e-5)
        assert path.parent.name == f"class{label}"


def test_training_images_of_a_folder_have_the_labels_of_their_files(stream):
    seen = []
    for step, (images, labels) in enumerate(batches(stream)):
        assert images.shape == (24, 14, 14, 3)
        numbers = ordering.images_of_step(stream, RECIPE, step)
        np.testing.assert_array_equal(labels, [stream.read(n)[1] for n in numbers])
        seen += list(numbers)
    assert sorted(seen[:32]) == list(range(32))


def test_tfrecords_decode_to_the_images_of_their_folder(folder, tmp_path):
    test = datasets.load("image-folder", folder, "test", image_size=14)
    with tf.python_io.TFRecordWriter(str(tmp_path / "test-00000-of-00001")) as writer:
        for i in range(len(test)):
            encoded, label = test.read(i)
            writer.write(example(encoded, int(label)))
    (tmp_path / "labels.txt").write_text("".join(f"{i}:class{i}\n" for i in range(4)))
    records = datasets.load("tfrecord", tmp_path, "test", image_size=14)
    assert_same(list(evaluation.batches(records, 5)), list(evaluation.batches(test, 5)))


def example(encoded: bytes, label: int) -> bytes:
    feature = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        "image/format": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"png"])),
        "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def test_an_image_that_cannot_be_decoded_is_named(tmp_path):
    place = tmp_path / "test" / "class0"
    place.mkdir(parents=True)
    for i in range(5):
        Image.new("RGB", (16, 16)).save(place / f"{i}.png")
    content = (place / "3.png").read_bytes()
    (place / "3.png").write_bytes(content[:-20])
    test = datasets.load("image-folder", tmp_path, "test", image_size=14)
    with pytest.raises(DatasetError, match="3.png: the image cannot be decoded"):
        list(evaluation.batches(test, 2))
