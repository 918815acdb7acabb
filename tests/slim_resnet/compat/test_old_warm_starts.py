"""Fine-tuning as old scripts do it: a checkpoint of another task, its logits left out."""

from __future__ import annotations

import numpy as np
import pytest

from slim_resnet import graph
from slim_resnet.compat import slim, tf
from tests.slim_resnet.compat import old_scripts
from tests.slim_resnet.compat.old_scripts import CLASSES, WITHOUT_THREADS, assert_same_bits, saved

PRETRAINED_CLASSES = 11


@pytest.fixture(scope="module")
def arch(narrow):
    return old_scripts.tiny_resnext(narrow)


@pytest.fixture(scope="module")
def pretrained(arch, save_checkpoint):
    return save_checkpoint(arch.replace(num_classes=PRETRAINED_CLASSES))


def values_in(checkpoint: str) -> dict[str, np.ndarray]:
    reader = tf.train.NewCheckpointReader(checkpoint)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


class FineTuning:
    """A script that starts from a checkpoint; `first` is what its first step began with."""

    def __init__(self, arch, pretrained: str):
        self.arch, self.pretrained = arch, pretrained
        self.initialised = 0
        self.first: dict[str, np.ndarray] = {}

    def init_fn(self):
        exclude = [f"{self.arch.name}/logits", "global_step"]
        assign = slim.assign_from_checkpoint_fn(
            self.pretrained,
            slim.get_variables_to_restore(exclude=exclude),
            ignore_missing_vars=True,  # the Momentum slots
        )

        def init(session):
            self.initialised += 1
            assign(session)

        return init

    def step(self, session, *args):
        if not self.first:
            model = {v.op.name: v for v in slim.get_model_variables()}
            self.first = session.run({**model, "global_step": tf.train.get_global_step()})
        return slim.learning.train_step(session, *args)

    def run(self, folder, steps: int) -> float:
        with tf.Graph().as_default():
            return slim.learning.train(
                old_scripts.train_op(self.arch, *old_scripts.batch_of_step()),
                str(folder),
                number_of_steps=steps,
                init_fn=self.init_fn(),
                train_step_fn=self.step,
                **WITHOUT_THREADS,
            )


def test_fine_tuning_starts_from_the_checkpoint_and_resumes_from_its_own(
    arch, pretrained, tmp_path
):
    whole = FineTuning(arch, pretrained)
    loss = whole.run(tmp_path / "whole", 4)
    before = values_in(pretrained)
    assert whole.first.pop("global_step") == 0
    for name, value in whole.first.items():
        if name.startswith(f"{arch.name}/logits/"):
            assert value.shape[-1] == CLASSES
            assert before[name].shape[-1] == PRETRAINED_CLASSES
        else:
            np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert set(whole.first) == set(before) - {"global_step"}

    stopped, resumed = (FineTuning(arch, pretrained) for _ in range(2))
    stopped.run(tmp_path / "stopped", 2)
    left = saved(tmp_path / "stopped")
    assert resumed.run(tmp_path / "stopped", 4) == loss
    assert (stopped.initialised, resumed.initialised) == (1, 0)  # the folder's checkpoint wins
    assert_same_bits(resumed.first, {name: left[name] for name in resumed.first})
    assert_same_bits(saved(tmp_path / "stopped"), saved(tmp_path / "whole"))


def test_what_the_checkpoint_misses_is_named_or_left_alone(arch, pretrained):
    with tf.Graph().as_default(), tf.Session() as session:
        graph.build(arch, tf.zeros([1, 32, 32, 3]))
        slim.model_variable("head/weights", [3], initializer=tf.ones_initializer())
        variables = slim.get_variables_to_restore(exclude=[f"{arch.name}/logits"])
        with pytest.raises(ValueError, match=r"missing variable \[head/weights\]"):
            slim.assign_from_checkpoint(pretrained, variables)
        session.run(tf.global_variables_initializer())
        slim.assign_from_checkpoint_fn(pretrained, variables, ignore_missing_vars=True)(session)
        before = values_in(pretrained)
        for variable in variables:
            expected = before.get(variable.op.name, np.ones(3))
            np.testing.assert_array_equal(session.run(variable), expected)


def test_another_shape_is_refused(arch, pretrained):
    with tf.Graph().as_default():
        graph.build(arch, tf.zeros([1, 32, 32, 3]))
        with pytest.raises(ValueError, match="Total size of new array must be unchanged"):
            slim.assign_from_checkpoint(pretrained, slim.get_variables_to_restore())


@pytest.mark.parametrize("axis", [0, 1])
def test_partitioned_variables_take_their_slices(tmp_path, axis):
    whole = np.random.RandomState(0).standard_normal((6, 4)).astype(np.float32)
    checkpoint = str(tmp_path / "model.ckpt")
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable("logits/weights", initializer=whole)
        session.run(variable.initializer)
        tf.train.Saver([variable]).save(session, checkpoint)
    with tf.Graph().as_default(), tf.Session() as session:
        partitioner = tf.fixed_size_partitioner(2, axis=axis)
        with tf.variable_scope("", partitioner=partitioner):
            slim.fully_connected(tf.ones([1, 6]), 4, biases_initializer=None, scope="logits")
        parts = slim.get_variables_to_restore()
        assert len(parts) == 2
        slim.assign_from_checkpoint_fn(checkpoint, parts)(session)
        np.testing.assert_array_equal(np.concatenate(session.run(parts), axis), whole)
