"""A trained slim graph made ready to serve: variables as constants, batch norms in the filters.

In inference a batch norm multiplies and shifts each channel by constants. Behind a convolution that
is a convolution with other filters and a bias; TensorFlow then runs convolution, bias, the sum with
the shortcut and ReLU as one kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from slim_resnet import tf115
from slim_resnet.compat import tf


def freeze(session, outputs: Sequence[str], *, fold: bool = True):
    """The graph of a session as a GraphDef that holds its weights.

    Args:
        session: a `tf.Session` whose variables have their values.
        outputs: names of the nodes that are read from it; what they do not need is left out.
        fold: whether batch norms go into the convolutions before them (`fold_batch_norms`).

    Returns:
        A `tf.GraphDef`, whose constants take the place of variables; TensorFlow 1.15 loads it.

    Raises:
        KeyError: there is no such node.
    """
    graph_def = session.graph.as_graph_def()
    names = {node.name for node in graph_def.node}
    for name in outputs:
        if name not in names:
            raise KeyError(f"the graph has no node {name}")
    frozen = tf.graph_util.convert_variables_to_constants(session, graph_def, list(outputs))
    if fold:
        frozen = fold_batch_norms(frozen, outputs)
    tf115.make_loadable(frozen)
    return frozen


def runner(graph_def, inputs: Sequence[str], outputs: str | Sequence[str], config=None):
    """A function that runs a frozen graph: the fastest way that a Session has.

    Args:
        graph_def: from `freeze`.
        inputs: names of the tensors to feed, e.g. "images:0".
        outputs: the name of the tensor that is returned, or several.
        config: a `tf.ConfigProto`.

    Returns:
        A function that takes an array for each of `inputs` and returns that of `outputs`.
    """
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        session = tf.Session(graph=graph, config=config)
        return session.make_callable(outputs, list(inputs))


def fold_batch_norms(graph_def, outputs: Sequence[str]):
    """Multiplies the batch norms of a frozen graph into the convolutions that they follow.

    Fused batch norms, and those of `tf.nn.batch_normalization` that slim builds with fused=False.
    One that does not follow a convolution alone (pre-activation, the sum of branches), or that
    uses the batch's statistics, stays. Node names stay, too: a batch norm's is that of the bias.

    Args:
        graph_def: a GraphDef without variables.
        outputs: names of the nodes that are read from it; a convolution among them stays as it is.

    Returns:
        A new GraphDef that computes the same outputs up to rounding, and no more than them.
    """
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.import_graph_def(graph_def, name="")
        norms = _norms(graph, outputs)
        values = session.run([(norm.conv.inputs[1], norm.constants) for norm in norms])
        folded = graph.as_graph_def()
    nodes = {node.name: node for node in folded.node}
    for norm, (weights, constants) in zip(norms, values, strict=True):
        scale, offset = norm.affine(*(x.astype(np.float64) for x in constants))
        conv, bias = nodes[norm.conv.name], nodes[norm.output.name]
        kind, offset = _bias(norm, offset)
        arrays = {"folded_weights": weights * scale, "folded_bias": offset}
        for name, array in arrays.items():
            _add_constant(folded, f"{conv.name}/{name}", array.astype(weights.dtype))
        conv.input[1] = f"{conv.name}/folded_weights"
        bias.op = kind
        bias.ClearField("input")
        bias.input.extend([conv.name, f"{conv.name}/folded_bias"])
        bias.ClearField("attr")
        for attr in _BIAS_ATTRIBUTES[kind]:
            bias.attr[attr].CopyFrom(conv.attr[attr])
    return tf.graph_util.extract_sub_graph(folded, list(outputs))


@dataclass(frozen=True)
class _Norm:
    """A batch norm that multiplies and shifts each channel of a convolution by constants.

    `affine` takes the values of the tensors `constants` and returns the factors and the summands.
    `before` are the convolution and, of a grouped one, the `Snapshot` that hands it on. `output` is
    the operation that the network reads on.
    """

    before: tuple[tf.Operation, ...]
    output: tf.Operation
    constants: tuple[tf.Tensor, ...]
    affine: Callable[..., tuple[np.ndarray, np.ndarray]]

    @property
    def conv(self) -> tf.Operation:
        return self.before[0]


def _norms(graph, outputs: Sequence[str]) -> list[_Norm]:
    """The batch norms that `fold_batch_norms` takes."""
    operations = graph.get_operations()  # in an imported graph: inputs first
    constant = set()
    for op in operations:
        if op.type == "Const" or (op.inputs and all(x.op in constant for x in op.inputs)):
            constant.add(op)
    found = []
    for op in operations:
        norm = _FINDERS.get(op.type, lambda op: None)(op)
        if (
            norm
            and norm.conv.type == "Conv2D"
            and all(op.name not in outputs for op in norm.before)
            and all(len(op.outputs[0].consumers()) == 1 for op in norm.before)
            and all(x.op in constant for x in (norm.conv.inputs[1], *norm.constants))
        ):
            found.append(norm)
    return found


def _fused(op) -> _Norm | None:
    if op.get_attr("is_training") or any(x.consumers() for x in op.outputs[1:]):
        return None
    epsilon = op.get_attr("epsilon")

    def affine(gamma, beta, mean, variance):
        scale = gamma / np.sqrt(variance + epsilon)
        return scale, beta - mean * scale

    images, *constants = op.inputs[:5]
    return _Norm(_before(images), op, tuple(constants), affine)


def _unfused(op) -> _Norm | None:
    """The last two operations of `tf.nn.batch_normalization`: a product and a sum."""
    product, offset = op.inputs
    if product.op.type != "Mul" or len(product.consumers()) > 1:
        return None
    images, scale = product.op.inputs
    if not scale.shape.rank == offset.shape.rank == 1:
        return None
    return _Norm(_before(images), op, (scale, offset), lambda scale, offset: (scale, offset))


_FINDERS = {
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _fused),
    **dict.fromkeys(("Add", "AddV2"), _unfused),
}


def _before(images) -> tuple[tf.Operation, ...]:
    """What a batch norm reads, and what that hands on."""
    op = images.op
    return (op.inputs[0].op, op) if op.type == "Snapshot" else (op,)


_BIAS_ATTRIBUTES = {"BiasAdd": ("T", "data_format"), "AddV2": ("T",)}


def _bias(norm: _Norm, offset: np.ndarray) -> tuple[str, np.ndarray]:
    """The kind of operation that adds `offset` to a folded convolution, and `offset` in its shape.

    TensorFlow fuses a BiasAdd into any convolution, an AddV2 with oneDNN only; where oneDNN is off
    or not built in, its fused kernel has no groups.
    """
    images, weights = norm.conv.inputs
    data_format = norm.conv.get_attr("data_format").decode()
    if images.shape[data_format.index("C")] == weights.shape[2]:
        return "BiasAdd", offset
    return "AddV2", offset if data_format == "NHWC" else offset[:, np.newaxis, np.newaxis]


def _add_constant(graph_def, name: str, value: np.ndarray) -> None:
    node = graph_def.node.add(name=name, op="Const")
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
