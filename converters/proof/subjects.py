"""What is proved of a network, and of a slim checkpoint: references and sides."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from converters.files.graphdef import Graph
from converters.graphs.network import Network
from converters.proof import ours
from converters.proof.proving import Subject, prove
from converters.proof.report import Proof
from converters.proof.sides import FunctionRun, GraphSource, Side
from converters.proof.written import RUNNERS, WrittenFile

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
