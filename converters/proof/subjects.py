"""What is proved: a network of a graph, an architecture in a slim checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from converters.files.graphdef import Graph
from converters.graphs.network import Input, Network
from converters.models.naming import table
from converters.models.targets import torch_state
from converters.proof import ours
from converters.proof.proving import Subject, prove
from converters.proof.report import Proof
from converters.proof.sides import FunctionRun, GraphSource, Reference, Run, Side
from converters.proof.written import RUNNERS, WrittenFile
from converters.recognise.recognised import Recognised
from slim_resnet.arch.architecture import Arch

Arrays = Mapping[str, np.ndarray]

_IMAGES = "images"


@dataclass(frozen=True)
class Written:
    """A written file.

    Attributes:
        format: a key of `converters.proof.written.RUNNERS`.
        path: the file, or folder.
        about: what the file does not tell; see `converters.proof.standalone`.
    """

    format: str
    path: str
    about: Mapping[str, object]

    @property
    def not_run(self) -> str | None:
        """Why it cannot be run here; None: it can."""
        missing = RUNNERS[self.format].missing
        return missing and f"needs {missing}"

    def side(self, outputs: Mapping[str, str] | None = None) -> Side:
        """The file as a side; `outputs`: name of an output -> the reference's name."""
        return Side(
            target=f"{self.format} file",
            dtype="float32",
            start=lambda: WrittenFile(self.format, self.path, self.about),
            renamed=outputs or {},
        )


def prove_network(
    graph: Graph,
    variables: Arrays,
    network: Network,
    written: Written | None = None,
    *,
    source: str,
    **options,
) -> Proof:
    """Compares a network's torch module, and a written file, with the graph that it was read of.

    Args:
        graph: the user's graph.
        variables: the checkpoint's, by name; read when needed.
        network: what was read of the graph.
        written: the file to run; its outputs are the network's.
        source: what the user calls the checkpoint.
        **options: of `prove`.

    Raises:
        As `prove`.
    """
    arrays = network.arrays(variables, double=True)
    text = network.to_json()
    module = Side(
        "torch",
        "float64",
        lambda: FunctionRun("torch", ours.run_network, text, network.path, arrays),
    )
    not_run = written and written.not_run
    subject = Subject(
        source=source,
        network=f"{len(network.layers)} layers",
        inputs=network.inputs,
        outputs=network.outputs,
        not_run=not_run,
    )
    reference = GraphSource(os.path.basename(graph.path), graph, variables, network)
    sides = [module, *([written.side()] if written and not not_run else [])]
    return prove(subject, reference, sides, **options)


@dataclass(frozen=True)
class SlimSource:
    """slim's own network of an architecture as the reference, where there is no graph.

    Attributes:
        arch: the architecture, as assumed.
        scope: its variable scope; "": none.
        stored: its variables, by their names below the scope.
        output: the name of what it returns.
    """

    arch: Arch
    scope: str
    stored: Arrays
    output: str

    @property
    def name(self) -> str:
        return f"slim's {self.arch.name}"

    def start(self, dtype: str) -> Run:
        return FunctionRun(
            "tensorflow",
            ours.run_slim_graph,
            self.arch.to_json(),
            self.scope,
            self.stored,
            self.output,
            dtype,
        )


def prove_checkpoint(
    ckpt: Recognised, written: Written | None = None, *, model: str = "torch", **options
) -> Proof:
    """Compares our model of an architecture, and a written file, with the graph or slim's network.

    Args:
        ckpt: whose architecture is all of its network.
        written: the file to run; its first output is that of the network.
        model: our model that is compared in float64: "torch", "keras" or "slim".
        **options: of `prove`.

    Raises:
        As `prove`.
    """
    output = "logits" if ckpt.arch.logits else "pool5"
    start = _MODELS[model]
    not_run = written and written.not_run
    if ckpt.graph is None:
        reference: Reference = SlimSource(ckpt.arch, ckpt.scope, ckpt.stored(), output)
        names: dict[str, str] = {}
        inputs, end = (Input("images", _images_of(ckpt.arch)),), output
    else:
        reference = graph_source(ckpt)
        end = ckpt.match.last()
        names = {**ckpt.match.end_points(), output: end}
        inputs = ckpt.match.network.inputs
    subject = Subject(
        source=ckpt.path,
        network=ckpt.describe(),
        inputs=inputs,
        outputs=(end,),
        assumptions=ckpt.assumed,
        graph_unused=ckpt.graph_unused,
        not_run=not_run,
    )
    sides = []
    if model != "slim" or ckpt.graph is not None:  # else it would be compared with itself
        sides.append(Side(model, "float64", lambda: start(ckpt, output), names))
    if written and not not_run:
        sides.append(written.side({written.about["outputs"][0]: end}))
    return prove(subject, reference, sides, **options)


def graph_source(ckpt: Recognised) -> GraphSource:
    """The graph of a checkpoint as the reference; what is compared is all that leads to its end."""
    network = ckpt.network if ckpt.network is not None else _up_to_its_end(ckpt)
    name = os.path.basename(ckpt.graph.path)
    return GraphSource(name, ckpt.graph, ckpt.graph_variables(), network)


def _up_to_its_end(ckpt: Recognised) -> Network:
    """The graph's network without what follows the end of the architecture, a softmax, say."""
    network, end = ckpt.match.network, ckpt.match.last()
    place = next(i for i, layer in enumerate(network.layers) if layer.name == end)
    return network.replace(layers=network.layers[: place + 1], outputs=(end,))


def _images_of(arch: Arch) -> tuple[None, None, None, int]:
    return None, None, None, arch.input_channels


def _torch(ckpt: Recognised, output: str) -> Run:
    return FunctionRun("torch", ours.run_arch, ckpt.arch.to_json(), torch_state(ckpt), output)


def _keras(ckpt: Recognised, output: str) -> Run:
    weights = ckpt.weights()
    by_path = {row.keras: row.to_keras(weights[row.slim]) for row in table(ckpt.arch)}
    return FunctionRun("keras", ours.run_keras_arch, ckpt.arch.to_json(), by_path, output)


def _slim(ckpt: Recognised, output: str) -> Run:
    return SlimSource(ckpt.arch, ckpt.scope, ckpt.stored(), output).start("float64")


_MODELS: dict[str, Callable[[Recognised, str], Run]] = {
    "torch": _torch,
    "keras": _keras,
    "slim": _slim,
}
