"""Datasets: both distributions of CIFAR, digits, folders of images, TFRecords; what is broken."""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from slim_resnet import datasets
from slim_resnet.datasets import DatasetError

PER_FILE = 20
TRAIN = [f"data_batch_{i}" for i in range(1, 6)]


def records(seed, classes=10):
    """Images as the distributions have them, [n, 3072] uint8, and labels."""
    rng = np.random.RandomState(seed)
    labels = rng.randint(classes, size=PER_FILE)
    return rng.randint(256, size=(PER_FILE, 3072)).astype(np.uint8), labels


def write_binary(folder):
    folder.mkdir(parents=True)
    for seed, name in enumerate([*TRAIN, "test_batch"]):
        pixels, labels = records(seed)
        whole = np.concatenate([labels[:, None].astype(np.uint8), pixels], axis=1)
        (folder / f"{name}.bin").write_bytes(whole.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(f"class{i}" for i in range(10)) + "\n\n")


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as the one `str` of Python 2, as the distribution has them."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_str(self, value):
        content = value.encode() if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_str


def python_2(content) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(content)
    return file.getvalue()


def write_python(folder, dumps=python_2):
    folder.mkdir(parents=True)
    for seed, name in enumerate([*TRAIN, "test_batch"]):
        pixels, labels = records(seed)
        (folder / name).write_bytes(dumps({"data": pixels, "labels": labels.tolist()}))
    names = {"label_names": [f"class{i}" for i in range(10)]}
    (folder / "batches.meta").write_bytes(dumps(names))


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cifar")
    write_binary(folder / "bin" / "cifar-10-batches-bin")
    write_python(folder / "py" / "cifar-10-batches-py")
    return folder


def test_importing_brings_no_framework():
    code = (
        "import sys, slim_resnet.datasets, slim_resnet.training;"
        "print({'tensorflow', 'torch', 'keras', 'sklearn'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_both_distributions_are_what_keras_reads(cifar10):
    from keras.src.datasets.cifar import load_batch

    folder = cifar10 / "py" / "cifar-10-batches-py"
    peer = [load_batch(str(folder / name)) for name in TRAIN]
    for root in ("bin", "bin/cifar-10-batches-bin", "py", "py/cifar-10-batches-py"):
        found = datasets.load("cifar10", cifar10 / root)
        images = np.concatenate([images for images, _ in peer]).transpose(0, 2, 3, 1)
        np.testing.assert_array_equal(found.images, images)
        np.testing.assert_array_equal(found.labels, np.concatenate([labels for _, labels in peer]))
        assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int64)
        assert found.class_names == tuple(f"class{i}" for i in range(10))
        test = datasets.load("cifar10", cifar10 / root, "test")
        np.testing.assert_array_equal(test.labels, records(5)[1])


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_of_python_3(tmp_path, cifar10, protocol):
    write_python(tmp_path / "py3", dumps=lambda content: pickle.dumps(content, protocol))
    found = datasets.load("cifar10", tmp_path / "py3")
    np.testing.assert_array_equal(found.images, datasets.load("cifar10", cifar10 / "bin").images)


def test_cifar100_has_fine_labels(tmp_path):
    for seed, name in enumerate(("train", "test")):
        pixels, fine = records(seed, classes=100)
        coarse = fine // 5
        whole = np.concatenate([np.stack([coarse, fine], 1).astype(np.uint8), pixels], axis=1)
        (tmp_path / f"{name}.bin").write_bytes(whole.tobytes())
        content = {b"data": pixels, b"fine_labels": fine.tolist(), b"coarse_labels": [0] * PER_FILE}
        (tmp_path / "cifar-100-python").mkdir(exist_ok=True)
        (tmp_path / "cifar-100-python" / name).write_bytes(pickle.dumps(content, protocol=2))
    binary = datasets.load("cifar100", tmp_path)
    python = datasets.load("cifar100", tmp_path / "cifar-100-python")
    np.testing.assert_array_equal(binary.labels, records(0, classes=100)[1])
    np.testing.assert_array_equal(binary.labels, python.labels)
    np.testing.assert_array_equal(binary.images, python.images)
    assert binary.num_classes == 100


def test_fewer_images_than_the_distribution_are_noted(cifar10):
    found = datasets.load("cifar10", cifar10 / "bin")
    assert len(found) == 5 * PER_FILE
    assert len(found.notes) == 5
    assert "data_batch_1.bin: 20 images, the distribution's file has 10,000" in found.notes[0]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def relabel(path):
    content = bytearray(path.read_bytes())
    content[3073 * 7] = 73
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (truncate, r"data_batch_3.bin: 61,360 bytes, expected 30,730,000 \(10,000 records of 3,07"),
        (empty, "data_batch_3.bin: 0 bytes, expected 30,730,000"),
        (relabel, "data_batch_3.bin: record 7 has the label 73"),
        (lambda path: path.unlink(), "data_batch_3.bin missing, of cifar-10-binary.tar.gz from"),
    ],
)
def test_damaged_binary(tmp_path, damage, says):
    write_binary(tmp_path / "bin")
    damage(tmp_path / "bin" / "data_batch_3.bin")
    with pytest.raises(DatasetError, match=says):
        datasets.load("cifar10", tmp_path / "bin")
    assert len(datasets.load("cifar10", tmp_path / "bin", "test")) == PER_FILE


