"""What a TensorFlow 1 graph computes."""

from __future__ import annotations

from converters.graphs.arch_facts import GraphFacts
from converters.graphs.read_facts import graph_facts
from converters.graphs.reading import read_network

__all__ = ["GraphFacts", "graph_facts", "read_network"]
