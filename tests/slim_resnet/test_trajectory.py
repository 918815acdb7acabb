"""Five training steps of the rebuilt nets against those that TensorFlow 1.15 recorded.

The record holds the total loss, cross entropy and L2 of the weights, and its gradients, the L2's
included. `tf.losses` rounds the cross entropy, not its gradient, to float32 in a float64 graph, in
1.15 as today: `losses64` are sums of a float32 number and a float64 one.

These nets amplify rounding up to a hundredfold a step. For v1 five steps are one too many:
TensorFlow 1.15 itself, its initial weights changed in their last bit, moves v1's fifth loss by 8e-9
to 8e-8 (`spread.npz`, made by `tests/data/record_spread.py`). So nobody can promise 1e-9 there;
what is asked of it instead is to be no farther from TensorFlow 1.15 than that is from itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import converters
from slim_resnet import graph
from slim_resnet.compat import slim, tf
from slim_resnet.regression.record import take_samples

WEIGHT_DECAY = 1e-4
LOSSES = {
    "slim_v1": (1e-9, 1e-9, 1e-9, 1e-9, 1.5e-7),  # the fifth: two steps of a float32 number
    "slim_v2": (1e-9, 1e-9, 1e-9, 1e-9, 1e-9),
}
MOVING_STATISTICS = {"slim_v1": 1e-6, "slim_v2": 1e-9}
# Optimizing these graphs takes longer than running them.
UNOPTIMIZED = tf.ConfigProto()
UNOPTIMIZED.graph_options.rewrite_options.disable_meta_optimizer = True


@dataclass(frozen=True)
class Trajectory:
    """What training left; variables by their full names.

    `losses` are rounded as `tf.losses` does, `exact_losses` are float64 throughout.
    """

    losses: np.ndarray
    exact_losses: np.ndarray
    gradients: dict[str, np.ndarray]  # of the first step
    variables: dict[str, np.ndarray]  # after the last


class Net:
    """The training graph of a checkpoint's network, in float64."""

    def __init__(self, ckpt):
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.images = tf.placeholder(tf.float64, [None, 32, 32, 3])
            self.labels = tf.placeholder(tf.int64, [None])
            net, _ = graph.build(
                ckpt.arch,
                self.images,
                is_training=True,
                scope=ckpt.scope,
                weight_decay=WEIGHT_DECAY,
                batch_norm_decay=0.9,
            )
            logits = tf.squeeze(net, [1, 2])
            tf.losses.sparse_softmax_cross_entropy(self.labels, logits)
            self.loss = tf.losses.get_total_loss()
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=self.labels, logits=logits)
            self.l2 = tf.losses.get_regularization_loss()
            self.exact_loss = tf.reduce_mean(each) + self.l2
            optimizer = tf.train.MomentumOptimizer(0.01, 0.9)
            pairs = optimizer.compute_gradients(self.loss)
            self.gradients = {variable.op.name: gradient for gradient, variable in pairs}
            with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
                self.step = optimizer.apply_gradients(pairs)
            self.slots_initializer = tf.variables_initializer(optimizer.variables())
            self.variables = {v.op.name: v for v in slim.get_model_variables()}

    def train(self, initial: dict[str, np.ndarray], images, labels) -> Trajectory:
        """Trains from `initial` (full name -> value), a step for each batch."""
        fetches = (self.loss, self.exact_loss, self.gradients, self.step)
        with self.graph.as_default(), tf.Session(config=UNOPTIMIZED) as session:
            session.run(self.slots_initializer)
            graph.assign(session, {self.variables[name]: v for name, v in initial.items()})
            steps = [
                session.run(fetches, {self.images: x, self.labels: y})
                for x, y in zip(images, labels, strict=True)
            ]
            variables = session.run(self.variables)
        losses, exact_losses, gradients, _ = zip(*steps, strict=True)
        return Trajectory(np.array(losses), np.array(exact_losses), gradients[0], variables)


class Run(NamedTuple):
    """A net, what TensorFlow 1.15 recorded of its training, and the same training today."""

    name: str
    net: Net
    record: dict[str, np.ndarray]
    today: Trajectory


def section(record, kind: str) -> dict[str, np.ndarray]:
    """The record's members `kind|NAME`, by name."""
    return {key.removeprefix(f"{kind}|"): v for key, v in record.items() if f"{kind}|" in key}


@pytest.fixture(scope="module", params=["slim_v1", "slim_v2"])
def run(request, data):
    folder = data / request.param
    with np.load(folder / "traj.npz") as file:
        record = dict(file)
    net = Net(converters.load_checkpoint(folder / "v2"))
    today = net.train(section(record, "init"), record["bx"], record["by"])
    return Run(request.param, net, record, today)


def test_losses_are_those_of_tf_115(run):
    then = run.record["losses64"]
    errors = np.abs(run.today.losses - then) / then
    assert (errors <= LOSSES[run.name]).all(), errors


def test_first_gradients_are_those_of_tf_115(run):
    recorded = section(run.record, "grad64")
    assert set(recorded) == set(run.today.gradients)
    for name, then in recorded.items():
        gradient = run.today.gradients[name]
        now = take_samples(gradient, 8)
        if name.endswith("/biases") and not name.endswith("/logits/biases"):
            # v2: a batch norm takes away whatever such a bias adds, so rounding is all there is.
            assert max(np.abs(now).max(), np.abs(then).max()) <= 1e-13, name
        else:
            error = np.abs(now - then).max() / np.abs(gradient).max()
            assert error <= 2e-12, f"{name}: {error:.1e}"


def test_moving_statistics_after_five_steps_are_those_of_tf_115(run):
    recorded = section(run.record, "after64")
    assert recorded
    for name, then in recorded.items():
        error = np.abs(run.today.variables[name] - then).max() / np.abs(then).max()
        assert error <= MOVING_STATISTICS[run.name], f"{name}: {error:.1e}"


def test_weight_decay_is_on_the_weights_alone(run):
    initial = section(run.record, "init")
    weights = {name: v for name, v in initial.items() if name.endswith("/weights")}
    with run.net.graph.as_default(), tf.Session(config=UNOPTIMIZED) as session:
        trainable = tf.trainable_variables()
        pairs = zip(trainable, tf.gradients(run.net.l2, trainable), strict=True)
        gradients = {v.op.name: gradient for v, gradient in pairs if gradient is not None}
        assert set(gradients) == set(weights)
        graph.assign(session, {run.net.variables[name]: value for name, value in weights.items()})
        for name, gradient in session.run(gradients).items():
            expected = WEIGHT_DECAY * weights[name].astype(np.float64)
            np.testing.assert_allclose(gradient, expected, rtol=1e-15, atol=0)


def test_losses_are_as_near_to_tf_115_as_its_own_are(run, data):
    with np.load(data / run.name / "spread.npz") as file:
        then, *others = file["losses"]
    spread = np.abs(np.array(others) / then - 1).max(axis=0)
    errors = np.abs(run.today.exact_losses / then - 1)
    assert (errors <= spread).all(), (errors, spread)
    assert (spread[:4] <= 1e-8).all()
    assert (spread[4] > 1e-9) == (run.name == "slim_v1")  # why LOSSES allows its fifth more