def test_a_truncated_pickle(tmp_path):
    write_python(tmp_path / "py")
    truncate(tmp_path / "py" / "data_batch_2")
    with pytest.raises(DatasetError, match=r"data_batch_2: .* bytes that cannot be unpickled"):
        datasets.load("cifar10", tmp_path / "py")


def test_a_pickle_runs_no_code(tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    write_python(tmp_path / "py")
    (tmp_path / "py" / "data_batch_2").write_bytes(pickle.dumps({"data": Harm()}))
    with pytest.raises(DatasetError, match="data_batch_2: .*asks for .*open"):
        datasets.load("cifar10", tmp_path / "py")
    assert not (tmp_path / "harm").exists()


def test_missing_files_are_named_with_their_source(tmp_path):
    with pytest.raises(DatasetError, match=r"cifar-10-binary.tar.gz .*www.cs.toronto.edu/~kriz"):
        datasets.load("cifar10", tmp_path)
    with pytest.raises(DatasetError, match="no such folder"):
        datasets.load("cifar100", tmp_path / "nowhere")
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"")
    with pytest.raises(DatasetError, match="cifar-10-python.tar.gz is not unpacked"):
        datasets.load("cifar10", tmp_path)


def test_wrong_arguments():
    for args, says in (
        (("cifar",), "did you mean cifar10"),
        (("cifar10",), "--data-dir"),
        (("digits", None, "validation"), "train or test"),
    ):
        with pytest.raises(DatasetError, match=says):
            datasets.load(*args)
    with pytest.raises(DatasetError, match="8x8"):
        datasets.load("digits", image_size=20)


def test_digits_are_sklearns_with_a_held_out_split():
    from sklearn.datasets import load_digits

    train, test = (datasets.load("digits", split=split) for split in datasets.SPLITS)
    assert (len(train), len(test)) == (1437, 360)
    whole = np.concatenate([train.images, test.images])[:, ::2, ::2, 0]
    expected = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    assert sorted(map(bytes, whole)) == sorted(map(bytes, expected))  # each one once
    pixels = train.normalized().astype(np.float64)
    assert abs(pixels.mean()) < 1e-4
    assert abs(pixels.std() - 1) < 1e-4
    again = datasets.load("digits", split="test", image_size=32)
    np.testing.assert_array_equal(again.images[:, ::2, ::2], test.images)
    np.testing.assert_array_equal(again.labels, test.labels)


def test_synthetic_is_always_the_same_and_its_splits_differ():
    train, test = (datasets.load("synthetic", split=split) for split in datasets.SPLITS)
    np.testing.assert_array_equal(train.images, datasets.load("synthetic").images)
    assert not np.array_equal(train.images[:512], test.images)
    assert train.image_shape == (32, 32, 3)


def test_batches_cover_the_split_in_order():
    test = datasets.load("digits", split="test")
    images, labels = zip(*test.batches(100), strict=True)
    assert [len(each) for each in labels] == [100, 100, 100, 60]
    expected = (test.images.astype(np.float64) - 77.93738) / 95.91448
    np.testing.assert_allclose(np.concatenate(images), expected, atol=1e-5)
    np.testing.assert_array_equal(np.concatenate(labels), test.labels)


def test_image_folder(tmp_path):
    for name in ("cat", "dog"):
        for split, count in (("train", 3), ("val", 1)):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (40, 30), (i, i, i)).save(folder / f"{i}.png")
    (tmp_path / "train" / "dog" / "notes.txt").write_text("no image")
    (tmp_path / "train" / "emu").mkdir()
    found = datasets.load("image-folder", tmp_path, image_size=32)
    assert (len(found), found.num_classes, found.class_names) == (6, 3, ("cat", "dog", "emu"))
    encoded, label = found.read(4)
    assert encoded == (tmp_path / "train" / "dog" / "1.png").read_bytes()
    assert (label, found.where(4)) == (1, str(tmp_path / "train" / "dog" / "1.png"))
    test = datasets.load("image-folder", tmp_path, "test")
    assert (len(test), test.num_classes) == (2, 3), "the classes are those of the training split"
    with pytest.raises(DatasetError, match="no folder train"):
        datasets.load("image-folder", tmp_path / "train")


def test_tfrecords_are_what_tensorflow_wrote(tmp_path):
    from slim_resnet.compat import tf

    contents = [bytes([i]) * (i + 1) for i in range(7)]
    for shard, part in enumerate((contents[:4], contents[4:])):
        path = tmp_path / f"flowers_train_{shard:05d}-of-00002.tfrecord"
        with tf.python_io.TFRecordWriter(str(path)) as writer:
            for content in part:
                writer.write(content)
    with pytest.raises(DatasetError, match="labels.txt is missing"):
        datasets.load("tfrecord", tmp_path)
    (tmp_path / "labels.txt").write_text("0:daisy\n1:rose\n3:tulip\n")
    found = datasets.load("tfrecord", tmp_path)
    assert [found.read(i)[0] for i in range(len(found))] == contents
    assert (found.num_classes, found.class_names) == (4, ("daisy", "rose", "", "tulip"))
    assert found.where(5).endswith("flowers_train_00001-of-00002.tfrecord, record 1")
    truncate_to = path.read_bytes()[:-3]
    path.write_bytes(truncate_to)
    with pytest.raises(DatasetError, match=r"record 2 at byte \d+ ends at .* truncated"):
        datasets.load("tfrecord", tmp_path)
