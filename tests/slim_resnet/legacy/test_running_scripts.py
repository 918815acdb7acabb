"""Scripts of 2017-2019, unedited, run by `python -m slim_resnet.legacy`.

Where numbers are compared, they are those of the same script under TensorFlow 1.15.5, from a
checkpoint that it wrote.
"""

from __future__ import annotations

import pathlib
import re
import shutil
import sys

import numpy as np
import pytest

SCRIPTS = pathlib.Path(__file__).parent / "scripts"
CIFAR_SIZE = {
    "CARDINALITY": "2", "DEPTH": "4", "BLOCKS": "1", "BATCH_SIZE": "16", "ITERATION": "3",
    "EPOCHS": "2", "LEARNING_RATE": "0.01",
}  # fmt: skip


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.\d+", text)]


@pytest.mark.slow
def test_resnet_v2_152_benchmark(run, tmp_path):
    ran = run(SCRIPTS / "resnet_v2_benchmark.py", 1, 1, 64, cwd=tmp_path)
    assert ran.code == 0, ran.err
    # What TensorFlow 1.15.5 prints.
    assert "816 variables, 60236904 parameters\n" in ran.out
    assert "logits [1, 1, 1, 1000], block4 [1, 2, 2, 2048]\n" in ran.out
    assert re.search(r"Forward across 1 steps, \d+\.\d+ \+/- 0\.000 sec / batch\n", ran.out)
    assert ran.script_err == ""


def test_cifar_resnext_goes_on_as_tensorflow_1_did(run, data, cifar, tmp_path):
    recorded = data / "legacy_scripts" / "cifar"
    model = shutil.copytree(recorded, tmp_path / "model")
    ran = run(SCRIPTS / "cifar_resnext.py", cifar, model, cwd=tmp_path, **CIFAR_SIZE)
    assert ran.code == 0, ran.err
    assert "Restored ResNeXt.ckpt" in ran.out
    expected = numbers((recorded / "expected.txt").read_text())
    got = numbers((model / "logs.txt").read_text())
    assert len(expected) == 8
    # Six steps of float32 training: it printed six digits, the losses agree to five.
    np.testing.assert_allclose(got, expected, rtol=5e-5)
    assert list((model / "logs").glob("events.out.tfevents.*"))
    old, new = (folder / "ResNeXt.ckpt.data-00000-of-00001" for folder in (recorded, model))
    assert old.read_bytes() != new.read_bytes()


