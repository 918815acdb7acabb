"""Training goes on from a converted file with the momentum it had: five more steps, as slim's.

All in float64: losses relative to themselves, weights relative to the largest one, both to 1e-9
(seen: 3e-15 and 4e-16).
"""

from __future__ import annotations

import math
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest
import torch

import converters
from converters import formats
from converters.files import WeightsFile
from converters.models import resume, torch_model
from converters.models.naming import table
from converters.models.resume import Recipe
from converters.models.training import sgd_param_groups
from converters.recognise.recognised import Recognised
from slim_resnet import graph
from slim_resnet.compat import tf

# Few bits each: TensorFlow and Keras round them to float32 even where all else is float64.
RATE, MOMENTUM, DECAY = 2**-7, 0.875, 2**-13
NETS = ("slim_v1", "slim_v2")


@pytest.fixture(scope="module", params=["slim_v1", pytest.param("slim_v2", marks=pytest.mark.slow)])
def name(request):
    return request.param


@pytest.fixture(scope="module")
def ckpt(name, data):
    return converters.load_checkpoint(data / name / "v2")


@pytest.fixture(scope="module")
def written(data, tmp_path_factory):
    """written("slim_v1", ".pt") -> the file that the tool made of it, with its optimizer."""
    folder = tmp_path_factory.mktemp("written")
    tool = data.parents[1] / "tools" / "convert_checkpoint.py"
    recipe = ["--learning-rate", RATE, "--momentum", MOMENTUM, "--weight-decay", DECAY]
    for target in ("torch", "keras"):
        command = [sys.executable, tool, *(data / net / "v2" for net in NETS), "--to", target]
        command += ["--output", f"{folder}/", "--no-verify", "--optimizer", *recipe]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return lambda net, suffix: folder / net / "v2" / f"model.ckpt-60{suffix}"


@pytest.fixture(scope="module")
def batches():
    rng = np.random.RandomState(1)
    images = rng.uniform(-1, 1, (5, 4, 64, 64, 3))
    return list(zip(images, rng.randint(10, size=(5, 4)), strict=True))


@pytest.fixture(scope="module")
def by_slim(ckpt, batches):
    """The slim graph's training from the checkpoint, weights and slots as the file has them.

    Cross entropies, losses with the L2 of the weights, the trainable weights after the last step,
    and the names of those that have weight decay.
    """
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
        l2 = tf.losses.get_regularization_loss()
        step = tf.train.MomentumOptimizer(RATE, MOMENTUM).minimize(cross_entropy + l2)
        graph.assign(session, {v: ckpt[v.op.name] for v in tf.global_variables()})
        fetches = (cross_entropy, cross_entropy + l2, step)
        steps = [session.run(fetches, {images: x, labels: y}) for x, y in batches]
        entropies, losses, _ = zip(*steps, strict=True)
        trainable = tf.trainable_variables()
        pairs = zip(trainable, tf.gradients(l2, trainable), strict=True)
        decayed = {v.op.name for v, gradient in pairs if gradient is not None}
        return entropies, losses, session.run({v.op.name: v for v in trainable}), decayed


def assert_same_weights(ckpt, found, expected):
    """`found`: a function of a row of the table."""
    largest = max(np.abs(v).max() for v in expected.values())
    for row in table(ckpt.arch):
        if row.trainable:
            error = np.abs(found(row) - expected[ckpt.full_name(row.slim)]).max()
            assert error <= 1e-9 * largest, row.slim


def train_torch(path, batches, resumed: bool):
    """Losses and state of five steps with what is in the file."""
    net = torch_model.load(path).double().train()
    saved = torch.load(path, weights_only=True)
    # An optimizer of other habits: the file knows better.
    optimizer = torch.optim.SGD(sgd_param_groups(net, 0.5), lr=9)
    optimizer.load_state_dict(saved["optimizer"])
    assert saved["global_step"] == 60
    if not resumed:
        optimizer.state.clear()
    losses = []
    for x, y in batches:
        optimizer.zero_grad()
        logits = net(torch.from_numpy(x).permute(0, 3, 1, 2))
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, {name: value.detach().numpy() for name, value in net.state_dict().items()}


