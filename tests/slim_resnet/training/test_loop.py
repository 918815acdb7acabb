"""The training loop: its curve against PyTorch's, what it writes, how it goes on, how it stops."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest
import torch

import converters
from converters.evaluation import warm_start
from slim_resnet import graph as graph_lib
from slim_resnet.compat import tf
from slim_resnet.training import curves, inputs, loop, numerics, ordering, records, resume
from slim_resnet.training.observer import Observer

SAVE_EVERY = 3


class Interrupted(Exception):
    """Ends a training as a crash does: nothing is saved."""


class Crash(Observer):
    """Crashes after a step; remembers warnings and where training began."""

    def __init__(self, after: int | None = None):
        self.after, self.warnings, self.began = after, [], None

    def on_start(self, step):
        self.began = step

    def on_step(self, step):
        if step.step == self.after:
            raise Interrupted

    def on_warning(self, message):
        self.warnings.append(message)


@pytest.fixture(scope="module")
def run(shallow, digits, recipe):
    """run(folder, ...) -> a `Run` of ten steps of 24 images, 5 1/3 of which are an epoch."""

    def make(folder, *, arch=None, training=None, recipe=recipe, **options):
        options = {"save_every": SAVE_EVERY, "log_every": 1, "summary_every": 4, **options}
        return loop.Run(
            arch or shallow(), training or digits[0], digits[1], recipe, folder, **options
        )

    return make


@pytest.fixture(scope="module")
def whole(run, tmp_path_factory):
    """A training from beginning to end, and its result."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, loop.train(run(folder))


def table(folder, name):
    """The rows of a CSV file as text, without the speed."""
    lines = (pathlib.Path(folder) / name).read_text().splitlines()
    return [line.split(",")[:6] for line in lines]


def test_the_curve_is_pytorchs(run, shallow, digits, recipe, tmp_path):
    """The same recipe by torch.optim on the converted first checkpoint, in float64."""
    recipe = dataclasses.replace(
        recipe,
        momentum=0.875,  # TensorFlow rounds it to float32
        nesterov=True,
        label_smoothing=0.125,
        warmup_steps=2,
        weight_decay=2**-7,
    )
    arch = shallow(batch_norm_decay=0.875)
    loop.train(run(tmp_path, arch=arch, recipe=recipe, keep=9))
    rows = records.read(tmp_path / records.METRICS)
    ckpt = converters.load_checkpoint(tmp_path, step=0)
    net = converters.to_torch(ckpt).double().train()
    groups = converters.models.torch_model.sgd_param_groups(net, recipe.weight_decay)
    optimizer = torch.optim.SGD(groups, lr=0.0625, momentum=0.875, nesterov=True)
    schedulers = torch.optim.lr_scheduler
    schedule = schedulers.ChainedScheduler(
        [
            schedulers.LinearLR(optimizer, start_factor=0.5, total_iters=1),
            schedulers.MultiStepLR(optimizer, [5, 7]),
        ]
    )
    for step, row in enumerate(rows):
        images, labels = inputs.training_batch(digits[0], recipe, step)
        logits = net(torch.from_numpy(images).permute(0, 3, 1, 2))
        labels = torch.from_numpy(labels)
        loss = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.125)
        assert loss.item() == pytest.approx(row["cross_entropy"], rel=1e-9)
        assert (logits.argmax(1) == labels).double().mean().item() == pytest.approx(row["accuracy"])
        rates = schedule.get_last_lr()
        assert rates[0] == pytest.approx(row["learning_rate"], rel=1e-6)
        set_rates(optimizer, map(np.float32, rates))  # TensorFlow rounds them
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        set_rates(optimizer, rates)
        schedule.step()
    assert step == 9
    last = converters.to_torch(converters.load_checkpoint(tmp_path)).double().state_dict()
    for name, value in net.named_parameters():
        np.testing.assert_allclose(value.detach(), last[name], rtol=1e-7, atol=1e-9, err_msg=name)


def set_rates(optimizer, rates):
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = float(rate)


