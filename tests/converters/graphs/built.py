"""Graphs of TensorFlow 1 that tests make, what TensorFlow computes of them, and what we read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from converters.files.graph_files import read_meta
from converters.files.graphdef import Graph
from converters.graphs import read_network
from converters.graphs.network import Layer, Network


@dataclass
class Built:
    """A graph, the values of its variables, and what TensorFlow computes.

    Attributes:
        graph: as it is read from a `.meta`.
        variables: name -> value; random, those of variances positive.
        fed: name of an operation -> what it was fed with.
        computed: name of an operation -> its value.
    """

    graph: Graph
    variables: dict[str, np.ndarray]
    fed: dict[str, np.ndarray]
    computed: dict[str, np.ndarray] = field(default_factory=dict)

    def read(self, *outputs: str, inputs: tuple[str, ...] = ()) -> Network:
        return read_network(self.graph, inputs=inputs, outputs=outputs or tuple(self.computed))

    def error(self, network: Network, expected: Mapping[str, np.ndarray] | None = None) -> float:
        """The largest difference of any output over the largest value."""
        found = run(network, self.variables, self.fed)
        expected = self.computed if expected is None else expected
        assert set(found) == set(network.outputs)
        return max(difference(found[name], expected[name]) for name in found)


def build(folder, make: Callable, outputs: tuple[str, ...], feeds: Mapping | None = None) -> Built:
    """Makes a graph, gives its variables random values, and runs it.

    Args:
        folder: where its `.meta` may lie.
        make: makes the operations; it is handed `tf.compat.v1`.
        outputs: the operations to run; () for none.
        feeds: name of a placeholder -> value; those of rank 4 that are absent get random images.
    """
    import tensorflow

    tf = tensorflow.compat.v1
    rng = np.random.default_rng(7)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        make(tf)
        path = str(folder / "model.meta")
        variables = tf.global_variables()
        tf.train.export_meta_graph(
            path, saver_def=tf.train.Saver().as_saver_def() if variables else None
        )
        values = {v.op.name: _value(rng, v) for v in variables}
        for variable in variables:
            variable.load(values[variable.op.name], session)
        fed = {name: np.asarray(value) for name, value in (feeds or {}).items()}
        for op in graph.get_operations():
            if op.type == "Placeholder" and op.name not in fed and op.outputs[0].shape.rank == 4:
                shape = [
                    size or default
                    for size, default in zip(
                        op.outputs[0].shape.as_list(), (2, 9, 11, 3), strict=True
                    )
                ]
                fed[op.name] = rng.uniform(-1, 1, shape).astype(op.outputs[0].dtype.as_numpy_dtype)
        feed = {f"{name}:0": value for name, value in fed.items()}
        computed = session.run({name: f"{name}:0" for name in outputs}, feed) if outputs else {}
    return Built(read_meta(path), values, fed, computed)


def _value(rng, variable) -> np.ndarray:
    shape = variable.shape.as_list()
    is_variance = "variance" in variable.op.name or "Squeeze_1/" in variable.op.name
    value = rng.uniform(0.5, 1.5, shape) if is_variance else rng.normal(0, 0.5, shape)
    return value.astype(variable.dtype.base_dtype.as_numpy_dtype)


def run(network: Network, variables: Mapping, fed: Mapping) -> dict[str, np.ndarray]:
    """What the torch module of a network computes, in the graph's own order of axes."""
    import torch

    from converters.models.network_torch.module import build as build_torch

    net = build_torch(network, network.arrays(variables))
    given = {each.name: torch.tensor(_nchw(fed[each.name], each.layout)) for each in network.inputs}
    with torch.no_grad():
        found = net(given)
    found = found if isinstance(found, dict) else {network.outputs[0]: found}
    layouts = {layer.name: layer.layout for layer in network.layers}
    return {
        name: _back(v.detach().numpy(), layouts.get(name.partition(":")[0]))
        for name, v in found.items()
    }


def _nchw(value: np.ndarray, layout: str) -> np.ndarray:
    is_nhwc = value.ndim == 4 and layout == "NHWC"
    return np.ascontiguousarray(value.transpose(0, 3, 1, 2) if is_nhwc else value)


def _back(value: np.ndarray, layout: str | None) -> np.ndarray:
    """A value of the module in the graph's order: the module has channels second."""
    is_image = value.ndim == 5 or (value.ndim == 4 and layout != "NCHW")
    return np.moveaxis(value, 1, -1) if is_image else value


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference over the largest value."""
    assert found.shape == expected.shape
    largest = np.abs(expected.astype(float)).max()
    return float(np.abs(found.astype(float) - expected).max() / max(largest, 1e-12))


def kinds(network: Network) -> list[str]:
    return [layer.kind for layer in network.layers]


def only(network: Network, kind: str) -> Layer:
    """The only layer of a kind."""
    (layer,) = [layer for layer in network.layers if layer.kind == kind]
    return layer
