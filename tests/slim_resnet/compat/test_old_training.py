"""Training as old scripts do it, stopped and resumed: the same bits as if it had gone on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from slim_resnet.compat import slim, tf
from tests.slim_resnet.compat import old_scripts
from tests.slim_resnet.compat.old_scripts import CONFIG, WITHOUT_THREADS, assert_same_bits, saved

STEPS = 6


@pytest.fixture(scope="module")
def arch(narrow):
    return old_scripts.tiny_resnext(narrow)


def learning_train(arch, folder, steps: int, **kwargs) -> float:
    """A script around `slim.learning.train`, run until the global step is `steps`."""
    with tf.Graph().as_default():
        return slim.learning.train(
            old_scripts.train_op(arch, *old_scripts.batch_of_step()),
            str(folder),
            number_of_steps=steps,
            saver=tf.train.Saver(**kwargs),
            **WITHOUT_THREADS,
        )


def monitored_train(arch, folder, steps: int, *hooks, **kwargs) -> list[float]:
    """A script around `tf.train.MonitoredTrainingSession`; the losses of the steps it took."""
    losses = []
    with tf.Graph().as_default():
        step = old_scripts.train_op(arch, *old_scripts.batch_of_step())
        with tf.train.MonitoredTrainingSession(
            checkpoint_dir=str(folder),
            hooks=[tf.train.StopAtStepHook(last_step=steps), *hooks],
            save_summaries_steps=1,
            log_step_count_steps=None,
            config=CONFIG,
            **kwargs,
        ) as session:
            while not session.should_stop():
                losses.append(session.run(step))
    return losses


@pytest.fixture(scope="module")
def uninterrupted(arch, tmp_path_factory):
    """What STEPS steps leave: the last loss and all variables."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    loss = learning_train(arch, folder, STEPS)
    return loss, saved(folder)


@pytest.mark.parametrize("version", [tf.train.SaverDef.V1, tf.train.SaverDef.V2])
def test_slim_learning_train_resumes(arch, uninterrupted, tmp_path, version):
    loss, variables = uninterrupted
    learning_train(arch, tmp_path, 3, write_version=version)
    stopped = saved(tmp_path)
    assert stopped["global_step"] == 3
    is_v1 = version == tf.train.SaverDef.V1
    # V1 is one file without suffix, V2 an index and its data
    assert (tmp_path / "model.ckpt-3").exists() == is_v1
    assert (tmp_path / "model.ckpt-3.index").exists() != is_v1

    assert learning_train(arch, tmp_path, STEPS, write_version=version) == loss
    assert_same_bits(saved(tmp_path), variables)
    # and it had something to learn
    weights = f"{arch.name}/block1/unit_1/bottleneck_v1/conv2/weights"
    assert np.abs(stopped[weights] - variables[weights]).max() > 1e-4
    assert variables["global_step"] == STEPS
    assert f"{weights}/Momentum" in variables


def test_slim_learning_train_is_done_when_the_step_is_reached(arch, tmp_path):
    learning_train(arch, tmp_path, 2)
    before = saved(tmp_path)
    learning_train(arch, tmp_path, 2)  # slim takes one more step before it looks
    assert saved(tmp_path)["global_step"] == 3
    assert before["global_step"] == 2