@pytest.mark.parametrize("crash", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_after_a_crash_the_curve_is_the_same(run, whole, tmp_path, crash):
    with pytest.raises(Interrupted):
        loop.train(run(tmp_path), observer=Crash(crash))
    assert len(table(tmp_path, "metrics.csv")) - 1 == crash
    again = Crash()
    loop.train(run(tmp_path), observer=again)
    assert again.began == crash - crash % SAVE_EVERY
    for name in ("metrics.csv", "evaluation.csv"):
        assert table(tmp_path, name) == table(whole[0], name)
    expected = converters.load_checkpoint(whole[0])
    found = converters.load_checkpoint(tmp_path)
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_a_finished_training_does_nothing_more(run, whole):
    before = table(whole[0], "metrics.csv")
    found = loop.train(run(whole[0]))
    assert (found.step, found.signal) == (10, None)
    assert table(whole[0], "metrics.csv") == before


def test_what_is_written(whole, run):
    folder, result = whole
    rows = records.read(folder / records.METRICS)
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert [row["learning_rate"] for row in rows] == pytest.approx(
        [0.0625] * 5 + [0.00625] * 2 + [0.000625] * 3
    )
    evaluations = records.read(folder / records.EVALUATION)
    assert [row["step"] for row in evaluations] == [6, 10]  # after an epoch, and at the end
    assert evaluations[-1]["correct"] == result.evaluation.correct
    assert list(resume.checkpoints(folder)) == [0, 3, 6, 9, 10]
    assert (folder / "graph.pbtxt").read_text().startswith("node {")
    assert curves.draw(folder).read_bytes().startswith(b"\x89PNG")


def test_tensorboard_shows_scalars_and_batch_norms(whole):
    tags, steps = set(), set()
    for path in whole[0].glob("events.out.tfevents.*"):
        for event in tf.train.summary_iterator(str(path)):
            tags |= {value.tag for value in event.summary.value}
            steps |= {event.step for value in event.summary.value if "training" in value.tag}
    scalars = {f"training/{k}" for k in ("loss", "cross_entropy", "accuracy", "learning_rate")}
    assert scalars <= tags
    assert {"evaluation/accuracy", "evaluation/loss"} <= tags
    assert "statistics/resnet_cifar_20/conv1/BatchNorm/moving_variance" in tags
    assert len(steps) >= 3


def test_a_plain_saver_restores_the_checkpoint(whole, run, digits):
    """Into the network alone, built by hand; its accuracy is the one that was recorded."""
    folder, result = whole
    test = digits[1]
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float64, [None, 16, 16, 3])
        net, _ = graph_lib.build(run(folder).arch, images)
        tf.train.Saver().restore(session, tf.train.latest_checkpoint(str(folder)))
        logits = session.run(net, {images: test.normalized()})
    found = logits.reshape(len(test), 10).argmax(1)
    np.testing.assert_array_equal(found, result.evaluation.predictions)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1000])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [truncate, pytest.param(flip_a_bit, marks=pytest.mark.slow)])
def test_a_broken_checkpoint_is_set_aside(run, whole, tmp_path, damage):
    with pytest.raises(Interrupted):
        loop.train(run(tmp_path), observer=Crash(7))
    damage(tmp_path / "model.ckpt-6.data-00000-of-00001")
    partial = tmp_path / "model.ckpt-9.data-00000-of-00001.tempstate123"
    partial.write_bytes(b"of a killed save")
    observer = Crash()
    loop.train(run(tmp_path), observer=observer)
    assert observer.began == 3
    assert len(observer.warnings) == 1
    assert "model.ckpt-6 is broken" in observer.warnings[0]
    assert table(tmp_path, "metrics.csv") == table(whole[0], "metrics.csv")
    assert (tmp_path / "broken-model.ckpt-6.index").exists()
    assert not partial.exists()


def test_old_checkpoints_go_after_a_restart_too(run, tmp_path):
    with pytest.raises(Interrupted):
        loop.train(run(tmp_path, keep=2), observer=Crash(7))
    loop.train(run(tmp_path, keep=2))
    assert list(resume.checkpoints(tmp_path)) == [9, 10]


def test_another_recipe_in_the_same_folder_is_refused(run, whole, recipe):
    for change, says in (({"batch_size": 32}, "batch_size is 32, was 24"), ({"seed": 4}, "seed")):
        with pytest.raises(ValueError, match=says):
            loop.train(run(whole[0], recipe=dataclasses.replace(recipe, **change)))


