"""Training after conversion: steps of the torch and Keras models are steps of the slim graph."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import torch

import converters
from converters.models.naming import table
from converters.models.training import set_keras_weight_decay, sgd_param_groups
from slim_resnet import graph
from slim_resnet.compat import slim, tf

# Few bits each: TensorFlow and Keras round them to float32 even where all else is float64.
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, BATCH_NORM_DECAY = 2**-7, 0.875, 2**-7, 0.75
STEPS = 3
# Optimizing these graphs takes longer than running them.
UNOPTIMIZED = tf.ConfigProto()
UNOPTIMIZED.graph_options.rewrite_options.disable_meta_optimizer = True


def load(path):
    """The checkpoint, with a batch norm decay that float32 holds exactly."""
    arch = converters.load_checkpoint(path).arch
    return converters.load_checkpoint(path, arch=arch.replace(batch_norm_decay=BATCH_NORM_DECAY))


@pytest.fixture(scope="module")
def resnext(narrow, save_checkpoint):
    """A ResNeXt of six units: with projections, identities and strides, and quick to train."""
    arch = narrow("resnext_v1_50")
    stages = tuple(dataclasses.replace(stage, num_units=2) for stage in arch.stages[:3])
    return load(save_checkpoint(arch.replace(stages=stages)))


@pytest.fixture(
    scope="module", params=[pytest.param("slim_v1", marks=pytest.mark.slow), "slim_v2", "resnext"]
)
def ckpt(request, data):
    if request.param == "resnext":
        return request.getfixturevalue("resnext")
    return load(data / request.param / "v2")


@pytest.fixture(scope="module")
def batches():
    rng = np.random.RandomState(0)
    images = rng.uniform(-1, 1, (STEPS, 4, 64, 64, 3)).astype(np.float32)
    return list(zip(images, rng.randint(10, size=(STEPS, 4)), strict=True))


@pytest.fixture(scope="module")
def by_slim(ckpt, batches):
    return train_slim(ckpt, batches)


@pytest.fixture
def floatx64():
    """Keras computes the losses that `compile` is given in its default dtype."""
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


def train_slim(ckpt, batches, dtype=tf.float64):
    """The slim graph's variables after each batch; its batch norm is fused unless in float64."""
    with tf.Graph().as_default(), tf.Session(config=UNOPTIMIZED) as session:
        images = tf.placeholder(dtype, [None, None, None, 3])
        labels = tf.placeholder(tf.int64, [None])
        net, _ = graph.build(
            ckpt.arch, images, is_training=True, scope="net", weight_decay=WEIGHT_DECAY
        )
        tf.losses.sparse_softmax_cross_entropy(labels, tf.squeeze(net, [1, 2]))
        optimizer = tf.train.MomentumOptimizer(LEARNING_RATE, MOMENTUM)
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            step = optimizer.minimize(tf.losses.get_total_loss())
        session.run(tf.variables_initializer(optimizer.variables()))
        variables = {v.op.name.removeprefix("net/"): v for v in slim.get_model_variables()}
        weights = ckpt.weights()
        graph.assign(session, {v: weights[name] for name, v in variables.items()})
        after = []
        for x, y in batches:
            session.run(step, {images: x, labels: y})
            after.append(session.run(variables))
        return after


def train_torch(ckpt, batches, dtype=torch.float64, param_groups=sgd_param_groups):
    """The torch module's weights after each batch, under slim's names and in slim's layout."""
    net = converters.to_torch(ckpt).to(dtype).train()
    optimizer = torch.optim.SGD(param_groups(net, WEIGHT_DECAY), LEARNING_RATE, MOMENTUM)
    after = []
    for x, y in batches:
        optimizer.zero_grad()
        logits = net(torch.from_numpy(x).to(dtype).permute(0, 3, 1, 2))
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(y)).backward()
        optimizer.step()
        state = {name: value.numpy().copy() for name, value in net.state_dict().items()}
        after.append({r.slim: r.to_torch.inverse(state[r.torch]) for r in table(ckpt.arch)})
    return after


def train_keras(ckpt, batches, dtype="float64"):
    """The Keras model's weights after each batch, likewise."""
    model = converters.to_keras(ckpt, dtype=dtype)
    set_keras_weight_decay(model, WEIGHT_DECAY)
    model.compile(
        keras.optimizers.SGD(LEARNING_RATE, MOMENTUM),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        run_eagerly=True,  # tracing the model takes longer than three steps
    )
    after = []
    for x, y in batches:
        model.train_on_batch(x, y)
        state = {v.path: v.value.numpy().copy() for v in model.variables}
        after.append({r.slim: r.to_keras.inverse(state[r.keras]) for r in table(ckpt.arch)})
    return after


