"""Graphs that TensorFlow 1.15 loads, judged by what TensorFlow 1.15.5 itself knows.

`operations.txt` has a line for each of its operations, with the names of the attributes that it
takes, as `TF_GetAllOpList` of 1.15.5 gave them. `tests/tf115/run_exports.py` runs the real thing.
"""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from slim_resnet import arch as arch_lib
from slim_resnet import graph, inference, tf115
from slim_resnet.compat import tf

OPERATIONS = {
    kind: set(attributes)
    for kind, *attributes in map(
        str.split,
        pathlib.Path(__file__).parents[1].joinpath("data/tf115/operations.txt").open(),
    )
}


def unknown(graph_def) -> set[str]:
    """What of a graph TensorFlow 1.15 would refuse: "OPERATION" or "OPERATION.ATTRIBUTE"."""
    refused = set()
    for node in graph_def.node:
        if node.op not in OPERATIONS:
            refused.add(node.op)
            continue
        refused |= {
            f"{node.op}.{name}"
            for name in node.attr
            if name not in OPERATIONS[node.op] and not name.startswith("_")
        }
    return refused


@pytest.mark.parametrize("training", [False, True])
def test_a_written_graph_holds_nothing_newer(tmp_path, training):
    arch = arch_lib.get("resnext_v1_50", num_classes=7)
    with tf.Graph().as_default() as built:
        graph.build(arch, tf.placeholder(tf.float32, [None, 33, 33, 3]), training)
        if training:
            loss = tf.reduce_mean(tf.square(tf.trainable_variables()[0]))
            tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss)
        graph.write(tmp_path)
        assert unknown(built.as_graph_def())  # else this test tests nothing
    graph_def = tf.GraphDef.FromString((tmp_path / "graph.pb").read_bytes())
    assert not unknown(graph_def)
    meta_graph = tf.MetaGraphDef.FromString((tmp_path / "model.meta").read_bytes())
    assert not unknown(meta_graph.graph_def)
    assert meta_graph.meta_info_def.stripped_default_attrs


@pytest.mark.parametrize("fold", [False, True])
def test_a_frozen_graph_holds_nothing_newer(fold):
    arch = arch_lib.get("resnet_v2_50", num_classes=7)
    with tf.Graph().as_default(), tf.Session() as session:
        net, _ = graph.build(arch, tf.placeholder(tf.float32, [None, 33, 33, 3]))
        session.run(tf.global_variables_initializer())
        frozen = inference.freeze(session, [net.op.name], fold=fold)
    assert not unknown(frozen)


def _run(graph_def, images):
    return inference.runner(graph_def, ["images:0"], "out:0")(images)


def test_what_is_not_a_default_stays():
    with tf.Graph().as_default() as built:
        images = tf.placeholder(tf.float32, [None, 9, 9, 4], name="images")
        kernel = tf.constant(np.ones((3, 3, 4, 4), np.float32))
        net = tf.nn.conv2d(images, kernel, 2, [[0, 0], [2, 0], [0, 1], [0, 0]])
        net = tf.nn.leaky_relu(net, 0.3)
        net = tf.matmul(
            tf.reshape(net, [-1, 4]), tf.constant(np.eye(4, dtype=np.float32)), transpose_b=True
        )
        tf.nn.max_pool2d(tf.reshape(net, [-1, 5, 4, 4]), 2, 1, "SAME", name="out")
    before = built.as_graph_def()
    after = built.as_graph_def()
    tf115.make_loadable(after)
    assert not unknown(after)
    assert len(after.SerializeToString()) < len(before.SerializeToString())
    values = np.random.default_rng(0).normal(size=(2, 9, 9, 4)).astype(np.float32)
    np.testing.assert_array_equal(_run(after, values), _run(before, values))


def test_statistics_in_training_are_not_taken_for_a_hint():
    """`exponential_avg_factor` matters there: 1.15 cannot do it and has to refuse."""
    with tf.Graph().as_default() as built:
        ones = tf.ones([2])
        norm = {"x": tf.ones([1, 4, 4, 2]), "scale": ones, "offset": ones, "mean": ones}
        norm |= {"variance": ones, "exponential_avg_factor": 0.5}
        for training in (True, False):
            tf.raw_ops.FusedBatchNormV3(**norm, is_training=training)
    graph_def = built.as_graph_def()
    tf115.make_loadable(graph_def)
    kept = [
        "exponential_avg_factor" in node.attr for node in graph_def.node if "BatchNorm" in node.op
    ]
    assert kept == [True, False]


def test_functions_of_a_graph_are_cleaned_too():
    with tf.Graph().as_default() as built:

        @tf.function
        def pool(x):
            return tf.nn.max_pool2d(x, 2, 2, "SAME")

        pool(tf.ones([1, 4, 4, 1]))
    graph_def = built.as_graph_def()
    tf115.make_loadable(graph_def)
    nodes = [node for function in graph_def.library.function for node in function.node_def]
    assert "MaxPool" in {node.op for node in nodes}
    assert not any("explicit_paddings" in node.attr for node in nodes)


def test_a_saved_model_is_cleaned_in_place(tmp_path):
    folder = str(tmp_path / "model")
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 4, 4, 1], name="images")
        scale = tf.get_variable("scale", [1], use_resource=True)
        out = tf.multiply(tf.nn.max_pool2d(images, 2, 2, "SAME"), scale, name="out")
        session.run(tf.global_variables_initializer())
        tf.saved_model.simple_save(session, folder, {"images": images}, {"out": out})
        values = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype(np.float32)
        expected = session.run(out, {images: values})
    tf115.make_saved_model_loadable(folder)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.saved_model.loader.load(session, ["serve"], folder)
        np.testing.assert_array_equal(session.run("out:0", {"images:0": values}), expected)
    written = (tmp_path / "model/saved_model.pb").read_bytes()
    assert not unknown(
        tf115.saved_model_pb2.SavedModel.FromString(written).meta_graphs[0].graph_def
    )
