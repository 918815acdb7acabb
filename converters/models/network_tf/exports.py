"""A network as the files that TensorFlow 1 takes: a frozen graph, a SavedModel."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

import numpy as np

from converters.graphs.network import Network
from converters.models.network_tf.building import Built
from converters.models.network_tf.sessions import session
from converters.models.network_tf.step import tf
from slim_resnet import inference, tf115

Arrays = Mapping[str, np.ndarray]
Tensors = dict[str, tf.Tensor]


def frozen(network: Network, arrays: Arrays, *, fold: bool = False) -> tf.GraphDef:
    """A network in float32 with its weights as constants; TensorFlow 1.15 loads it.

    Inputs and outputs are the operations that the network calls so.

    Args:
        network: the network.
        arrays: name of each parameter -> its value.
        fold: whether batch norms go into the convolutions before them.

    Raises:
        CheckpointError: as of `build`.
    """
    with session(network, arrays) as (opened, built):
        return inference.freeze(opened, _operations(network, built), fold=fold)


def write_saved_model(
    network: Network, arrays: Arrays, folder: str | os.PathLike, *, fold: bool = False
) -> None:
    """A network in float32 as a SavedModel, tag `serve`; TensorFlow 1.15 loads it.

    Its signature `serving_default` has the network's names of inputs and outputs.

    Args:
        network, arrays: as of `frozen`.
        folder: the folder to make.
        fold: as of `frozen`; the model then holds constants, no variables.

    Raises:
        CheckpointError: as of `build`.
    """
    opened = _folded if fold else _variables
    with opened(network, arrays) as (inner, inputs, outputs):
        builder = tf.saved_model.Builder(os.fspath(folder))
        key = tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY
        signature = tf.saved_model.predict_signature_def(inputs, outputs)
        tags = [tf.saved_model.tag_constants.SERVING]
        builder.add_meta_graph_and_variables(inner, tags, {key: signature})
        builder.save()
    tf115.make_saved_model_loadable(folder)


def _operations(network: Network, built: Built) -> list[str]:
    return [built.values[name].op.name for name in network.outputs]


@contextlib.contextmanager
def _variables(network: Network, arrays: Arrays) -> Iterator[tuple[tf.Session, Tensors, Tensors]]:
    """A session of a network; its inputs and outputs by name."""
    with session(network, arrays) as (opened, built):
        yield opened, dict(built.inputs), {name: built.values[name] for name in network.outputs}


@contextlib.contextmanager
def _folded(network: Network, arrays: Arrays) -> Iterator[tuple[tf.Session, Tensors, Tensors]]:
    """The same of the frozen graph, batch norms folded."""
    with session(network, arrays) as (opened, built):
        graph_def = inference.freeze(opened, _operations(network, built), fold=True)
        inputs = {name: tensor.name for name, tensor in built.inputs.items()}
        outputs = {name: built.values[name].name for name in network.outputs}
    with tf.Graph().as_default() as graph, tf.Session() as opened:
        tf.import_graph_def(graph_def, name="")
        yield (
            opened,
            {name: graph.get_tensor_by_name(tensor) for name, tensor in inputs.items()},
            {name: graph.get_tensor_by_name(tensor) for name, tensor in outputs.items()},
        )