def bessel_factors(ckpt, images):
    """slim's moving variance -> n / (n - 1) for the n = batch * height * width it is taken of."""
    net = converters.to_torch(ckpt)
    counts = {}
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_pre_hook(
                lambda _, args, name=name: counts.update({name: args[0][:, 0].numel()})
            )
    net(torch.from_numpy(images).permute(0, 3, 1, 2))
    found = {}
    for row in table(ckpt.arch):
        module, _, kind = row.torch.rpartition(".")
        if kind == "running_var":
            found[row.slim] = counts[module] / (counts[module] - 1)
    return found


def unbiased(values, initial, factors, steps):
    """The moving variances of `values`, had the batches' unbiased ones gone into them."""
    found = {}
    for name, factor in factors.items():
        kept = BATCH_NORM_DECAY**steps * initial[name].astype(np.float64)
        found[name] = kept + factor * (values[name] - kept)
    return found


def relative(found, expected):
    error = np.abs(found - expected).max()
    return error and error / np.abs(expected).max()


def assert_equal(found, expected):
    """Every variable, relative to its own largest value."""
    for name, value in expected.items():
        # v2: a batch norm takes away what such a bias adds; rounding alone has made and moves it.
        cancelled = name.endswith("/biases") and name != "logits/biases"
        error = relative(found[name], value)
        assert error <= (1e-9 if cancelled else 1e-12), f"{name}: {error:.1e}"


def test_torch_steps_are_those_of_slim(ckpt, batches, by_slim):
    initial, factors = ckpt.weights(), bessel_factors(ckpt, batches[0][0])
    pairs = zip(train_torch(ckpt, batches), by_slim, strict=True)
    for step, (found, expected) in enumerate(pairs, start=1):
        assert_equal(found, {**expected, **unbiased(expected, initial, factors, step)})


def test_keras_steps_are_those_of_slim(ckpt, batches, by_slim, floatx64):
    for found, expected in zip(train_keras(ckpt, batches), by_slim, strict=True):
        assert_equal(found, expected)


def test_decay_on_all_parameters_is_not_slims(ckpt, batches, by_slim):
    def one_group(net, weight_decay):
        return [{"params": net.parameters(), "weight_decay": weight_decay}]

    found = train_torch(ckpt, batches[:1], param_groups=one_group)[0]
    decayed = {name for name, value in by_slim[0].items() if relative(found[name], value) > 1e-6}
    assert {name for name in decayed if name.endswith("gamma")} == {
        name for name in found if name.endswith("gamma")
    }
    assert not {name for name in decayed if name.endswith("weights")}


def test_moving_variance_is_unbiased_in_float32_slim_and_torch(resnext, batches):
    """Slim's fused batch norm: what users trained with."""
    first = batches[:1]
    fused = train_slim(resnext, first, tf.float32)[0]
    by_torch = train_torch(resnext, first, torch.float32)[0]
    biased = train_slim(resnext, first, tf.float64)[0]
    factors = bessel_factors(resnext, first[0][0])
    expected = unbiased(biased, resnext.weights(), factors, steps=1)
    for name in factors:
        assert relative(fused[name], expected[name]) <= 1e-5
        assert relative(by_torch[name], fused[name]) <= 1e-5
    assert max(relative(biased[name], fused[name]) for name in factors) > 1e-3


def test_moving_variance_is_biased_in_keras():
    layer = keras.layers.BatchNormalization(momentum=BATCH_NORM_DECAY)
    images = np.random.RandomState(0).standard_normal((2, 2, 1, 3)).astype(np.float32)
    layer(images, training=True)
    expected = BATCH_NORM_DECAY + (1 - BATCH_NORM_DECAY) * images.var((0, 1, 2))
    assert relative(layer.moving_variance.numpy(), expected) <= 1e-6


def test_param_groups_share_out_every_parameter(ckpt):
    net = converters.to_torch(ckpt)
    decayed, rest = sgd_param_groups(net, 0.5)
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.5, 0.0)
    kernels = [m.weight for m in net.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
    assert list(map(id, decayed["params"])) == list(map(id, kernels))
    assert {*map(id, kernels), *map(id, rest["params"])} == set(map(id, net.parameters()))


def test_keras_weight_decay_is_on_slims_variables_and_is_saved(ckpt, tmp_path):
    converters.to_keras(ckpt).save(tmp_path / "plain.keras")
    model = keras.saving.load_model(tmp_path / "plain.keras")
    set_keras_weight_decay(model, 1.0)
    set_keras_weight_decay(model, 0.5)
    model.save(tmp_path / "decayed.keras")
    expected = {row.keras for row in table(ckpt.arch) if row.slim.endswith("/weights")}
    for each in (model, keras.saving.load_model(tmp_path / "decayed.keras")):
        decays = {v.path: v.regularizer.l2 for v in each.trainable_variables if v.regularizer}
        assert decays == dict.fromkeys(expected, 0.25)
