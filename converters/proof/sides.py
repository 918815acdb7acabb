"""What a proof compares: a reference and its sides, each run in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from converters.files.graphdef import Graph, parse_ref
from converters.graphs.network import Layer, Network
from converters.proof.plan import Fed, Plan
from converters.proof.reference import GraphRunner
from converters.proof.substituting import Substitutions, substitutions
from slim_resnet.arch.parts import PARITY
from slim_resnet.processes import Process

Arrays = Mapping[str, np.ndarray]
Values = dict[str, np.ndarray]  # by name, images channels last

_TO_FIRST = (0, 3, 1, 2)
_WITH_SIXTH = ("hard_sigmoid", "hard_swish")
_CLOSE = 1e-6


class Run(Protocol):
    """A process that computes values; a context manager, whose end ends the process.

    Attributes:
        notes: what has to be said of the values, a sentence each, once they are there.
        tolerances: values that differ by more than float64 does, and how much they may.
    """

    notes: tuple[str, ...]
    tolerances: Mapping[str, float]

    def __enter__(self) -> Run: ...

    def __exit__(self, *exception) -> None: ...

    def run(self, batches: Sequence[Arrays]) -> None:
        """Begins to compute."""

    def result(self) -> list[Values]:
        """Waits for the values, for each of the batches.

        Raises:
            CheckpointError: they cannot be computed.
            ProcessLostError: the process was killed, as when memory runs out.
        """


class Reference(Protocol):
    """What the sides are compared with; `name` says what it is, e.g. "model.ckpt-60.meta"."""

    name: str

    def start(self, dtype: str) -> Run:
        """Starts its process, to compute in "float64" or "float32"."""


@dataclass(frozen=True)
class Side:
    """What is compared with the reference.

    Attributes:
        target: what it is called in a report.
        dtype: in which it computes: "float64" or "float32".
        start: starts its process.
        renamed: name of a value of its -> the reference's name; others keep theirs.
    """

    target: str
    dtype: str
    start: Callable[[], Run]
    renamed: Mapping[str, str] = field(default_factory=dict)


class FunctionRun:
    """A function in a process of its own.

    Args:
        framework: what the function imports: "torch", "tensorflow" or "keras".
        function: of a module's top level; called with `args` and the batches.
        *args: what can be pickled.
    """

    notes = ()
    tolerances: Mapping[str, float] = {}

    def __init__(self, framework: str, function: Callable[..., list[Values]], *args) -> None:
        self._function, self._args = function, args
        environment = {"CUDA_VISIBLE_DEVICES": "-1"}
        self._process = Process(environment=environment, quiet=True, kept_for=framework)

    def __enter__(self) -> FunctionRun:
        return self

    def __exit__(self, *_) -> None:
        self._process.stop()

    def run(self, batches: Sequence[Arrays]) -> None:
        self._process.submit(self._function, *self._args, list(batches))

    def result(self) -> list[Values]:
        return self._process.result()


@dataclass(frozen=True)
class GraphSource:
    """A user's graph as the reference.

    Attributes:
        name: what the user calls its file.
        graph: the graph.
        variables: the checkpoint's, by name.
        network: what was read of the graph: its inputs, and which values are compared.
    """

    name: str
    graph: Graph
    variables: Arrays
    network: Network

    @property
    def values(self) -> tuple[str, ...]:
        """The values of the network that are operations of the graph: tensors, no handles."""
        names = [layer.name for layer in self.network.layers if not layer.is_shape]
        names = dict.fromkeys([*names, *self.network.outputs])
        nodes = ((name, self.graph.nodes.get(parse_ref(name)[0])) for name in names)
        return tuple(name for name, node in nodes if node is not None and node.op != "VarHandleOp")

    def substitutions(self) -> Substitutions:
        """What inference reads instead of what the graph's training computes."""
        inputs = [parse_ref(each.name) for each in self.network.inputs]
        return substitutions(self.graph, inputs, map(parse_ref, self.values))

    def sixths(self) -> dict[str, float]:
        """The constants by which hard sigmoids multiply: a sixth, however many digits it has."""
        found = {}
        for layer in self.network.layers:
            names = layer.operations if layer.kind in _WITH_SIXTH else ()
            for operand in (o for name in names for o in self.graph.nodes[name].inputs):
                node = self.graph.nodes[operand]
                if node.op == "Const" and node.tensor.dtype.name == "float32":
                    array = node.tensor.small()
                    if array.size == 1 and abs(array.item() * 6 - 1) < _CLOSE:
                        found[operand] = 1 / 6
        return found

    def inputs(self) -> dict[str, Fed]:
        """The inputs of the network as the graph has them."""
        return {each.name: Fed(each.dtype, _shape(each)) for each in self.network.inputs}

    def plan(self, dtype: str) -> Plan:
        replaced = self.substitutions()
        return Plan(
            path=self.graph.path,
            fetches=self.values,
            inputs=self.inputs(),
            dtype=dtype,
            numbers=self.sixths(),
            passed=replaced.passed,
            norms=replaced.norms,
        )

    def fed(self, batch: Arrays) -> Values:
        """What the graph is fed for a batch [batch, height, width, channels]."""
        layouts = {each.name: each.layout for each in self.network.inputs}
        return {name: to_graph(array, layouts[name]) for name, array in batch.items()}

    def channels_last(self, values: Arrays) -> Values:
        """The values of the graph, images [batch, height, width, channels]."""
        layouts = {layer.name: layer.layout for layer in self.network.layers}
        return {
            name: from_graph(array, layouts.get(parse_ref(name)[0], "NHWC"))
            for name, array in values.items()
        }

    def start(self, dtype: str) -> GraphRun:
        return GraphRun(self, dtype)