def test_slim_learning_train_saves_and_summarizes_beside_the_training(arch, tmp_path):
    wanted = {"loss", "learning_rate", "logits", "global_step/sec"}

    def wait_for_threads(session, train_op, global_step, kwargs):
        deadline = time.monotonic() + 60
        while not (
            (tmp_path / "model.ckpt-0.index").exists()
            and wanted <= set(old_scripts.summaries(tmp_path))
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
            writer.flush()
        return slim.learning.train_step(session, train_op, global_step, kwargs)

    with tf.Graph().as_default():
        writer = tf.summary.FileWriter(str(tmp_path))
        slim.learning.train(
            old_scripts.train_op(arch, *old_scripts.batch_of_step()),
            str(tmp_path),
            number_of_steps=1,
            train_step_fn=wait_for_threads,
            summary_writer=writer,
            session_config=CONFIG,
        )
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("model.ckpt-1")
    written = old_scripts.summaries(tmp_path)
    assert written["learning_rate"] == {0: pytest.approx(0.05)}
    assert 0 < written["loss"][0] < 100


def test_monitored_training_session_resumes(arch, uninterrupted, tmp_path):
    loss, variables = uninterrupted
    first = monitored_train(arch, tmp_path, 3)
    second = monitored_train(arch, tmp_path, STEPS)
    assert (len(first), len(second)) == (3, STEPS - 3)
    assert second[-1] == loss
    assert_same_bits(saved(tmp_path), variables)

    written = old_scripts.summaries(tmp_path)
    assert {"loss", "learning_rate", "logits"} <= set(written)
    for number, value in enumerate(first + second, start=1):
        assert written["loss"][number] == value
        assert written["learning_rate"][number] == pytest.approx(0.05 * 0.9 ** ((number - 1) / 2))
        assert written["logits"][number].num == old_scripts.BATCH * old_scripts.CLASSES


class Crash(tf.train.SessionRunHook):
    """Fails after so many steps of its session."""

    def __init__(self, steps: int):
        self.left = steps

    def after_run(self, run_context, run_values):
        self.left -= 1
        if not self.left:
            raise RuntimeError("the disk is full")


def test_monitored_training_session_resumes_after_a_crash(arch, uninterrupted, tmp_path):
    loss, variables = uninterrupted
    with pytest.raises(RuntimeError, match="the disk is full"):
        monitored_train(arch, tmp_path, STEPS, Crash(5), save_checkpoint_steps=2)
    assert saved(tmp_path)["global_step"] == 4  # the fifth step is lost
    losses = monitored_train(arch, tmp_path, STEPS, save_checkpoint_steps=2)
    assert len(losses) == STEPS - 4
    assert losses[-1] == loss
    assert_same_bits(saved(tmp_path), variables)


@pytest.mark.parametrize("from_version", [tf.train.SaverDef.V1, tf.train.SaverDef.V2])
def test_either_format_is_read_by_a_saver_that_writes_the_other(arch, tmp_path, from_version):
    other = {
        tf.train.SaverDef.V1: tf.train.SaverDef.V2,
        tf.train.SaverDef.V2: tf.train.SaverDef.V1,
    }
    learning_train(arch, tmp_path, 1, write_version=from_version)
    first = saved(tmp_path)
    with tf.Graph().as_default(), tf.Session(config=CONFIG) as session:
        old_scripts.train_op(arch, *old_scripts.batch_of_step())
        saver = tf.train.Saver(write_version=other[from_version])
        saver.restore(session, tf.train.latest_checkpoint(str(tmp_path)))
        saver.save(session, str(tmp_path / "again.ckpt"), global_step=1)
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith("again.ckpt-1")
    assert_same_bits(saved(tmp_path), first)


KILLED = """
import os, signal
from tests.slim_resnet.compat import test_old_training as script
from slim_resnet.compat import tf
from slim_resnet.arch.architecture import Arch

class Kill(tf.train.SessionRunHook):
    def after_run(self, run_context, run_values):
        if tf.train.latest_checkpoint({folder!r}).endswith("-4"):
            os.kill(os.getpid(), signal.SIGKILL)

script.monitored_train(
    Arch.from_json({arch!r}), {folder!r}, {steps}, Kill(), save_checkpoint_steps=2
)
"""


@pytest.mark.slow
def test_a_killed_process_is_resumed_by_another(arch, uninterrupted, tmp_path):
    loss, variables = uninterrupted
    code = KILLED.format(folder=str(tmp_path), arch=arch.to_json(), steps=STEPS)
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    assert saved(tmp_path)["global_step"] == 4
    assert monitored_train(arch, tmp_path, STEPS)[-1] == loss
    assert_same_bits(saved(tmp_path), variables)
