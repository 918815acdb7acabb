"""Frozen graphs, SavedModels and checkpoints of one network hold the same arrays."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from google.protobuf import text_format

import converters
from converters.files import CheckpointError, graph_for, open_weights
from converters.files.graph_files import read_meta
from converters.graphs import graph_facts, read_network
from slim_resnet.compat import tf

KINDS = {
    "v1": "tf-v1",
    "sharded": "tf-v2",
    "frozen.pb": "frozen-graph",
    "saved_model": "saved-model",
    "saved_model/saved_model.pb": "saved-model",
}


def assert_same(found, expected):
    for name, array in expected.items():
        assert found.shape(name) == found[name].shape == array.shape, name
        assert found.dtype(name) == found[name].dtype == array.dtype, name
        assert found[name].tobytes() == array.tobytes(), name
        assert not found[name].flags.writeable


@pytest.mark.parametrize("net", ["slim_v1", "slim_v2"])
@pytest.mark.parametrize("kind", KINDS)
def test_same_arrays(data, net, kind):
    ckpt = converters.load_checkpoint(data / net / "v2")
    expected = {ckpt.full_name(name): array for name, array in ckpt.stored().items()}
    found = open_weights(data / net / kind)
    assert found.format == KINDS[kind]
    assert found.path == str(data / net / kind) or found.format.startswith("tf")
    assert_same(found, expected)
    if not found.format.startswith("tf"):
        assert set(found) == set(expected)
        assert found.nbytes == sum(array.nbytes for array in expected.values())
        assert "267 variables" in repr(found) or net == "slim_v2"


@pytest.mark.parametrize("kind", ["frozen.pb", "inference.meta", "saved_model"])
@pytest.mark.parametrize("net", ["slim_v1", "slim_v2"])
def test_facts_of_the_recorded_graphs(data, net, kind):
    facts = graph_facts(graph_for(data / net / kind))
    arch = converters.load_checkpoint(data / net / "v2").arch
    assert (arch.convention, arch.output_stride, arch.batch_norm_epsilon) == ("slim", None, 1e-5)
    # TensorFlow 1.15 raised slim's epsilon to this, and computed with it.
    arch = arch.replace(batch_norm_epsilon=1.001e-5)
    assert facts.apply(arch) == arch
    assert facts.apply(arch.replace(batch_norm_epsilon=1e-3)) == arch
    assert {norm.epsilon for norm in facts.norms} == {1.001e-5}
    strides = [conv.window.stride for conv in facts.convs]
    assert strides.count((2, 2)) == 4  # the root's, and one in each of three blocks


def test_the_meta_beside_a_checkpoint(data, tmp_path):
    for file in (data / "slim_v1/v2").iterdir():
        shutil.copy(file, tmp_path)
    assert graph_for(tmp_path) is None
    shutil.copy(data / "slim_v1/inference.meta", tmp_path / "model.ckpt-60.meta")
    for path in (tmp_path, tmp_path / "model.ckpt-60", tmp_path / "model.ckpt-60.index"):
        assert graph_for(path).path == str(tmp_path / "model.ckpt-60.meta")
    assert graph_for(tmp_path, step=60)


def test_an_unknown_name_or_step(data):
    found = open_weights(data / "slim_v1/saved_model")
    assert "nothing" not in found
    with pytest.raises(KeyError):
        found["nothing"]
    with pytest.raises(CheckpointError, match="only a folder of checkpoints has steps"):
        open_weights(data / "slim_v1/frozen.pb", step=60)


# -- made by today's TensorFlow -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["frozen.pb", "frozen.pbtxt", "saved", "saved/saved_model.pb"])
def test_a_small_net(small, name):
    arrays, folder = small
    assert_same(open_weights(folder / name), arrays)
    graph_facts(graph_for(folder / name))


def test_text_is_read_as_its_binary_form(small):
    _, folder = small
    text, binary = (open_weights(folder / name) for name in ("frozen.pbtxt", "frozen.pb"))
    assert set(text) == set(binary)
    one, other = (graph_facts(graph_for(file.path)) for file in (text, binary))
    assert (one.convs, one.pools, one.norms) == (other.convs, other.pools, other.norms)


def test_a_batch_norm_that_is_not_fused(narrow, tmp_path):
    from slim_resnet import graph
    from slim_resnet.compat import tf

    with tf.Graph().as_default() as built, tf.Session() as session:
        images = tf.placeholder(tf.float64, [None, None, None, 3])
        net, _ = graph.build(narrow("resnet_cifar_20", base=2), images, scope="net")
        session.run(tf.global_variables_initializer())
        arrays = session.run({v.op.name: v for v in tf.global_variables()})
        frozen = tf.graph_util.convert_variables_to_constants(
            session, built.as_graph_def(), [net.op.name]
        )
    (tmp_path / "f.pb").write_bytes(frozen.SerializeToString())
    found = open_weights(tmp_path / "f.pb")
    assert set(found) == set(arrays)
    assert_same(found, arrays)


def test_a_saved_model_that_is_frozen(small, tmp_path):
    from tensorflow.core.framework import graph_pb2
    from tensorflow.core.protobuf import saved_model_pb2

    arrays, folder = small
    saved = saved_model_pb2.SavedModel()
    definition = graph_pb2.GraphDef.FromString((folder / "frozen.pb").read_bytes())
    saved.meta_graphs.add().graph_def.CopyFrom(definition)
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    assert_same(open_weights(tmp_path), arrays)


def edited(folder, tmp_path, edit):
    """The frozen graph after `edit` of its nodes by name."""
    from tensorflow.core.framework import graph_pb2

    definition = graph_pb2.GraphDef.FromString((folder / "frozen.pb").read_bytes())
    edit({node.name: node for node in definition.node})
    (tmp_path / "f.pb").write_bytes(definition.SerializeToString())
    return tmp_path / "f.pb"


def test_left_out_repetitions(small, tmp_path):
    """TensorFlow writes a constant of equal values once, and none for zeros."""

    def edit(nodes):
        ones = nodes["net/conv1/BatchNorm/gamma"].attr["value"].tensor
        ones.ClearField("tensor_content")
        ones.float_val[:] = [2.5, 1.5]
        nodes["net/conv1/BatchNorm/beta"].attr["value"].tensor.ClearField("tensor_content")

    found = open_weights(edited(small[1], tmp_path, edit))
    gamma = found["net/conv1/BatchNorm/gamma"]
    assert gamma[0] == 2.5
    assert np.all(gamma[1:] == 1.5)
    assert not found["net/conv1/BatchNorm/beta"].any()


def test_folded_batch_norms_are_named(small, tmp_path):
    name = "net/conv1/BatchNorm/FusedBatchNormV3"

    def fold(nodes):
        nodes[name].op = "BiasAdd"

    def compute(nodes):
        nodes[name].input[1] = "images"

    with pytest.raises(CheckpointError, match=f"{name}' is folded into the convolution .*; freeze"):
        open_weights(edited(small[1], tmp_path, fold))
    with pytest.raises(CheckpointError, match=f"the gamma of its batch norm '{name}' is computed"):
        open_weights(edited(small[1], tmp_path, compute))


def test_a_graph_without_weights(small, tmp_path):
    from slim_resnet.compat import tf

    _, folder = small
    with tf.Graph().as_default() as built:
        tf.train.import_meta_graph(str(folder / "model.meta"))
        (tmp_path / "graph.pb").write_bytes(built.as_graph_def().SerializeToString())
    with pytest.raises(CheckpointError, match="layers read variables, .* give that checkpoint"):
        open_weights(tmp_path / "graph.pb")
    (tmp_path / "empty.pb").write_bytes(b"")
    with pytest.raises(CheckpointError, match="holds no weights"):
        open_weights(tmp_path / "empty.pb")
    with pytest.raises(CheckpointError, match="no convolution"):
        graph_facts(graph_for(tmp_path / "empty.pb"))


@pytest.mark.parametrize("name", ["keras_functional", "train_cond_ema_moments", "partitioned"])
def test_a_meta_graph_as_text_says_what_it_says_in_bytes(data, tmp_path, name):
    """`export_meta_graph(as_text=True)` writes it so; collections and the Saver count, too."""
    folder = data / "wild" / name
    about = json.loads((folder / "case.json").read_text())
    message = tf.MetaGraphDef.FromString((folder / about["meta"]).read_bytes())
    (tmp_path / "model.meta").write_text(text_format.MessageToString(message))
    ends = {"inputs": list(about["inputs"]), "outputs": list(about["outputs"])}
    networks = [
        read_network(read_meta(str(path)), **ends)
        for path in (folder / about["meta"], tmp_path / "model.meta")
    ]
    assert networks[1].replace(path=networks[0].path).to_json() == networks[0].to_json()
    assert networks[1].parameters.keys() == networks[0].parameters.keys()


def test_the_text_of_a_training_s_graph_is_that_of_its_checkpoints(data, tmp_path):
    """`graph.pbtxt`, where the Saver wrote no `.meta`."""
    folder = data / "wild" / "partitioned"
    about = json.loads((folder / "case.json").read_text())
    message = tf.MetaGraphDef.FromString((folder / about["meta"]).read_bytes())
    for file in folder.glob("model.ckpt*"):
        if file.suffix != ".meta":
            shutil.copy(file, tmp_path)
    (tmp_path / "graph.pbtxt").write_text(text_format.MessageToString(message.graph_def))
    ckpt = converters.load_checkpoint(
        tmp_path / about["checkpoint"], outputs=list(about["outputs"])
    )
    assert ckpt.graph.path == str(tmp_path / "graph.pbtxt")
    with_meta = converters.load_checkpoint(
        folder / about["checkpoint"], outputs=list(about["outputs"])
    )
    assert [each.name for each in ckpt.network.layers] == [
        each.name for each in with_meta.network.layers
    ]
    assert ckpt.model_arrays().keys() == with_meta.model_arrays().keys()