def test_torch_goes_on_as_slim(name, ckpt, written, batches, by_slim):
    entropies, _, weights, _ = by_slim
    losses, state = train_torch(written(name, ".pt"), batches, resumed=True)
    np.testing.assert_allclose(losses, entropies, rtol=1e-9)
    assert_same_weights(ckpt, lambda row: row.to_torch.inverse(state[row.torch]), weights)


def test_without_the_momentum_it_goes_another_way(name, written, batches, by_slim):
    losses, _ = train_torch(written(name, ".pt"), batches, resumed=False)
    assert np.abs(np.array(losses) / by_slim[0] - 1).max() > 1e-3


@pytest.fixture
def floatx64():
    """Keras computes the losses that `compile` is given in its default dtype."""
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


def in_float64(path, folder):
    """The model of a `.keras` file, its optimizer included, with float64 variables."""
    changed = folder / "float64.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for member in old.namelist():
            content = old.read(member)
            if member == "config.json":
                content = content.replace(b'"float32"', b'"float64"')
            new.writestr(member, content)
    return keras.saving.load_model(changed)


@pytest.mark.usefixtures("floatx64")
def test_keras_goes_on_as_slim(name, ckpt, written, batches, by_slim, tmp_path):
    _, expected_losses, weights, _ = by_slim
    model = in_float64(written(name, ".keras"), tmp_path)
    assert {v.dtype for v in model.trainable_variables} == {"float64"}
    assert int(model.optimizer.iterations) == 60
    model.run_eagerly = True
    losses = [model.train_on_batch(x, y) for x, y in batches]
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-9)
    state = {v.path: v.value.numpy() for v in model.variables}
    assert_same_weights(ckpt, lambda row: row.to_keras.inverse(state[row.keras]), weights)


