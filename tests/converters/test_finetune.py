"""Fine-tuning in PyTorch: slim's steps, the same in one process and in several."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

import converters
from converters import finetune
from converters.evaluation import warm_start
from converters.files import CheckpointError
from converters.finetune.batches import training_batches
from converters.formats import library_files as exchange_files
from converters.models import torch_model
from converters.models.naming import table
from slim_resnet import datasets
from slim_resnet.datasets import DatasetError
from slim_resnet.training import inputs, loop, network
from slim_resnet.training.placement import Placement
from slim_resnet.training.recipe import Recipe

# Everything is in use. Numbers have few bits each: TensorFlow rounds them to float32.
RECIPE = Recipe(
    steps=5, batch_size=16, clones=2, learning_rate=0.0625, milestones=(), warmup_steps=4,
    momentum=0.875, nesterov=True, weight_decay=2**-7, label_smoothing=0.125, dtype="float64",
    seed=3,
)  # fmt: skip
DIGITS = functools.partial(datasets.load, "digits")


@pytest.fixture(scope="module")
def digits():
    return DIGITS()


@pytest.fixture(scope="module")
def prefix(save_checkpoint):
    """A slim checkpoint of a shallow ResNeXt with seeded weights."""
    arch = network.choose("resnext_29_8x64d", 10, width=0.0625, batch_norm_decay=0.75)
    stages = tuple(dataclasses.replace(stage, num_units=1) for stage in arch.stages)
    return save_checkpoint(arch.replace(name="shallow", stages=stages))


@pytest.fixture(scope="module")
def open_net(prefix):
    def open_net():
        return finetune.open_network(
            prefix, arch=converters.load_checkpoint(prefix).arch.replace(batch_norm_decay=0.75)
        )

    return open_net


@pytest.fixture(scope="module")
def tuned(open_net, digits):
    """The network after the five steps, in one process."""
    return trained(open_net(), digits, RECIPE)


def trained(net, dataset, recipe, **options):
    finetune.train(net, dataset, recipe, **options)
    return net


def assert_close(found, expected, bound):
    for name, value in expected.items():
        error = np.abs(found[name] - value).max() / np.abs(value).max()
        assert error <= bound, f"{name}: {error:.1e}"


def arrays(net):
    state = net.state_dict().items()
    return {name: value.numpy() for name, value in state if not name.endswith("_tracked")}


def values_per_channel(net, images):
    """Name of a moving variance -> how many values of each channel it is taken of."""
    counts = {}
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_pre_hook(
                lambda _, args, key=f"{name}.running_var": counts.update(
                    {key: args[0][:, 0].numel()}
                )
            )
    net(torch.zeros(images, 3, 16, 16))
    return counts


def test_steps_are_those_of_slims_training(prefix, open_net, digits, tmp_path):
    """Order of the images, clones, schedule, momentum, decay and loss; augmentation is NumPy's."""
    recipe = dataclasses.replace(RECIPE, augment=False)
    initial = open_net()
    arch = initial.arch
    loop.train(loop.Run(arch, digits, None, recipe, tmp_path, warm_start(prefix, arch)))
    by_slim = converters.load_checkpoint(tmp_path, arch=arch).weights()
    expected = {row.torch: row.to_torch(by_slim[row.slim]) for row in table(arch)}
    before = arrays(initial)
    for name, count in values_per_channel(open_net(), recipe.batch_size // 2).items():
        # In float64 slim's batch norm is not fused and stores the biased variance of a batch.
        kept = arch.batch_norm_decay**recipe.steps * before[name].astype(np.float64)
        expected[name] = kept + count / (count - 1) * (expected[name] - kept)
    found = arrays(trained(initial, digits, recipe))
    assert found.keys() == expected.keys()
    assert_close(found, expected, 1e-9)


def test_two_processes_make_the_steps_of_one(open_net, tuned, digits):
    """Parameters and the first process's moving averages."""
    recipe = dataclasses.replace(RECIPE, batch_size=8, clones=1)
    losses = []
    found = trained(
        open_net(), digits, recipe, processes=2, reopen=DIGITS,
        progress=lambda step, loss: losses.append((step, loss)),
    )  # fmt: skip
    assert_close(arrays(found), arrays(tuned), 1e-9)
    assert [step for step, _ in losses] == [1, 2, 3, 4, 5]
    assert not torch.distributed.is_initialized()


def test_batch_norms_that_see_the_whole_batch_make_other_steps(open_net, tuned, digits):
    found = arrays(trained(open_net(), digits, dataclasses.replace(RECIPE, clones=1)))
    with pytest.raises(AssertionError):
        assert_close(found, arrays(tuned), 1e-6)


def test_processes_share_out_the_augmented_batch(digits):
    mirrored = dataclasses.replace(digits, flip=True)
    whole = Recipe(steps=3, batch_size=12, seed=7)
    half = dataclasses.replace(whole, batch_size=6)
    parts = [training_batches(mirrored, half, Placement(worker=i, num_workers=2)) for i in (0, 1)]
    for batch, *shares in zip(training_batches(mirrored, whole), *parts, strict=True):
        for found, *pieces in zip(batch, *shares, strict=True):
            np.testing.assert_array_equal(np.concatenate(pieces), found)


def test_augmented_images_are_crops_of_padded_ones(digits):
    """Each is one of the 25 crops, or of their mirror images; of many images all are drawn."""
    mirrored = dataclasses.replace(digits, flip=True)
    recipe = Recipe(steps=1, batch_size=400, seed=1)
    augmented, labels = next(training_batches(mirrored, recipe))
    plain, same = next(training_batches(mirrored, dataclasses.replace(recipe, augment=False)))
    np.testing.assert_array_equal(labels, same)
    size, pad = 16, digits.padding
    drawn = set()
    for image, original in zip(augmented, plain, strict=True):
        padded = np.pad(original, ((pad, pad), (pad, pad), (0, 0)))
        crops = {
            (top, left, flip): padded[top : top + size, left : left + size][:, :: -1 if flip else 1]
            for top in range(2 * pad + 1)
            for left in range(2 * pad + 1)
            for flip in (False, True)
        }
        match = [place for place, crop in crops.items() if np.array_equal(crop, image)]
        assert match
        drawn.add(match[0])
    assert len(drawn) == 50
    unflipped, _ = next(training_batches(digits, recipe))
    assert not np.array_equal(unflipped, augmented)


def test_images_on_disk_are_those_of_slims_training(tmp_path):
    random = np.random.RandomState(0)
    for split in ("train", "test"):
        for label in range(2):
            folder = tmp_path / split / f"class{label}"
            folder.mkdir(parents=True)
            for i in range(4):
                pixels = random.randint(256, size=(20, 24, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    stream = datasets.load("image-folder", tmp_path, image_size=16)
    recipe = Recipe(steps=3, batch_size=5)
    for step, batch in enumerate(training_batches(stream, recipe)):
        for found, expected in zip(batch, inputs.training_batch(stream, recipe, step), strict=True):
            np.testing.assert_array_equal(found, expected)
    (tmp_path / "train" / "class1" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\nno image")
    with pytest.raises(DatasetError, match=r"class1.2\.png.*cannot be decoded"):
        list(training_batches(stream, recipe))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_what_is_written_comes_back(open_net, digits, tmp_path, suffix):
    net, path = open_net(), tmp_path / f"tuned{suffix}"
    finetune.save(net, path, "some/model.ckpt-7", digits, RECIPE)
    again = torch_model.load(path)
    assert again.arch == net.arch
    ckpt = exchange_files.load_weights(path, "torch")
    for name, value in arrays(net).items():
        np.testing.assert_array_equal(arrays(again)[name], value)
        np.testing.assert_array_equal(arrays(converters.to_torch(ckpt))[name], value)
    metadata = converters.files.open_weights(str(path)).metadata
    mean = ", ".join([f"{digits.mean[0]:.6g}"] * 3)
    assert metadata["preprocessing"].startswith(f"RGB, 0 to 255, minus the means {mean}")
    assert metadata["source"] == "model.ckpt-7"
    assert metadata["weight_decay"] == str(2**-7)


def test_weights_that_are_no_numbers_are_not_written(open_net, digits, tmp_path):
    net = open_net()
    net.fc.weight.data[0, 0] = float("nan")
    with pytest.raises(CheckpointError, match="logits/weights"):
        finetune.save(net, tmp_path / "tuned.pt", "source", digits, RECIPE)
    assert not list(tmp_path.iterdir())


def test_logits_for_other_classes_are_new_and_the_rest_is_kept(open_net):
    net = open_net()
    made, again, other = (finetune.with_classes(net, 7, seed) for seed in (0, 0, 1))
    found, before = arrays(made), arrays(net)
    assert made(torch.zeros(2, 3, 16, 16)).shape == (2, 7)
    assert {name for name in found if found[name].shape != before[name].shape} == {
        "fc.weight", "fc.bias",
    }  # fmt: skip
    for name in found.keys() - {"fc.weight", "fc.bias"}:
        np.testing.assert_array_equal(found[name], before[name])
    np.testing.assert_array_equal(found["fc.weight"], arrays(again)["fc.weight"])
    assert not np.array_equal(found["fc.weight"], arrays(other)["fc.weight"])
    assert not found["fc.bias"].any()


def test_a_loss_that_is_no_number_stops_the_training(open_net, digits):
    recipe = Recipe(steps=20, batch_size=8, learning_rate=1e30)
    with pytest.raises(finetune.DivergedError, match=r"the loss of step \d+ is (nan|inf)"):
        finetune.train(open_net(), digits, recipe)


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def broken():
    raise DatasetError("this file is truncated")


def test_a_process_that_does_not_know_the_dataset_ends_the_training(open_net, digits, monkeypatch):
    """As where `reopen` is a function of the user's own script."""
    script = types.ModuleType("script")
    exec("def reopen(): pass", script.__dict__)
    monkeypatch.setitem(sys.modules, "script", script)
    with pytest.raises(finetune.ProcessLostError, match="No module named 'script'"):
        finetune.train(
            open_net(), digits, Recipe(steps=1, batch_size=8), processes=2, reopen=script.reopen
        )


@pytest.mark.parametrize(
    ("reopen", "reason"),
    [
        pytest.param(killed, "SIGKILL", marks=pytest.mark.slow),
        (broken, "DatasetError: this file is truncated"),
    ],
)
def test_a_lost_process_ends_the_training(open_net, digits, reopen, reason):
    threads = torch.get_num_threads()
    with pytest.raises(finetune.ProcessLostError, match=reason):
        finetune.train(
            open_net(), digits, Recipe(steps=5, batch_size=8), processes=2, reopen=reopen
        )
    assert torch.get_num_threads() == threads
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": 0}, "0 processes cannot train"),
        ({"processes": 2}, "reopen"),
    ],
)
def test_what_cannot_be_started(open_net, digits, options, message):
    with pytest.raises(ValueError, match=message):
        finetune.train(open_net(), digits, Recipe(steps=1, batch_size=8), **options)


def test_what_is_not_kept_is_refused(open_net, digits):
    with pytest.raises(ValueError, match="moving averages of the weights"):
        finetune.train(open_net(), digits, Recipe(steps=1, ema=0.9))


def test_tensorflow_is_not_needed(open_net, digits, tmp_path):
    finetune.save(open_net(), tmp_path / "net.pt", "source", digits, RECIPE)
    code = """if True:
        import sys
        from converters import finetune
        from slim_resnet import datasets
        from slim_resnet.training.recipe import Recipe
        sys.modules["tensorflow"] = None
        net, digits = finetune.open_network(sys.argv[1]), datasets.load("digits")
        finetune.train(net, digits, Recipe(steps=1, batch_size=8))
        finetune.save(net, sys.argv[1], "source", digits, Recipe(steps=1))
        print(finetune.accuracy(net, datasets.load("digits", split="test")).total)
    """
    command = [sys.executable, "-c", code, str(tmp_path / "net.pt")]
    assert subprocess.check_output(command, text=True) == "360\n"


def test_a_keras_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="--from keras"):
        finetune.open_network(tmp_path / "model.keras")
