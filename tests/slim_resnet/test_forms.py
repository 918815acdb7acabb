"""The three forms of Fig. 3 of arXiv:1611.05431: other graphs, other names, the same numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import converters
from converters import formats
from converters.files import WeightsFile
from converters.graphs import GraphFacts
from converters.graphs.facts import DecayFact
from converters.recognise.forms import merge, split
from converters.recognise.recognised import Recognised
from slim_resnet import arch as arch_lib
from slim_resnet import graph
from slim_resnet.arch.parts import FORMS
from slim_resnet.compat import tf
from slim_resnet.regression.record import seeded_value

NETS = ("resnext_v1_50", "resnext_v2_50", "resnext_29_8x64d")


def seeded(arch) -> Recognised:
    """A checkpoint in memory in the form of `arch`, with Momentum slots and a global step."""
    values = {f"net/{v.name}": seeded_value(v.name, v.shape) for v in arch.variables}
    slots = {
        f"net/{v.name}/Momentum": seeded_value(f"{v.name}/Momentum", v.shape)
        for v in arch.variables
        if v.trainable
    }
    values.update(slots, global_step=np.int64(7), extra=np.ones(3, np.float32))
    return Recognised(WeightsFile.of_arrays("memory", values), arch, "net")


def end_points(ckpt, images):
    """The form's own graph, run with the form's own variables, in float64."""
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(images)
        _, tensors = graph.build(ckpt.arch, x, scope="net")
        stored = ckpt.stored()
        variables = graph.variables(ckpt.arch, "net")
        graph.assign(session, {v: stored[name] for name, v in variables.items()})
        return session.run({n: tensors[f"net/{n}"] for n in ckpt.arch.end_points})


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("form", ["concat", "branches"])
def test_outputs_are_the_same(name, form, narrow):
    arch = narrow(name, form=form)
    stages = tuple(dataclasses.replace(stage, num_units=2) for stage in arch.stages[:2])
    ckpt = seeded(arch.replace(stages=stages))
    images = np.random.default_rng(0).standard_normal((2, 33, 32, 3))
    here = end_points(ckpt, images)
    there = end_points(converters.transcode(ckpt, "grouped"), images)
    assert set(here) < set(there)
    for end_point, value in here.items():
        error = np.abs(value - there[end_point]).max() / np.abs(value).max()
        assert error <= 1e-12, end_point


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("second", FORMS)
def test_round_trips_are_bit_exact(name, first, second, narrow):
    ckpt = seeded(narrow(name, form=first))
    there = converters.transcode(ckpt, second)
    assert there.arch.form == second
    back = converters.transcode(there, first)
    assert set(back) == set(ckpt)
    for variable in ckpt:
        np.testing.assert_array_equal(back[variable], ckpt[variable])
    if first != second:
        assert set(there) != set(ckpt)


def test_what_is_known_of_a_checkpoint_goes_along():
    """The CIFAR script's variables have no scope; in the grouped form they have one."""
    arch = arch_lib.resnext_cifar(2, 4)
    values = {v.name: seeded_value(v.name, v.shape) for v in arch.variables}
    decays = (DecayFact("split_layer_1_0_splitN_0_batch1/gamma", 0.5), DecayFact("own", 0.25))
    facts = GraphFacts("model.meta", (), (), (), decays=decays)
    known = {"facts": facts, "library": "timm", "notes": ["a note"]}
    ckpt = Recognised(WeightsFile.of_arrays("memory", values), arch, "", **known)
    grouped = converters.transcode(ckpt, "grouped")
    assert (grouped.library, grouped.notes) == ("timm", ["a note"])
    assert grouped.facts.weight_decays("resnext_cifar") == (0.25, 0.5)
    back = converters.transcode(grouped, "concat")
    assert (back.facts, back.library, back.notes) == (facts, "timm", ["a note"])


def test_branches_are_slices(narrow):
    arch = narrow("resnext_v1_50", form="branches")
    grouped = arch.grouped
    weights = {v.name: seeded_value(v.name, v.shape) for v in grouped.variables}
    parts = split(arch, weights)
    unit, width = "block2/unit_1/bottleneck_v1", grouped.stages[1].depth_bottleneck // 4
    second = slice(width, 2 * width)
    for name, index in {
        "conv1/weights": np.s_[..., second],
        "conv1/BatchNorm/gamma": np.s_[second],
        "conv2/weights": np.s_[..., second],
        "conv2/BatchNorm/moving_mean": np.s_[second],
        "conv3/weights": np.s_[:, :, second],
    }.items():
        np.testing.assert_array_equal(
            parts[f"{unit}/branch_1/{name}"], weights[f"{unit}/{name}"][index]
        )
    np.testing.assert_array_equal(
        parts[f"{unit}/conv3/BatchNorm/beta"], weights[f"{unit}/conv3/BatchNorm/beta"]
    )
    merged = merge(arch, parts)
    assert list(merged) == list(weights)


@pytest.mark.parametrize("form", ["branches", pytest.param("concat", marks=pytest.mark.slow)])
def test_a_saver_restores_what_was_transcoded(form, narrow, tmp_path):
    """Trained as (a) or (b), written by our writer, restored into (c) by a plain Saver."""
    ckpt = seeded(narrow("resnext_v1_50", form=form))
    grouped = converters.transcode(ckpt, "grouped")
    formats.write_checkpoint(grouped, tmp_path / "model.ckpt-7")
    with tf.Graph().as_default(), tf.Session() as session:
        graph.build(grouped.arch, tf.placeholder(tf.float32, [1, 32, 32, 3]), scope="net")
        tf.train.get_or_create_global_step()
        tf.train.Saver().restore(session, str(tmp_path / "model.ckpt-7"))
        for variable in tf.global_variables():
            np.testing.assert_array_equal(session.run(variable), grouped[variable.op.name])
    read = converters.load_checkpoint(tmp_path / "model.ckpt-7")
    assert (read.global_step, read.unknown) == (7, ["extra"])
    assert len(read.auxiliary["optimizer slots"]) == 89


@pytest.mark.slow
def test_conversion_of_another_form_needs_no_extra_step(narrow):
    ckpt = seeded(narrow("resnext_v1_50", form="branches"))
    report = converters.verify(ckpt, ["torch"], image_sizes=[(32, 33)])
    assert report.passed, report.first_divergence
    assert converters.to_torch(ckpt).arch.form == "grouped"


def test_forms_that_do_not_exist():
    with pytest.raises(ValueError, match="unknown form 'sum'"):
        arch_lib.get("resnext_v1_50", form="sum")
    with pytest.raises(ValueError, match="only a ResNeXt unit has the form 'concat'"):
        arch_lib.get("resnet_v1_50", form="concat")
    with pytest.raises(ValueError, match="no form 'branches'"):
        arch_lib.get("resnext_cifar", form="branches")
