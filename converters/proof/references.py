"""What a conversion is compared with: the user's own graph, or slim's network as it was assumed.

A reference is data that another process can take; `compute` needs TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from converters.files.errors import CheckpointError
from converters.graphs.network import Input, Network
from converters.proof.plan import Fed, Plan
from converters.proof.substitutions import Substitutions, substitutions
from converters.recognise.recognised import Recognised
from slim_resnet.arch import Arch

Arrays = Mapping[str, np.ndarray]
IMAGES = "images"
_CHANNELS_FIRST = {4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}


@dataclass(frozen=True)
class GraphReference:
    """The user's graph, run by TensorFlow with the checkpoint's variables.

    Attributes:
        path: its file.
        definition: the serialized GraphDef.
        inputs: what is fed.
        end_points: name of each end point -> the graph's value.
        channels_first: the values that the graph has in NCHW.
        changed: what inference reads instead of what training computes.
        arrays: name of a variable in the checkpoint -> array.
    """

    path: str
    definition: bytes
    inputs: tuple[Input, ...]
    end_points: Mapping[str, str]
    channels_first: frozenset[str]
    changed: Substitutions
    arrays: Arrays

    def describe(self) -> str:
        training = " (a training graph, read as inference)" if self.changed.norms else ""
        return f"{self.path}{training}"

    def compute(self, dtype: str, batches: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
        """Every end point on each of the batches, channels last.

        Args:
            dtype: "float32" or "float64".
            batches: {name of an input: array}, images [batch, height, width, channels].

        Raises:
            CheckpointError: the graph cannot be run so; the message says why.
        """
        from converters.proof.tf_graph import RunnableGraph

        graph = RunnableGraph(self.definition, self._plan(dtype))
        graph.load({name: self._array(name, places) for name, places in graph.places.items()})
        found = []
        for batch in batches:
            values = graph.run({each.name: _fed(each, batch[each.name]) for each in self.inputs})
            found.append(
                {
                    name: self._channels_last(values, value)
                    for name, value in self.end_points.items()
                }
            )
        return found

    def _plan(self, dtype: str) -> Plan:
        return Plan(
            path=self.path,
            fetches=tuple(dict.fromkeys(self.end_points.values())),
            inputs={each.name: Fed(each.dtype, _own_layout(each)) for each in self.inputs},
            dtype=dtype,
            written=dtype == "float64",
            passed=self.changed.passed,
            norms=self.changed.norms,
        )

    def _array(self, name: str, places: Sequence) -> np.ndarray:
        place = next((place for place in places if place.name in self.arrays), None)
        if place is None:
            raise CheckpointError(
                f"{self.path}: its graph reads the variable {name!r}, which is not in the "
                "checkpoint: give the checkpoint that belongs to the graph"
            )
        return place.of(self.arrays)

    def _channels_last(self, values: Arrays, name: str) -> np.ndarray:
        value = values[name]
        if name in self.channels_first and value.ndim in _CHANNELS_FIRST:
            return np.moveaxis(value, 1, -1)
        return value


def _own_layout(given: Input) -> tuple[int | None, ...]:
    """The shape of an input as the graph has it."""
    if given.layout == "NCHW" and len(given.shape) in _CHANNELS_FIRST:
        return tuple(given.shape[axis] for axis in _CHANNELS_FIRST[len(given.shape)])
    return given.shape


def _fed(given: Input, array: np.ndarray) -> np.ndarray:
    if given.layout == "NCHW" and array.ndim in _CHANNELS_FIRST:
        return np.moveaxis(array, -1, 1)
    return array


@dataclass(frozen=True)
class SlimReference:
    """Slim's network, as the variables' names and the user say, and as it was assumed."""

    arch: Arch
    scope: str
    assumed: tuple[str, ...]
    arrays: Arrays

    @property
    def inputs(self) -> tuple[Input, ...]:
        return (Input(IMAGES, (None, None, None, self.arch.input_channels)),)

    def describe(self) -> str:
        assuming = f", assuming {', '.join(self.assumed)}" if self.assumed else ""
        return f"slim's {self.arch.name}{assuming} (no graph tells)"

    def compute(self, dtype: str, batches: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
        """As of `GraphReference`, by slim's end points."""
        from converters.files import WeightsFile
        from converters.models.targets import to_slim

        file = WeightsFile.of_arrays("", self.arrays)
        with to_slim(Recognised(file, self.arch, self.scope), dtype) as model:
            return [model.run(batch[IMAGES].astype(dtype)) for batch in batches]


Reference = GraphReference | SlimReference


def reference_of(ckpt: Recognised) -> Reference:
    """What a conversion of `ckpt` is compared with.

    Raises:
        CheckpointError: a weight holds NaN or infinity; or its graph cannot be read as inference.
    """
    if ckpt.graph is None:
        return SlimReference(ckpt.arch, ckpt.scope, ckpt.assumed, ckpt.model_arrays())
    network = ckpt.network if ckpt.network is not None else ckpt.match.network
    end_points = _end_points(ckpt, network)
    graph = ckpt.graph
    return GraphReference(
        path=graph.path,
        definition=bytes(graph.definition),
        inputs=network.inputs,
        end_points=end_points,
        channels_first=frozenset(layer.name for layer in network.layers if layer.layout == "NCHW"),
        changed=substitutions(
            graph,
            [_ref(each.name) for each in network.inputs],
            [_ref(value) for value in end_points.values()],
        ),
        arrays=ckpt.graph_arrays(),
    )


def _end_points(ckpt: Recognised, network: Network) -> dict[str, str]:
    """Name of each end point -> the value of the graph."""
    if ckpt.network is None:
        found = ckpt.match.end_points()
        if not ckpt.arch.logits:
            found["pool5"] = ckpt.match.last()
        return found
    in_graph = [layer.name for layer in network.layers if not layer.is_shape]
    names = dict.fromkeys([*in_graph, *network.outputs])
    return {name: name for name in names if name.partition(":")[0] in ckpt.graph.nodes}


def _ref(value: str) -> tuple[str, int]:
    name, _, index = value.partition(":")
    return name, int(index or 0)
