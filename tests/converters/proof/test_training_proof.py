"""A module trains as the graph that it was read of, or is found out."""

from __future__ import annotations

import contextlib
import functools
import json
from dataclasses import replace

import pytest
from tensorflow.python.training import moving_averages

from converters import convert
from converters.files import open_weights
from converters.files.graph_files import read_meta
from converters.graphs import read_network
from converters.proof.comparison import Comparison
from converters.proof.report import Proof, Report
from converters.proof.sides import GraphSource
from converters.proof.training import prove_training, trains, with_training
from converters.proof.training_updates import update_operations
from slim_resnet.compat import slim, tf

pytestmark = pytest.mark.usefixtures("inline")


@pytest.mark.parametrize(
    ("name", "statistics"), [("layers_trained", 6), ("train_cond_ema_moments", 6)]
)
def test_a_training_graph_and_its_module_take_the_same_step(wild, name, statistics):
    case = wild(name)
    assert trains(case.network)
    report, notes = prove_training(case.source, checkpoint="model.ckpt-100")
    check_right(report, statistics)
    assert notes == ()


def check_right(report, statistics):
    assert report.passed, report.first_divergence
    assert report.reference.startswith("the training of ")
    names = [c.end_point for c in report.comparisons]
    assert sum(name.endswith(", moved") for name in names) == statistics
    assert {"net/conv2/Relu", "net/logits/BiasAdd"} < set(names) or statistics == 6


FORMS = {
    "fused": {},
    "not fused": {"fused": False},
    "updates in place": {"updates_collections": None},
    "without gamma": {"scale": False, "center": True},
    "zero-debiased": {"zero_debias_moving_mean": True},
    "frozen": {},
    "alpha dropout": {},
    "moving whatever it trains": {},
}
TRAINED = list(FORMS)[:4]  # as torch trains
KEPT = "moving whatever it trains"


def alpha_dropout(x, keep=0.75, alpha=-1.7580993408473766):
    """As tf.contrib.nn had it."""
    mask = tf.floor(tf.random_uniform(tf.shape(x)) + keep)
    a = (keep + alpha**2 * keep * (1 - keep)) ** -0.5
    return tf.add((x * mask + alpha * (1 - mask)) * a, -a * alpha * (1 - keep), "alpha_dropout")


def kept_norm(x):
    """Moves its statistics at every step, and normalises by them: is_training says no for good."""
    slots = {"beta": 0.0, "gamma": 1.0, "moving_mean": 0.0, "moving_variance": 1.0}
    with tf.variable_scope("BatchNorm"):
        beta, gamma, *moving = (
            tf.get_variable(name, [x.shape[-1]], initializer=tf.constant_initializer(value),
                            trainable=not name.startswith("moving"))
            for name, value in slots.items()
        )  # fmt: skip
    found = tf.nn.moments(x, [0, 1, 2])
    for variable, value in zip(moving, found, strict=True):
        update = moving_averages.assign_moving_average(variable, value, 0.9, zero_debias=False)
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, update)
    mean, variance = tf.cond(tf.constant(False), lambda: list(found), lambda: moving)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


@contextlib.contextmanager
def control_flow(kind):
    """Lets tf.cond make "switches", as TensorFlow 1.15 did, or else functions."""
    if kind == "switches":
        tf.disable_control_flow_v2()
    try:
        yield
    finally:
        tf.enable_control_flow_v2()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Graphs of two batch norms of equal width, and a dropout, as slim's training leaves them."""

    @functools.cache
    def make(form: str, fed: str = "") -> GraphSource:
        options = {"scale": True, "decay": 0.9, **FORMS[form]}
        first = {
            "frozen": {"normalizer_params": {**options, "is_training": False}},
            KEPT: {"normalizer_fn": kept_norm, "normalizer_params": None},
        }
        prefix = str(tmp_path_factory.mktemp("trained") / "model.ckpt")
        with control_flow(fed), tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(0)
            image = tf.placeholder(tf.float32, [None, None, None, 3], name="image")
            training = tf.placeholder(tf.bool, [], name="is_training") if fed else True
            with tf.variable_scope("net"), slim.arg_scope(
                [slim.conv2d], normalizer_fn=slim.batch_norm,
                normalizer_params={**options, "is_training": training},
            ):  # fmt: skip
                net = slim.conv2d(image, 8, 3, stride=2, scope="conv1", **first.get(form, {}))
                net = slim.conv2d(net, 8, 3, stride=2, scope="conv2")
                if form == "alpha dropout":
                    net = alpha_dropout(net)
                else:
                    net = slim.dropout(net, 0.75, is_training=training, scope="dropout")
                net = slim.conv2d(net, 5, 1, activation_fn=None, normalizer_fn=None, scope="logits")
            tf.train.MomentumOptimizer(0.1, 0.9).minimize(tf.reduce_sum(net * net))
            session.run(tf.global_variables_initializer())
            tf.train.Saver().save(session, prefix)
        graph = read_meta(f"{prefix}.meta")
        network = read_network(graph, inputs=["image"], outputs=["net/logits/BiasAdd"])
        return GraphSource("model.ckpt.meta", graph, open_weights(prefix), network)

    return make


@pytest.mark.parametrize(
    ("form", "fed"),
    [
        *((form, fed) for form in list(FORMS)[:4] for fed in ("", "switches")),
        ("fused", "functions"),
    ],
)
def test_every_form_of_batch_norm_trains_as_its_graph(trained, form, fed):
    """`is_training` a constant, or fed: then the graph has tf.cond, in either way to write it."""
    report, notes = prove_training(trained(form, fed), checkpoint="model.ckpt")
    check_right(report, 4)
    assert notes == ()


