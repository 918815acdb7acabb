"""Training goes on after conversion with the momentum it had: five more steps, as slim's."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch

import converters
from converters import resume
from converters.naming import table
from converters.training import set_keras_weight_decay, sgd_param_groups
from slim_resnet import graph
from slim_resnet.compat import tf

# Few bits each: TensorFlow and Keras round them to float32 even where all else is float64.
RATE, MOMENTUM, DECAY = 2**-7, 0.875, 2**-13


@pytest.fixture(scope="module", params=["slim_v1", "slim_v2"])
def ckpt(request, data):
    return converters.load_checkpoint(data / request.param / "v2")


@pytest.fixture(scope="module")
def batches():
    rng = np.random.RandomState(1)
    images = rng.uniform(-1, 1, (5, 4, 64, 64, 3))
    return list(zip(images, rng.randint(10, size=(5, 4)), strict=True))


@pytest.fixture(scope="module")
def by_slim(ckpt, batches):
    """Losses and trainable weights of the slim graph, weights and slots as the file has them."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float64, [None, None, None, 3])
        labels = tf.placeholder(tf.int64, [None])
        net, _ = graph.build(
            ckpt.arch, images, is_training=True, scope=ckpt.scope, weight_decay=DECAY
        )
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=labels, logits=tf.squeeze(net, [1, 2])
        )
        cross_entropy = tf.reduce_mean(each)
        loss = cross_entropy + tf.losses.get_regularization_loss()
        step = tf.train.MomentumOptimizer(RATE, MOMENTUM).minimize(loss)
        graph.assign(session, {v: ckpt[v.op.name] for v in tf.global_variables()})
        losses = [session.run([cross_entropy, step], {images: x, labels: y})[0] for x, y in batches]
        variables = graph.variables(ckpt.arch, ckpt.scope)
        return losses, session.run({v.op.name: v for v in variables.values() if v.trainable})


def compare(ckpt, losses, state, by_slim, to_slim):
    expected_losses, expected = by_slim
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-9)
    largest = max(np.abs(v).max() for v in expected.values())
    for row in table(ckpt.arch):
        if row.trainable:
            error = np.abs(to_slim(row, state) - expected[ckpt.full_name(row.slim)]).max()
            assert error <= 1e-9 * largest, row.slim


def train_torch(ckpt, batches, resumed: bool):
    net = converters.to_torch(ckpt).double().train()
    optimizer = torch.optim.SGD(sgd_param_groups(net, DECAY), RATE, MOMENTUM)
    if resumed:
        resume.resume_torch(ckpt, net, optimizer)
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        logits = net(torch.from_numpy(x).permute(0, 3, 1, 2))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {name: value.detach().numpy() for name, value in net.state_dict().items()}


def test_torch_goes_on_as_slim(ckpt, batches, by_slim):
    losses, state = train_torch(ckpt, batches, resumed=True)
    compare(ckpt, losses, state, by_slim, lambda row, s: row.to_torch.inverse(s[row.torch]))


def test_without_the_momentum_it_goes_another_way(ckpt, batches, by_slim):
    losses, _ = train_torch(ckpt, batches, resumed=False)
    assert np.abs(np.array(losses) / by_slim[0] - 1).max() > 1e-3


def test_keras_goes_on_as_slim(ckpt, batches, by_slim):
    keras.config.set_floatx("float64")
    try:
        model = converters.to_keras(ckpt, dtype="float64")
        set_keras_weight_decay(model, DECAY)
        optimizer = keras.optimizers.SGD(RATE, MOMENTUM)
        resume.resume_keras(ckpt, model, optimizer)
        assert int(optimizer.iterations) == ckpt.global_step == 60
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, run_eagerly=True, loss=loss)
        for x, y in batches:
            model.train_on_batch(x, y)
    finally:
        keras.config.set_floatx("float32")
    state = {v.path: v.value.numpy() for v in model.variables}
    compare(ckpt, by_slim[0], state, by_slim, lambda row, s: row.to_keras.inverse(s[row.keras]))


def test_a_checkpoint_without_slots_says_so(narrow, save_checkpoint):
    ckpt = converters.load_checkpoint(save_checkpoint(narrow("resnet_v1_50"), scope="net"))
    with pytest.raises(converters.CheckpointError, match="no variable net/conv1/weights/Momentum"):
        resume.momentum(ckpt)
