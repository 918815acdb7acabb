"""The user's graph in this process, for those who have TensorFlow in it anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.proof.reference import read_variable
from converters.proof.sides import GraphSource
from converters.proof.tf_graph import RunnableGraph

Arrays = Mapping[str, np.ndarray]


def run_here(source: GraphSource, batches: Sequence[Arrays], dtype: str) -> list[dict]:
    """What a graph computes on batches: name of a value -> array, images channels last.

    Raises:
        CheckpointError: it cannot be run; the message says why.
    """
    graph = RunnableGraph(bytes(source.graph.definition), source.plan(dtype))
    arrays = {
        name: read_variable(source.graph.path, name, places, source.variables)
        for name, places in graph.places.items()
    }
    graph.load(arrays)
    return [source.channels_last(graph.run(source.fed(batch))) for batch in batches]