def test_divergence_names_the_first_layer_and_keeps_what_was_good(run, recipe, tmp_path):
    wild = dataclasses.replace(recipe, learning_rate=1e30, dtype="float32")
    with pytest.raises(numerics.DivergedError, match=r"step 2: .* conv1 is the first layer"):
        loop.train(run(tmp_path, recipe=wild, save_every=1))
    assert list(resume.checkpoints(tmp_path)) == [0, 1]
    weights = converters.load_checkpoint(tmp_path).stored()
    assert all(np.isfinite(value).all() for value in weights.values())


def test_divergence_names_a_bad_image(run, recipe, digits, tmp_path):
    images = digits[0].images.astype(np.float32)
    images[77, 3, 3] = np.nan
    bad = dataclasses.replace(digits[0], images=images)
    batches = [ordering.images_of_step(bad, recipe, step) for step in range(6)]
    (step,) = [step for step, numbers in enumerate(batches) if 77 in numbers][:1]
    (place,) = np.flatnonzero(batches[step] == 77)
    with pytest.raises(
        numerics.DivergedError, match=f"step {step + 1}: .* image {place} of the batch holds NaN"
    ):
        loop.train(run(tmp_path, training=bad))


@pytest.mark.parametrize(
    ("name", "factor", "decay", "says"),
    [
        ("block2/unit_1/basic_v1/conv1/weights", np.inf, 1e-4, r"the variable \S+/conv1/weights"),
        ("logits/weights", 1e30, 1e-4, "weight decay overflows: the largest .*, is in logits/"),
        ("logits/weights", 1e25, 0.0, "the gradients overflow together; the largest weight"),
    ],
)
def test_divergence_names_a_bad_weight(
    run, shallow, whole, recipe, tmp_path, name, factor, decay, says
):
    initial = warm_start(whole[0], shallow())
    initial[name] = initial[name] * factor
    single = dataclasses.replace(recipe, dtype="float32", weight_decay=decay)
    with pytest.raises(numerics.DivergedError, match=f"step 1: .*{says}"):
        loop.train(run(tmp_path, initial=initial, recipe=single))
    assert list(resume.checkpoints(tmp_path)) == [0]


def test_a_warm_start_takes_all_but_the_logits_of_other_classes(run, shallow, whole, tmp_path):
    initial = warm_start(whole[0], shallow(num_classes=10))
    run_on = run(tmp_path, initial=initial)
    with pytest.raises(Interrupted):
        loop.train(run_on, observer=Crash(1))
    first = converters.load_checkpoint(tmp_path, step=0).stored()
    for name, value in converters.load_checkpoint(whole[0]).stored().items():
        np.testing.assert_array_equal(first[name], value, err_msg=name)
    others = warm_start(whole[0], shallow(num_classes=7))
    assert set(initial) - set(others) == {"logits/weights", "logits/biases"}
    with pytest.raises(ValueError, match="of another network"):
        warm_start(whole[0], shallow(width=0.5))


def test_moving_averages_follow_the_weights(run, recipe, shallow, whole, tmp_path):
    recipe = dataclasses.replace(recipe, ema=0.75)
    initial = warm_start(whole[0], shallow())
    loop.train(run(tmp_path, recipe=recipe, initial=initial, save_every=1, keep=20))
    saved = [converters.load_checkpoint(tmp_path, step=step) for step in range(11)]
    name = saved[0].full_name("conv1/weights")
    average = saved[0][name]
    for ckpt in saved[1:]:
        average = 0.75 * average + 0.25 * ckpt[name]
        np.testing.assert_allclose(
            ckpt[f"{name}/ExponentialMovingAverage"], average, rtol=1e-6, atol=1e-8
        )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet_v2_50", {}),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("resnet_cifar_20_b", {}),
                ("resnet_v1_50", {}),
                ("resnext_29_8x64d", {"form": "grouped"}),
                ("resnext_29_8x64d", {"form": "branches"}),
                ("resnext_cifar", {}),
            )
        ),
    ],
)
def test_every_family_trains(run, shallow, recipe, tmp_path, name, options):
    two = dataclasses.replace(recipe, steps=2, dtype="float32")
    arch = shallow(name, width=1 / 8, **options)
    result = loop.train(run(tmp_path, arch=arch, recipe=two))
    ckpt = converters.load_checkpoint(tmp_path)
    assert ckpt.global_step == 2
    assert ckpt.arch.variables == arch.variables
    assert result.evaluation.total == 50
    decayed = records.read(tmp_path / records.METRICS)[0]
    assert decayed["loss"] > decayed["cross_entropy"], "weight decay is part of the loss"
