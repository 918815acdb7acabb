"""Data, queues, summaries and evaluation as old scripts have them, around a narrow ResNeXt."""

from __future__ import annotations

import numpy as np
import pytest

from slim_resnet import graph
from slim_resnet.compat import slim, tf
from tests.slim_resnet.compat import old_scripts
from tests.slim_resnet.compat.old_scripts import (
    BATCH,
    CLASSES,
    CONFIG,
    SIZE,
    assert_same_bits,
    saved,
)

EXAMPLES = 2 * BATCH


@pytest.fixture(scope="module")
def arch(narrow):
    return old_scripts.tiny_resnext(narrow)


@pytest.fixture(scope="module")
def examples():
    """Images [EXAMPLES, SIZE, SIZE, 3], uint8, and their labels."""
    rng = np.random.RandomState(3)
    images = rng.randint(256, size=(EXAMPLES, SIZE, SIZE, 3)).astype(np.uint8)
    return images, rng.randint(CLASSES, size=EXAMPLES)


@pytest.fixture(scope="module")
def tfrecord(examples, tmp_path_factory):
    """`examples` as the conversion scripts of tf-slim's model library write them."""
    path = str(tmp_path_factory.mktemp("records") / "train-00000-of-00001.tfrecord")

    def bytes_feature(value: bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    with tf.Graph().as_default(), tf.Session() as session, tf.python_io.TFRecordWriter(path) as out:
        pixels = tf.placeholder(tf.uint8, [None, None, 3])
        png = tf.image.encode_png(pixels)
        for image, label in zip(*examples, strict=True):
            feature = {
                "image/encoded": bytes_feature(session.run(png, {pixels: image})),
                "image/format": bytes_feature(b"png"),
                "image/class/label": tf.train.Feature(
                    int64_list=tf.train.Int64List(value=[int(label)])
                ),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            out.write(example.SerializeToString())
    return path


def dataset(path: str):
    """The `get_split` of every dataset file in tf-slim's model library."""
    decoder = slim.tfexample_decoder.TFExampleDecoder(
        {
            "image/encoded": tf.FixedLenFeature((), tf.string, default_value=""),
            "image/format": tf.FixedLenFeature((), tf.string, default_value="png"),
            "image/class/label": tf.FixedLenFeature([], tf.int64, tf.zeros([], tf.int64)),
        },
        {
            "image": slim.tfexample_decoder.Image(shape=[SIZE, SIZE, 3], channels=3),
            "label": slim.tfexample_decoder.Tensor("image/class/label"),
        },
    )
    return slim.dataset.Dataset(
        data_sources=path,
        reader=tf.TFRecordReader,
        decoder=decoder,
        num_samples=EXAMPLES,
        items_to_descriptions={"image": "an image", "label": "its class"},
        num_classes=CLASSES,
    )


def queued_batch(path: str, num_epochs: int | None = None):
    """Images [BATCH, SIZE, SIZE, 3] and labels through three queues, in the order of the file."""
    provider = slim.dataset_data_provider.DatasetDataProvider(
        dataset(path), num_readers=1, shuffle=False, num_epochs=num_epochs
    )
    image, label = provider.get(["image", "label"])
    image = tf.to_float(image) / 256.0
    batch = tf.train.batch([image, label], BATCH, num_threads=1, capacity=5 * BATCH)
    return slim.prefetch_queue.prefetch_queue(batch, capacity=2).dequeue()


def test_queues_deliver_what_the_tfrecord_holds(examples, tfrecord):
    images, labels = examples
    with tf.Graph().as_default():
        batch = queued_batch(tfrecord, num_epochs=1)
        delivered = []
        with tf.train.MonitoredTrainingSession() as session:  # starts and joins the queue runners
            while not session.should_stop():
                delivered.append(session.run(batch))
    assert len(delivered) == EXAMPLES // BATCH
    np.testing.assert_array_equal(np.concatenate([x for x, _ in delivered]), images / 256.0)
    np.testing.assert_array_equal(np.concatenate([y for _, y in delivered]), labels)


def train_from_queues(arch, path: str, folder, steps: int | None, **kwargs) -> float:
    with tf.Graph().as_default():
        step = old_scripts.train_op(arch, *queued_batch(path, **kwargs))
        return slim.learning.train(
            step, str(folder), number_of_steps=steps, **old_scripts.WITHOUT_THREADS
        )


def test_training_from_queues_resumes(arch, tfrecord, tmp_path):
    # Queues start at the first record again, so the stop is at the end of an epoch of two steps.
    loss = train_from_queues(arch, tfrecord, tmp_path / "whole", 4)
    train_from_queues(arch, tfrecord, tmp_path / "stopped", 2)
    assert saved(tmp_path / "stopped")["global_step"] == 2
    assert train_from_queues(arch, tfrecord, tmp_path / "stopped", 4) == loss
    assert_same_bits(saved(tmp_path / "stopped"), saved(tmp_path / "whole"))


def test_training_ends_with_the_data(arch, tfrecord, tmp_path):
    train_from_queues(arch, tfrecord, tmp_path, None, num_epochs=1)
    assert saved(tmp_path)["global_step"] == EXAMPLES // BATCH


@pytest.fixture(scope="module")
def trained(arch, tfrecord, tmp_path_factory):
    """The checkpoints of steps 1 and 2."""
    folder = tmp_path_factory.mktemp("trained")
    for steps in (1, 2):
        train_from_queues(arch, tfrecord, folder, steps)
    return [str(folder / f"model.ckpt-{steps}") for steps in (1, 2)]


def accuracy(arch, checkpoint: str, examples) -> float:
    """Without queues and tf.metrics: the reference."""
    images, labels = examples
    with tf.Graph().as_default(), tf.Session(config=CONFIG) as session:
        net, _ = graph.build(arch, tf.constant(images / 256.0, tf.float32))
        tf.train.Saver().restore(session, checkpoint)
        logits = session.run(tf.squeeze(net, [1, 2]))
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def evaluation(arch, path: str) -> dict:
    """The evaluation graph, as keywords of `slim.evaluation`'s functions."""
    slim.get_or_create_global_step()
    images, labels = queued_batch(path)
    net, _ = graph.build(arch, images)
    predictions = tf.argmax(tf.squeeze(net, [1, 2]), axis=1)
    values, updates = slim.metrics.aggregate_metric_map(
        {
            "accuracy": slim.metrics.streaming_accuracy(predictions, labels),
            "recall_5": slim.metrics.streaming_sparse_recall_at_k(
                tf.squeeze(net, [1, 2]), labels, CLASSES
            ),
        }
    )
    for name, value in values.items():
        tf.summary.scalar(f"eval/{name}", value)
    return {
        "num_evals": EXAMPLES // BATCH,
        "eval_op": list(updates.values()),
        "final_op": values,
        "variables_to_restore": slim.get_variables_to_restore(),
        "session_config": CONFIG,
    }


def test_evaluate_once(arch, tfrecord, examples, trained, tmp_path):
    _, checkpoint = trained
    with tf.Graph().as_default():
        found = slim.evaluation.evaluate_once(
            "", checkpoint, str(tmp_path), **evaluation(arch, tfrecord)
        )
    assert found["accuracy"] == pytest.approx(accuracy(arch, checkpoint, examples), abs=1e-7)
    assert found["recall_5"] == 1.0  # all classes
    written = old_scripts.summaries(tmp_path)
    assert written["eval/accuracy"] == {2: found["accuracy"]}


class SaveNext(tf.train.SessionRunHook):
    """After an evaluation, announces the next checkpoint, as a trainer beside it would."""

    def __init__(self, folder, *checkpoints: str):
        self.folder, self.left = str(folder), list(checkpoints)
        self.seen = []

    def after_create_session(self, session, coord):
        self.seen.append(session.run(tf.train.get_global_step()))

    def end(self, session):
        if self.left:
            tf.train.update_checkpoint_state(self.folder, self.left.pop(0))


def test_evaluation_loop_follows_the_trainer(arch, tfrecord, examples, trained, tmp_path):
    first, second = trained
    tf.train.update_checkpoint_state(str(tmp_path), first)
    trainer = SaveNext(tmp_path, second)
    with tf.Graph().as_default():
        found = slim.evaluation.evaluation_loop(
            "",
            str(tmp_path),
            str(tmp_path / "eval"),
            eval_interval_secs=0,
            max_number_of_evaluations=2,
            timeout=60,
            hooks=[trainer],
            **evaluation(arch, tfrecord),
        )
    assert trainer.seen == [1, 2]
    written = old_scripts.summaries(tmp_path / "eval")["eval/accuracy"]
    assert written[2] == found["accuracy"]
    for step, checkpoint in ((1, first), (2, second)):
        assert written[step] == pytest.approx(accuracy(arch, checkpoint, examples), abs=1e-7)
