"""Planted faults: each is found and the first node that differs is named, with the reason."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from slim_resnet import resnet_utils, resnet_v1
from slim_resnet.arch.parts import PARITY
from slim_resnet.compat import slim, tf
from slim_resnet.regression.aspects import structure
from slim_resnet.regression.measured import measure
from slim_resnet.regression.network_check import check
from slim_resnet.regression.rebuilt import Builder, rebuild, recorded_graph
from tests.slim_resnet.regression import networks

BLOCK1 = "resnet_v1_50/block1"
UNIT3 = f"{BLOCK1}/unit_3/bottleneck_v1"


@pytest.fixture(scope="module")
def record(read):
    return read("resnet_v1_50")


@pytest.fixture
def differences(record):
    """Aspect -> its differences, for a network built with a fault."""

    def find(function, *, cases=(), record=record, scope=None, **kwargs):
        scope = resnet_utils.resnet_arg_scope() if scope is None else scope
        build = Builder(function, {**record.info["kwargs"], **kwargs}, scope)
        checked = check(record, build, cases=cases)
        found = {aspect.name: aspect.differences for aspect in checked.aspects}
        assert checked.first == next((d for ds in found.values() for d in ds), None)
        return found

    return find


def test_a_stride(differences):
    found = differences(networks.with_blocks((3, 1), (4, 2), (6, 2), (3, 1)))
    assert found["graph"][0] == (
        f"{UNIT3}/conv2/Conv2D: padding SAME where the record has VALID; "
        "strides [1, 1, 1, 1] where the record has [1, 2, 2, 1]; "
        f"input 0 is Relu {UNIT3}/conv1/Relu where the record has Pad {UNIT3}/Pad"
    )
    assert found["variables"] == ()


def test_the_place_of_the_stride(differences):
    found = differences(resnet_v1.resnet_v1_50, convention="torchvision")
    assert found["graph"][0] == (
        "resnet_v1_50/pool1/MaxPool: padding VALID where the record has SAME; input 0 is Pad "
        "resnet_v1_50/PadV2 where the record has Relu resnet_v1_50/conv1/Relu"
    )
    strided = f"{UNIT3}/conv2/Conv2D: padding SAME where the record has VALID; strides [1, 1, 1, 1]"
    assert any(d.startswith(strided) for d in found["graph"])


def test_an_epsilon_that_tf_115_hid_shows_in_float64(record):
    scope = resnet_utils.resnet_arg_scope(batch_norm_epsilon=1e-6)
    build = Builder(resnet_v1.resnet_v1_50, record.info["kwargs"], scope)
    net = rebuild(record, build, "float64")
    found = measure(record, net, net.counterparts(record), ["float64|64x64"], None)
    assert found[0].end_point == "resnet_v1_50/conv1"
    assert found[0].exceeds(PARITY["float64"])


def test_conv2d_where_slim_has_conv2d_same(differences, monkeypatch):
    def conv2d(inputs, depth, kernel, stride, rate=1, scope=None, **_):
        return slim.conv2d(inputs, depth, kernel, stride, rate=rate, scope=scope)

    monkeypatch.setattr(resnet_utils, "conv2d_same", conv2d)
    found = differences(resnet_v1.resnet_v1_50)
    assert found["graph"][0] == (
        "resnet_v1_50/conv1/Conv2D: padding SAME where the record has VALID; "
        "input 0 is input images where the record has Pad resnet_v1_50/Pad"
    )


def test_a_swapped_pair_of_layers(differences):
    found = differences(networks.relu_before_sum)
    unit = f"{BLOCK1}/unit_1/bottleneck_v1"
    assert found["graph"][0] == (f"{unit}: is Add {unit}/add where the record has Relu {unit}/Relu")
    assert found["variables"] == ()


def test_a_unit_too_many(differences):
    found = differences(networks.with_blocks((3, 2), (5, 2), (6, 2), (3, 1)))
    assert "resnet_v1_50/block2/unit_4/bottleneck_v1/conv2/Conv2D" in found["graph"][0]
    new = "resnet_v1_50/block2/unit_5/bottleneck_v1/conv1"
    assert f"{new}: is not in the record" in found["graph"]
    assert f"variable {new}/weights: is not in the record" in found["variables"]


def test_a_missing_regularizer(differences):
    found = differences(networks.without_a_regularizer)
    weights = f"{BLOCK1}/unit_2/bottleneck_v1/conv3/weights"
    assert found["regularization losses"] == (
        f"regularization loss of {weights}: is missing from the rebuilt network",
    )
    assert found["collections"] == (
        "collection regularization_losses: 53 members where the record has 54",
    )
    assert found["graph"] == found["variables"] == ()


def test_another_weight_decay(differences):
    scope = resnet_utils.resnet_arg_scope(weight_decay=5e-4)
    found = differences(resnet_v1.resnet_v1_50, scope=scope, cases=["float32|64x64"])
    assert found["numbers float32"] == (
        "float32|64x64 regularization losses (sum): differs by 4.0e+00",
    )
    assert len(found["regularization losses"]) == 54
    assert found["regularization losses"][0] == (
        "resnet_v1_50/conv1/kernel/Regularizer/l2_regularizer: "
        "input 0 is float32 constant 0.0005 where the record has float32 constant 0.0001"
    )


def test_another_output_stride(differences, read):
    found = differences(resnet_v1.resnet_v1_50, record=read("resnet_v1_50_os8"), output_stride=16)
    conv2 = "resnet_v1_50/block2/unit_4/bottleneck_v1/conv2/Conv2D"
    assert found["graph"][0].startswith(
        f"{conv2}: padding VALID where the record has SAME; strides [1, 2, 2, 1]"
    )
    rate = "resnet_v1_50/block3/unit_1/bottleneck_v1/conv2/Conv2D: dilations [1, 1, 1, 1]"
    assert f"{rate} where the record has [1, 2, 2, 1]" in found["graph"]


def test_training_mode(differences):
    found = differences(resnet_v1.resnet_v1_50, is_training=True)
    assert found["graph"][0].startswith(
        "resnet_v1_50/conv1/BatchNorm/FusedBatchNormV3: is_training True where the record has False"
    )
    moving = "update of resnet_v1_50/conv1/BatchNorm/moving_mean: is not in the record"
    assert moving in found["graph"]
    assert found["collections"] == ("collection update_ops: 106 members where the record has 0",)


def test_another_decay_of_the_moving_averages(differences, read):
    scope = resnet_utils.resnet_arg_scope(batch_norm_decay=0.9)
    record = read("resnet_v1_50_train")
    found = differences(resnet_v1.resnet_v1_50, record=record, scope=scope)
    assert len(found["graph"]) == 106
    assert found["graph"][0].startswith("resnet_v1_50/conv1/BatchNorm/AssignMovingAvg/mul: input 1")
    assert found["graph"][0].endswith(
        "0.100000024 where the record has float32 constant 0.003000021"
    )


def test_a_renamed_variable(differences):
    found = differences(networks.renamed_variable)
    assert found["graph"] == (
        "resnet_v1_50/logits/BiasAdd: input 1 is variable resnet_v1_50/logits/bias [1000] "
        "where the record has variable resnet_v1_50/logits/biases [1000]",
    )
    assert found["variables"] == (
        "variable resnet_v1_50/logits/biases: is missing from the rebuilt network",
        "variable resnet_v1_50/logits/bias: is not in the record",
    )


def test_another_number_of_classes(differences):
    found = differences(resnet_v1.resnet_v1_50, num_classes=10, cases=["float32|64x64"])
    assert found["graph"][0].startswith("resnet_v1_50/logits/Conv2D: input 1 is variable")
    shape = "variable resnet_v1_50/logits/weights: shape [1, 1, 2048, 10]"
    assert found["variables"][0] == f"{shape} where the record has [1, 1, 2048, 1000]"
    assert found["numbers float32"][0] == (
        "float32|64x64 resnet_v1_50/logits: "
        "shape (1, 1, 1, 10) where the record has (1, 1, 1, 1000)"
    )


def test_a_variable_out_of_order_and_one_not_trained(record, net):
    variables = [dict(v) for v in record.info["variables"]]
    variables[0], variables[5] = variables[5], variables[0]
    variables[2]["trainable"] = False
    variables[3]["collections"] = ["variables", "cond_context"]  # the second is not compared
    edited = dataclasses.replace(record, info={**record.info, "variables": variables})
    found = {a.name: a.differences for a in structure(edited, net, recorded_graph(edited))}
    assert found["variables"] == (
        f"variable resnet_v1_50/conv1/weights: comes where the record has {BLOCK1}/unit_1/"
        "bottleneck_v1/shortcut/weights",
        "variable resnet_v1_50/conv1/BatchNorm/beta: trainable True where the record has False",
        "variable resnet_v1_50/conv1/BatchNorm/moving_mean: collections "
        "['model_variables', 'variables'] where the record has ['variables']",
    )


def set_strides(node):
    node.attr["strides"].list.i[1] = 1


def set_epsilon(node):
    node.attr["epsilon"].f = 0.5


def set_padding(node):
    node.attr["padding"].s = b"VALID"


def set_kernel(node):
    node.attr["ksize"].list.i[2] = 2


def set_pad(node):
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto([[0, 0], [3, 3], [3, 2], [0, 0]]))


def set_type(node):
    node.op = "Elu"


def swap_inputs(node):
    node.input[1], node.input[2] = node.input[2], node.input[1]


def other_input(node):
    node.input[0] = f"{BLOCK1}/unit_1/bottleneck_v1/Relu"


NORM = "resnet_v1_50/conv1/BatchNorm"


@pytest.mark.parametrize(
    ("name", "edit", "expected"),
    [
        (f"{UNIT3}/conv2/Conv2D", set_strides,
         f"{UNIT3}/conv2/Conv2D: strides [1, 2, 2, 1] where the record has [1, 1, 2, 1]"),
        (f"{UNIT3}/conv3/BatchNorm/FusedBatchNormV3", set_epsilon,
         f"{UNIT3}/conv3/BatchNorm/FusedBatchNormV3: "
         "epsilon 1.001e-05 where the record has 0.5"),
        (f"{UNIT3}/conv1/Conv2D", set_padding,
         f"{UNIT3}/conv1/Conv2D: padding SAME where the record has VALID"),
        ("resnet_v1_50/pool1/MaxPool", set_padding,
         "resnet_v1_50/pool1/MaxPool: padding SAME where the record has VALID"),
        ("resnet_v1_50/pool1/MaxPool", set_kernel,
         "resnet_v1_50/pool1/MaxPool: ksize [1, 3, 3, 1] where the record has [1, 3, 2, 1]"),
        ("resnet_v1_50/Pad/paddings", set_pad,
         "resnet_v1_50/Pad: input 1 is int32 constant [[0, 0], [3, 3], [3, 3], [0, 0]] "
         "where the record has int32 constant [[0, 0], [3, 3], [3, 2], [0, 0]]"),
        ("resnet_v1_50/conv1/Relu", set_type,
         "resnet_v1_50/conv1: is Relu resnet_v1_50/conv1/Relu "
         "where the record has Elu resnet_v1_50/conv1/Relu"),
        (f"{NORM}/FusedBatchNormV3", swap_inputs,
         f"{NORM}/FusedBatchNormV3: input 1 is variable {NORM}/gamma [64] "
         f"where the record has variable {NORM}/beta [64]; input 2 is variable {NORM}/beta [64] "
         f"where the record has variable {NORM}/gamma [64]"),
        (f"{UNIT3}/conv1/Conv2D", other_input,
         f"{UNIT3}/conv1/Conv2D: input 0 is Relu {BLOCK1}/unit_2/bottleneck_v1/Relu "
         f"where the record has Relu {BLOCK1}/unit_1/bottleneck_v1/Relu"),
    ],
)  # fmt: skip
def test_one_edit_of_the_recorded_graph(record, net, name, edit, expected):
    graph_def = tf.GraphDef.FromString(record.arrays["graph_def"].tobytes())
    edit(next(node for node in graph_def.node if node.name == name))
    edited = with_graph(record, graph_def)
    graph = structure(edited, net, recorded_graph(edited))[0]
    assert graph.differences[0] == expected


def test_the_root_pool_before_the_root_convolution(record, net):
    """The same layers and variables in another order."""
    conv, pool = "resnet_v1_50/conv1/Relu", "resnet_v1_50/pool1/MaxPool"
    graph_def = tf.GraphDef.FromString(record.arrays["graph_def"].tobytes())
    moved = {"resnet_v1_50/Pad": ("images", pool), pool: (conv, "images")}
    for node in graph_def.node:
        old, new = moved.get(node.name, (pool, conv))
        node.input[:] = [new if name == old else name for name in node.input]
    edited = with_graph(record, graph_def)
    graph = structure(edited, net, recorded_graph(edited))[0]
    assert graph.differences[0] == (
        f"resnet_v1_50/Pad: input 0 is input images where the record has MaxPool {pool}"
    )


@pytest.fixture(scope="module")
def net(record, builder):
    return rebuild(record, builder(record))


def with_graph(record, graph_def):
    data = np.frombuffer(graph_def.SerializeToString(), np.uint8)
    return dataclasses.replace(record, arrays={**record.arrays, "graph_def": data})
