"""Every file that weights are kept in, as one lazy mapping; and what its graph says beside them.

file = open_source("frozen.pb")
file["resnet_v1_50/conv1/weights"]  # read-only array [7, 7, 3, 64]
graph = graph_for("model.ckpt-60")  # of model.ckpt-60.meta
arch = graph_facts(graph).apply(arch)  # strides, convention, rates and epsilon are the graph's
"""

from __future__ import annotations

from converters.checkpoint import CheckpointError
from converters.sources.graph import Graph
from converters.sources.graph_facts import GraphFacts
from converters.sources.opening import graph_for, open_source
from converters.sources.read_facts import graph_facts
from converters.sources.source_file import SourceFile

__all__ = [
    "CheckpointError",
    "Graph",
    "GraphFacts",
    "SourceFile",
    "graph_facts",
    "graph_for",
    "open_source",
]