def test_the_files_decay_what_slim_decays(name, ckpt, written, by_slim):
    decayed = by_slim[3]
    rows = [row for row in table(ckpt.arch) if ckpt.full_name(row.slim) in decayed]
    assert len(rows) == len(decayed)

    net = torch_model.load(written(name, ".pt"))
    optimizer = torch.optim.SGD(sgd_param_groups(net, 0.5), lr=9)
    optimizer.load_state_dict(torch.load(written(name, ".pt"), weights_only=True)["optimizer"])
    names = {id(p): n for n, p in net.named_parameters()}
    decays = {
        names[id(p)]: group["weight_decay"]
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert decays == dict.fromkeys(decays, 0.0) | dict.fromkeys((r.torch for r in rows), DECAY)
    assert decays.keys() == set(names.values())

    model = keras.saving.load_model(written(name, ".keras"))
    found = {v.path: v.regularizer.l2 for v in model.trainable_variables if v.regularizer}
    assert found == dict.fromkeys((r.keras for r in rows), DECAY / 2)


def test_npz_and_slim_carry_every_slot(name, ckpt, tmp_path):
    for target, path in (("npz", tmp_path / "net.npz"), ("slim", tmp_path / "model.ckpt")):
        formats.writer(target, path, Recipe())(ckpt)
        found = converters.load_checkpoint(path, arch=ckpt.arch)
        slots = resume.momentum(found)
        for slot, value in resume.momentum(ckpt).items():
            np.testing.assert_array_equal(slots[slot], value)
        assert found.global_step == 60


def kinds(writer, ckpt):
    return {kind: len(names) for kind, names in writer.left_out(ckpt)}


def test_what_is_left_out(ckpt, tmp_path):
    slots, averages = 161 + 13 * (ckpt.arch.family == "resnet_v2"), 267
    averages += 5 * (ckpt.arch.family == "resnet_v2")
    plain = {"training state": 1, "moving averages": averages, "optimizer slots": slots}
    assert kinds(formats.writer("torch", tmp_path / "x.safetensors"), ckpt) == plain
    for target, path in (("torch", "x.pt"), ("keras", "x.keras"), ("npz", "x.npz")):
        writer = formats.writer(target, tmp_path / path, Recipe(0.1))
        assert kinds(writer, ckpt) == {"moving averages": averages}
    assert kinds(formats.writer("slim", tmp_path / "x"), ckpt) == {}


def test_moving_averages_as_the_weights_of_a_slim_checkpoint(name, data, tmp_path):
    averaged = converters.load_checkpoint(data / name / "v2", weights="ema")
    writer = formats.writer("slim", tmp_path / "model.ckpt")
    assert list(dict(writer.left_out(averaged))) == ["replaced by moving averages"]
    writer(averaged)
    found = converters.load_checkpoint(tmp_path / "model.ckpt")
    expected = averaged.stored()
    for variable, value in found.stored().items():
        np.testing.assert_array_equal(value, expected[variable])
    other = f"{averaged.full_name('conv1/weights')}/Momentum"
    np.testing.assert_array_equal(found[other], averaged[other])


def test_strings_of_tensorflow_2_have_no_place(ckpt, tmp_path):
    values = {**ckpt, "_CHECKPOINTABLE_OBJECT_GRAPH": np.array(b"graph", object)}
    made = Recognised(WeightsFile.of_arrays("model.ckpt-9", values), ckpt.arch, ckpt.scope)
    writer = formats.writer("slim", tmp_path / "model.ckpt")
    assert [names for _, names in writer.left_out(made)] == [["_CHECKPOINTABLE_OBJECT_GRAPH"]]
    writer(made)
    assert set(converters.load_checkpoint(tmp_path / "model.ckpt")) == set(ckpt)


def with_slots(ckpt, *slots):
    """The checkpoint with other slots than Momentum."""
    values = {n: ckpt[n] for n in ckpt if not n.endswith("/Momentum")}
    values |= {f"{ckpt.full_name('conv1/weights')}/{slot}": np.float32(0) for slot in slots}
    return Recognised(WeightsFile.of_arrays("model.ckpt-9", values), ckpt.arch, ckpt.scope)


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ((), "/conv1/weights/Momentum: it was trained without momentum, or holds the model alone"),
        (("Adam", "Adam_1"), "was not Momentum, but one with the slots Adam, Adam_1, which stay"),
        (("RMSProp", "RMSProp_1"), "one with the slots RMSProp, RMSProp_1, .*leave --optimizer"),
    ],
)
def test_other_optimizers_are_named(ckpt, slots, message, tmp_path):
    writer = formats.writer("torch", tmp_path / "x.pt", Recipe(0.1))
    for act in (writer.left_out, writer):
        with pytest.raises(converters.CheckpointError, match=message):
            act(with_slots(ckpt, *slots))
    assert list(tmp_path.iterdir()) == []


def test_slots_below_the_scope_of_an_optimizer_are_found(ckpt):
    """`with tf.variable_scope("train_op"):` around the optimizer puts them there."""
    slots = set(ckpt.auxiliary["optimizer slots"])
    arrays = {f"train_op/{name}" if name in slots else name: ckpt[name] for name in ckpt}
    scoped = Recognised(WeightsFile.of_arrays("scoped.ckpt", arrays), ckpt.arch, ckpt.scope)
    found, expected = resume.momentum(scoped), resume.momentum(ckpt)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_moving_averages_have_no_momentum(name, data):
    averaged = converters.load_checkpoint(data / name / "v2", weights="ema")
    with pytest.raises(converters.CheckpointError, match="not of their moving averages: leave"):
        resume.momentum(averaged)


@pytest.mark.parametrize(
    ("target", "file", "recipe", "message"),
    [
        ("torch", "x.pt", Recipe(), "say --learning-rate"),
        ("keras", "x.keras", Recipe(), "say --learning-rate"),
        ("torch", "x.safetensors", Recipe(1), r"no place for an optimizer.*torch \(.pt\), keras"),
        ("torchvision", "x.pth", Recipe(1), "no place for an optimizer"),
        ("hdf5", "x.h5", Recipe(1), "no place for an optimizer"),
    ],
)
def test_files_without_a_place_for_an_optimizer(target, file, recipe, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        formats.writer(target, tmp_path / file, recipe)


@pytest.mark.parametrize("values", [(0,), (-1,), (math.nan,), (1, 1), (1, -1), (1, 0, -1)])
def test_recipes_that_train_nothing(values):
    with pytest.raises(ValueError, match="no training goes on so"):
        Recipe(*values)
