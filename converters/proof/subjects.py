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
from converters.proof.sides import FunctionRun, GraphSource, Run, Side
from converters.proof.written import RUNNERS, WrittenFile
from converters.recognise.checkpoint import SlimCheckpoint
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
    module = Side("torch", "float64", lambda: FunctionRun(ours.run_network, text, arrays))
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
            ours.run_slim_graph, self.arch.to_json(), self.scope, self.stored, self.output, dtype
        )


def prove_checkpoint(
    ckpt: SlimCheckpoint,
    written: Written | None = None,
    *,
    model: str = "torch",
    graph: GraphSource | None = None,
    assumptions: tuple[str, ...] = (),
    **options,
) -> Proof:
    """Compares our model of an architecture, and a written file, with slim's network or the graph.

    Args:
        ckpt: a checkpoint whose architecture is known.
        written: the file to run; its one output is that of the network.
        model: our model that is compared in float64: "torch" or "keras".
        graph: the user's graph, its network read from the values that the architecture's images are
            to its outputs; None: there is none, and slim's network is the reference.
        assumptions: what was taken for granted of the architecture, where there is no graph.
        **options: of `prove`.

    Raises:
        As `prove`.
    """
    arch, output = ckpt.arch, "logits" if ckpt.arch.logits else "pool5"
    reference = graph or SlimSource(arch, ckpt.scope, ckpt.stored(), output)
    names = graph_names(arch, ckpt.scope, graph.network) if graph else {}
    outputs = graph.network.outputs if graph else (output,)
    not_run = written and written.not_run
    subject = Subject(
        source=ckpt.path,
        network=arch.describe(),
        inputs=graph.network.inputs if graph else (Input("images", _images_of(arch)),),
        outputs=outputs,
        assumptions=() if graph else assumptions,
        not_run=not_run,
    )
    start = _MODELS[model]
    sides = [Side(model, "float64", lambda: start(ckpt, output), names)]
    if written and not not_run:
        sides.append(written.side(dict(zip(written.about["outputs"], outputs, strict=True))))
    return prove(subject, reference, sides, **options)


def graph_names(arch: Arch, scope: str, network: Network) -> dict[str, str]:
    """End point of an architecture -> the value of a graph's network that it is.

    That is the last one below its scope. End points that the graph spells otherwise are left out.
    """
    found = {}
    for name in (*arch.end_points, "pool5"):
        prefix = f"{scope}/{name}" if scope else name
        inside = [x.name for x in network.layers if x.name.startswith(f"{prefix}/")]
        exact = [x.name for x in network.layers if x.name == prefix]
        if inside or exact:
            found[name] = (inside or exact)[-1]
    return found


def _images_of(arch: Arch) -> tuple[None, None, None, int]:
    return None, None, None, arch.root.depth_in


def _torch(ckpt: SlimCheckpoint, output: str) -> Run:
    return FunctionRun(ours.run_arch, ckpt.arch.to_json(), torch_state(ckpt), output)


def _keras(ckpt: SlimCheckpoint, output: str) -> Run:
    weights = ckpt.weights()
    by_path = {row.keras: row.to_keras(weights[row.slim]) for row in table(ckpt.arch)}
    return FunctionRun(ours.run_keras_arch, ckpt.arch.to_json(), by_path, output)


_MODELS: dict[str, Callable[[SlimCheckpoint, str], Run]] = {"torch": _torch, "keras": _keras}