@pytest.mark.parametrize("form", ["frozen", KEPT])
@pytest.mark.parametrize("fed", ["", "switches"])
def test_frozen_batch_norms_are_told(trained, form, fed):
    """They take no part in the training: theirs are compared in `.eval()` mode."""
    report, notes = prove_training(trained(form, fed), checkpoint="model.ckpt")
    check_right(report, 4)
    assert len(notes) == 1
    assert notes[0].startswith("1 batch norms keep their statistics")


def test_what_torch_does_not_do_is_told_and_left_out(trained):
    report, notes = prove_training(trained("zero-debiased"), checkpoint="model.ckpt")
    check_right(report, 2)
    assert len(notes) == 1
    assert notes[0].startswith("2 moving statistics are zero-debiased")


def test_a_graph_of_an_evaluation_does_not_train(wild):
    assert not trains(wild("lrn").network)
    assert update_operations(wild("lrn").graph, wild("lrn").network) == {}


def test_the_updates_are_those_of_the_batch_norms(wild):
    case = wild("layers_trained")
    found = update_operations(case.graph, case.network)
    assert len(found) == 6
    assert all("AssignMovingAvg" in name for name in found)


# Faults in what was read of the graph.


def changed(network, change):
    layers = tuple(change(layer) for layer in network.layers)
    assert layers != network.layers
    return network.replace(layers=layers)


def swapped_statistics(network):
    """The first two batch norms of equal width, each with the moving statistics of the other."""
    norms = [layer for layer in network.layers if layer.kind == "batch_norm"]
    sizes = [network.parameters[n.weights["mean"]].shape for n in norms]
    one, other = next(
        (a, b)
        for i, a in enumerate(norms)
        for j, b in enumerate(norms)
        if i < j and sizes[i] == sizes[j]
    )
    moving = {
        mine.name: {role: its.weights[role] for role in ("mean", "variance")}
        for mine, its in ((one, other), (other, one))
    }
    return changed(
        network,
        lambda x: replace(x, weights={**x.weights, **moving.get(x.name, {})}),
    )


def with_option(kind, name, value):
    def change(network):
        first = next(layer for layer in network.layers if layer.kind == kind)
        return changed(
            network,
            lambda x: replace(x, options={**x.options, name: value}) if x is first else x,
        )

    return change


def without_dropout(network):
    return changed(
        network,
        lambda x: replace(x, kind="identity", options={}) if x.kind == "dropout" else x,
    )


def added_dropout(network):
    """A dropout where the graph has none."""
    dropout = next(layer for layer in network.layers if layer.kind == "dropout")
    layers = []
    for layer in network.layers:
        if layer.name == "net/conv2/Conv2D":
            (before,) = layer.inputs
            shape = next(each.shape for each in network.layers if each.name == before)
            layers.append(replace(dropout, name="net/left_in", inputs=(before,), shape=shape))
            layer = replace(layer, inputs=("net/left_in",))
        layers.append(layer)
    return network.replace(layers=tuple(layers))


@pytest.mark.parametrize(
    ("fault", "first"),
    [
        (swapped_statistics, ", moved"),
        (with_option("batch_norm", "decay", 0.98), ", moved"),
        (with_option("batch_norm", "fused", False), ", moved"),
        (with_option("batch_norm", "epsilon", 1.1e-3), "net/conv1/BatchNorm"),
        (with_option("dropout", "rate", 0.2), "net/dropout"),
        (without_dropout, "net/dropout"),
        (added_dropout, "net/conv2"),
    ],
)
@pytest.mark.parametrize("fed", ["", "switches"])
def test_a_wrong_reading_is_found(trained, fault, first, fed):
    source = trained("fused", fed)
    wrong = replace(source, network=fault(source.network))
    report, _ = prove_training(wrong, checkpoint="model.ckpt")
    assert not report.passed
    assert first in report.first_divergence.end_point


# As part of a proof.

PASSED = Proof(
    "model.ckpt.meta",
    ("net/logits/BiasAdd",),
    (
        Report(
            "model.ckpt",
            "",
            "model.ckpt.meta",
            "float64",
            1.0,
            (Comparison("", (65, 81), "", 0, 0),),
        ),
    ),
)


def test_a_conversion_proves_the_training_too(wild, tmp_path):
    case = wild("train_cond_ema_moments")
    outcome = convert(
        str(case.folder / case.about["checkpoint"]),
        str(tmp_path / "model.safetensors"),
        "torch",
        outputs=list(case.about["outputs"]),
        report=str(tmp_path / "report.json"),
    )
    assert not outcome.error
    assert "a step of its training float64" in outcome.proof.sentence()
    assert outcome.proof.sentence().endswith("6 moved statistics")
    training = json.loads((tmp_path / "report.json").read_text())["training"]
    assert training["passed"]
    assert training["reference"].startswith("the training of ")


def test_a_wrong_reading_is_not_proved(trained):
    source = trained("fused")
    wrong = replace(source, network=swapped_statistics(source.network))
    proof = with_training(PASSED, wrong, checkpoint="model.ckpt")
    assert not proof.passed
    assert "not proved against the training of model.ckpt.meta" in proof.sentence()
    assert ", moved" in proof.first_divergence.end_point


def test_a_training_that_torch_does_not_know_is_told(trained):
    proof = with_training(PASSED, trained("alpha dropout"), checkpoint="model.ckpt")
    assert proof.passed
    assert proof.training is None
    assert "its training was not run" in proof.notes[-1]
    assert "'net/alpha_dropout' is an alpha dropout" in proof.notes[-1]