@pytest.mark.slow
def test_deeplab_multi_grid_gives_the_logits_of_tensorflow_1(run, data, tmp_path):
    recorded = data / "legacy_scripts" / "deeplab"
    ran = run(
        SCRIPTS / "deeplab_multigrid.py", "--model", recorded, "--output", "logits.npy",
        "--width", 2, "--crop_size", 65, "--number_of_classes", 5, cwd=tmp_path,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "block4 (1, 5, 5, 64) logits (1, 65, 65, 5) mean IoU 1.0" in ran.out
    expected = np.load(recorded / "expected.npy")
    difference = np.abs(np.load(tmp_path / "logits.npy") - expected).max()
    assert difference < 5e-6 * np.abs(expected).max()


@pytest.mark.slow
def test_fine_tuning_starts_from_the_checkpoint_and_resumes(run, tmp_path):
    def finetune(train_dir: str, steps: int, *args) -> tuple[list[float], str]:
        ran = run(
            SCRIPTS / "finetune_flowers.py", f"--train_dir={train_dir}", "--batch_size=8",
            "--image_size=33", f"--max_number_of_steps={steps}", *args, cwd=tmp_path,
        )  # fmt: skip
        assert ran.code == 0, ran.err
        return numbers(ran.out.splitlines()[0]), ran.err

    start = f"--checkpoint_path={tmp_path / 'first'}"
    first, _ = finetune("first", 12, "--learning_rate=0.002")
    assert len(first) == 12
    tuned, log = finetune("second", 6, start, "--learning_rate=0.002", "--log_dir=unused")
    assert "INFO:tensorflow:Fine-tuning from model.ckpt-12, 265 of 267 variables" in log
    assert len(tuned) == 6
    assert np.mean(tuned[-3:]) < np.mean(first[:3])
    resumed, log = finetune("second", 8, start)
    assert "Ignoring --checkpoint_path because a checkpoint already exists" in log
    assert len(resumed) == 2  # steps 7 and 8
    assert (tmp_path / "second" / "model.ckpt-8.index").exists()


@pytest.mark.slow
def test_queues_records_and_a_monitored_session_that_resumes(run, tmp_path):
    def train(steps: int) -> str:
        ran = run(
            SCRIPTS / "tfrecord_queue_train.py", "--data_dir=records", "--logdir=logs",
            f"--steps={steps}", "--hparams=learning_rate=0.02,hidden=[8,8,8]", cwd=tmp_path,
        )  # fmt: skip
        assert ran.code == 0, ran.err
        return ran.out

    out = train(60)
    assert '{"batch_size": 10, "hidden": [8, 8, 8], "learning_rate": 0.02}\n' in out
    assert "200 records\nstarts at step 0\n" in out
    first, last = numbers(out.split("starts at")[1])
    assert last < 0.2 * first
    assert "stopped at step 60\n" in out
    assert "'hidden3/weights', 'softmax_linear/biases', 'softmax_linear/weights']\nTrue\n" in out
    again = train(65)
    assert "starts at step 60\n" in again
    assert "stopped at step 65\n" in again


@pytest.mark.slow
def test_contrib_layers_losses_and_old_numpy_names(run, tmp_path):
    ran = run(SCRIPTS / "layers_gan.py", 20, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [
        "5 of the discriminator, 4 of the generator, 1 regularized",
        "Iter: 20; all done: True; finite: True",
        "samples (200, 2) True 400",
    ]


def test_estimators_are_gone_and_the_message_says_what_replaces_them(run, tmp_path):
    ran = run(SCRIPTS / "estimator_cnn.py", cwd=tmp_path)
    assert ran.code == 1
    last = ran.err.splitlines()[-1]
    assert last.startswith("AttributeError: tf.estimator.Estimator is not in today's TensorFlow")
    for replacement in ("slim.learning.train", "MonitoredTrainingSession", "tf.keras"):
        assert replacement in last
    assert f'{SCRIPTS / "estimator_cnn.py"}", line 43, in main' in ran.err
    assert "slim_resnet" not in ran.script_err.replace(str(SCRIPTS), "")


@pytest.mark.slow
def test_keras_1_arguments(run, tmp_path):
    ran = run(SCRIPTS / "keras1" / "keras1_resnet.py", cwd=tmp_path)
    assert ran.code == 0, ran.err
    kernels = "3x3x3x8 3x3x8x8 3x3x8x8 3x3x8x16 3x3x16x16 1x1x8x16 32x3"
    shapes, *rest = ran.out.splitlines()
    assert " ".join(shape for shape in shapes.split() if "x" in shape) == kernels
    assert rest == ["True ['acc', 'loss'] True", "True", "4.0"]


@pytest.mark.slow
def test_an_eager_script_of_1_15(run, tmp_path):
    (tmp_path / "eager.py").write_text(
        "import tensorflow as tf\n"
        "tf.enable_eager_execution()\n"
        "with tf.contrib.eager.GradientTape() as tape:\n"
        "    x = tf.ones([2])\n"
        "    tape.watch(x)\n"
        "    y = x * x\n"
        "print(tape.gradient(y, x).numpy(), [int(i) for i in tf.data.Dataset.range(3)])\n"
    )
    ran = run("eager.py", cwd=tmp_path)
    assert (ran.code, ran.out) == (0, "[2. 2.] [0, 1, 2]\n"), ran.err


@pytest.mark.slow
@pytest.mark.parametrize("also", [(), ("--also", "old_package")])
def test_an_installed_package_is_tensorflow_1_code_where_you_say_so(run, tmp_path, also):
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    installed = tmp_path / "base" / "lib" / version / "site-packages"
    installed.mkdir(parents=True)
    (installed / "old_package.py").write_text("import tensorflow as tf\n")
    (tmp_path / "script.py").write_text("import old_package\nprint(old_package.tf.__version__)\n")
    ran = run(
        *also, "script.py", cwd=tmp_path,
        PYTHONUSERBASE=str(tmp_path / "base"), PYTHONPATH=str(installed),
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.out.startswith("1.15" if also else "2.")
