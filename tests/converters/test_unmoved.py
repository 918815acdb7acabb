"""Trainings that never ran the updates of their moving averages (pix2pix is one)."""

from __future__ import annotations

import numpy as np
import pytest

import converters
from converters.files.checkpoint.writer import write_bundle
from converters.models.targets import to_torch
from slim_resnet.compat import slim, tf


def train(folder, *, updates: bool, steps: int, fused: bool = True):
    """A training of one batch norm; its checkpoint's prefix, images, and what its graph makes."""
    images = np.random.default_rng(0).uniform(1, 3, (4, 6, 5, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        fed = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        norm = slim.batch_norm(slim.conv2d(fed, 4, 3, activation_fn=None), fused=fused, scale=True)
        out = tf.nn.relu(norm, "out")
        needed = tf.get_collection(tf.GraphKeys.UPDATE_OPS) if updates else []
        with tf.control_dependencies(needed):
            step = tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_mean(out))
        session.run(tf.global_variables_initializer())
        for _ in range(steps):
            session.run(step, {fed: images})
        prefix = tf.train.Saver().save(session, str(folder / "model.ckpt"))
        return prefix, images, session.run(out, {fed: images})


def converted(ckpt, images):
    import torch

    with torch.no_grad():
        found = to_torch(ckpt)(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    return found.numpy().transpose(0, 2, 3, 1)


@pytest.mark.parametrize("fused", [True, False])
def test_updates_that_nobody_ran_leave_the_batch_s_statistics(tmp_path, fused):
    prefix, images, expected = train(tmp_path, updates=False, steps=2, fused=fused)
    ckpt = converters.load_checkpoint(prefix, outputs=["out"])
    np.testing.assert_allclose(converted(ckpt, images), expected, atol=1e-5)
    if fused:
        assert any("they never moved" in note for note in ckpt.notes)


def test_the_proof_takes_the_same(tmp_path):
    prefix, _, _ = train(tmp_path, updates=False, steps=1)
    outcome = converters.convert(prefix, tmp_path / "net.safetensors", "torch", outputs=["out"])
    assert not outcome.error
    assert outcome.difference < 1e-12


@pytest.mark.parametrize("steps", [0, 2])
def test_updates_of_the_training_are_followed(tmp_path, steps):
    """Before its first step, too: averages as they begin are what inference takes there."""
    prefix, images, batch = train(tmp_path, updates=True, steps=steps)
    ckpt = converters.load_checkpoint(prefix, outputs=["out"])
    (norm,) = [layer for layer in ckpt.network.layers if layer.kind == "batch_norm"]
    assert norm.options["decay"] == 0.999
    assert np.abs(converted(ckpt, images) - batch).max() > 0.1


def test_averages_that_moved_are_taken(tmp_path):
    """Whoever ran the updates beside the step has moved them."""
    prefix, images, batch = train(tmp_path, updates=False, steps=1)
    arrays = {name: np.array(array) for name, array in converters.load_checkpoint(prefix).items()}
    mean = next(name for name in arrays if name.endswith("moving_mean"))
    write_bundle(prefix, arrays | {mean: np.full(4, 0.5, np.float32)})
    ckpt = converters.load_checkpoint(prefix, outputs=["out"])
    assert np.abs(converted(ckpt, images) - batch).max() > 0.1
