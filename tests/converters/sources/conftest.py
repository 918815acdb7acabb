"""Graphs and converted files to read back, made once."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

import converters
from converters import formats

EXPORTS = {
    "net.safetensors": "torch",
    "net.pt": "torch",
    "net.keras": "keras",
    "net.weights.h5": "keras",
}


@pytest.fixture(scope="session")
def recorded(data):
    """The checkpoint that TensorFlow 1.15 wrote."""
    return converters.load_checkpoint(data / "slim_v1/v2")


@pytest.fixture(scope="session")
def model_arrays(recorded):
    """The network's own variables, by their full names."""
    return {recorded.full_name(name): array for name, array in recorded.stored().items()}


@pytest.fixture(scope="session")
def exports(recorded, tmp_path_factory):
    """A folder with what `converters.formats` writes of `recorded`."""
    folder = tmp_path_factory.mktemp("exports")
    for name, target in EXPORTS.items():
        formats.writer(target, folder / name)(recorded)
    return folder


@pytest.fixture(scope="session")
def save_meta(tmp_path_factory):
    """Builds an Arch with today's TensorFlow and exports its graph; returns the .meta."""
    from slim_resnet import graph
    from slim_resnet.compat import tf

    def save(arch, *, dtype="float32", scope=None, **arguments) -> pathlib.Path:
        path = tmp_path_factory.mktemp("meta") / "model.meta"
        with tf.Graph().as_default():
            images = tf.placeholder(dtype, [None, None, None, arch.input_channels])
            graph.build(arch, images, scope=scope, **arguments)
            tf.train.export_meta_graph(str(path))
        return path

    return save


@pytest.fixture(scope="session")
def small(narrow, tmp_path_factory):
    """A small net in files of all kinds: its arrays (as frozen), and the folder."""
    from slim_resnet import graph
    from slim_resnet.compat import tf

    folder = tmp_path_factory.mktemp("small")
    arch = narrow("resnet_cifar_20", base=2)
    arch = arch.replace(stages=tuple(dataclasses.replace(s, num_units=1) for s in arch.stages))
    with tf.Graph().as_default() as built, tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, None, None, 3], name="images")
        net, _ = graph.build(arch, images, scope="net")
        session.run(tf.global_variables_initializer())
        values = {v.op.name: v for v in tf.global_variables()}
        arrays = session.run(values)
        frozen = tf.graph_util.convert_variables_to_constants(
            session, built.as_graph_def(), [net.op.name]
        )
        (folder / "frozen.pb").write_bytes(frozen.SerializeToString())
        tf.io.write_graph(frozen, str(folder), "frozen.pbtxt", as_text=True)
        tf.train.export_meta_graph(str(folder / "model.meta"))
        tf.saved_model.simple_save(session, str(folder / "saved"), {"x": images}, {"y": net})
    return arrays, folder