class GraphRun:
    """TensorFlow in a process of its own, with a user's graph."""

    def __init__(self, source: GraphSource, dtype: str) -> None:
        self.notes: tuple[str, ...] = ()
        self.tolerances: dict[str, float] = {}
        self._source = source
        self._is_loaded = False
        self._runner = GraphRunner(source.graph.definition, source.plan(dtype))

    def __enter__(self) -> GraphRun:
        return self

    def __exit__(self, *exception) -> None:
        self._runner.__exit__(*exception)

    def run(self, batches: Sequence[Arrays]) -> None:
        """Waits until the graph is built, then begins to run it."""
        if not self._is_loaded:
            self._runner.load(self._source.variables)
            self._is_loaded = True
        self._runner.run([self._source.fed(batch) for batch in batches])

    def result(self) -> list[Values]:
        found = self._runner.result()
        self.notes = tuple(_notes(found.fed, found.in_float32))
        self.tolerances = _rough(self._source.network.layers, found.in_float32)
        return [self._source.channels_last(values) for values in found.values]


def _shape(fed) -> tuple[int | None, ...]:
    """The shape of an input as the graph has it."""
    is_first = fed.layout == "NCHW" and len(fed.shape) == 4
    return tuple(fed.shape[axis] for axis in _TO_FIRST) if is_first else fed.shape


def to_graph(array: np.ndarray, layout: str) -> np.ndarray:
    """Images, channels last, in the layout of a graph."""
    return np.moveaxis(array, -1, 1) if layout == "NCHW" and array.ndim == 4 else array


def from_graph(array: np.ndarray, layout: str) -> np.ndarray:
    """The reverse."""
    return np.moveaxis(array, 1, -1) if layout == "NCHW" and array.ndim == 4 else array


def _notes(fed: Mapping, in_float32: Sequence[str]):
    if fed:
        yield f"fed besides: {', '.join(f'{name} = {value}' for name, value in fed.items())}"
    if in_float32:
        more = f" and {len(in_float32) - 3} more" if len(in_float32) > 3 else ""
        yield (
            f"without float64 in TensorFlow, so that what follows was compared in float32: "
            f"{', '.join(in_float32[:3])}{more}"
        )


def _rough(layers: Sequence[Layer], in_float32: Sequence[str]) -> dict[str, float]:
    """The values that depend on operations in float32, and the tolerance that they need."""
    found: dict[str, float] = {}
    operations = frozenset(in_float32)
    for layer in layers:
        is_one = operations.intersection((layer.name, *layer.operations))
        if is_one or any(parse_ref(name)[0] in found for name in layer.inputs):
            found[layer.name] = PARITY["float32"]
    return found
