"""What training scripts of 2017 have in common, with a ResNeXt narrow enough to train in a test.

A run is a graph of its own, as a process had it; which batch it sees depends on the global step
alone, so a run that was stopped and resumed must end in the same bits as one that was not.
"""

from __future__ import annotations

import numpy as np

from slim_resnet import graph
from slim_resnet.arch.parts import Stage
from slim_resnet.compat import slim, tf

SIZE, CLASSES, BATCH = 16, 5, 4
# One thread an op: sums in one order. Optimizing these graphs takes longer than running them.
CONFIG = tf.ConfigProto(intra_op_parallelism_threads=1)
CONFIG.graph_options.rewrite_options.disable_meta_optimizer = True
# For `slim.learning.train`. A Supervisor's threads save at any time, and their summaries take
# batches out of the queues: in TensorFlow 1.15 too, what they happen to do decides short runs.
WITHOUT_THREADS = {
    "save_interval_secs": 0,
    "save_summaries_secs": 0,
    "log_every_n_steps": 0,
    "session_config": CONFIG,
}


def tiny_resnext(narrow):
    """A ResNeXt with two blocks of one unit each, 4 groups."""
    stages = (Stage(1, 16, 8, 2), Stage(1, 16, 8, 1))
    return narrow("resnext_v1_50", num_classes=CLASSES, stages=stages)


def batches(count: int):
    """Images [count, BATCH, SIZE, SIZE, 3] and their labels [count, BATCH]."""
    rng = np.random.RandomState(0)
    labels = rng.randint(CLASSES, size=(count, BATCH))
    images = rng.standard_normal((count, BATCH, SIZE, SIZE, 3)) + labels[..., None, None, None]
    return images.astype(np.float32), labels


def batch_of_step(count: int = 8):
    """The batch of the global step, as tensors."""
    images, labels = batches(count)
    step = tf.train.get_or_create_global_step()
    return tf.constant(images)[step % count], tf.constant(labels)[step % count]


def train_op(arch, images, labels):
    """Forward, loss, Momentum with decaying learning rate, moving statistics, summaries."""
    tf.set_random_seed(1)
    net, _ = graph.build(arch, images, is_training=True, batch_norm_decay=0.9)
    logits = tf.squeeze(net, [1, 2])
    tf.losses.sparse_softmax_cross_entropy(labels, logits)
    loss = tf.losses.get_total_loss()
    step = tf.train.get_or_create_global_step()
    rate = tf.train.exponential_decay(0.05, step, decay_steps=2, decay_rate=0.9)
    tf.summary.scalar("loss", loss)
    tf.summary.scalar("learning_rate", rate)
    tf.summary.histogram("logits", logits)
    return slim.learning.create_train_op(
        loss, tf.train.MomentumOptimizer(rate, 0.9), clip_gradient_norm=10.0
    )


def saved(folder) -> dict[str, np.ndarray]:
    """Every variable of the folder's latest checkpoint: weights, statistics, slots, the step."""
    reader = tf.train.NewCheckpointReader(tf.train.latest_checkpoint(str(folder)))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_same_bits(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def summaries(folder) -> dict[str, dict[int, object]]:
    """Tag -> step -> value, from all event files of `folder`."""
    found: dict[str, dict[int, object]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in tf.train.summary_iterator(str(path)):
            for value in event.summary.value:
                content = getattr(value, value.WhichOneof("value"))
                found.setdefault(value.tag, {})[event.step] = content
    return found
