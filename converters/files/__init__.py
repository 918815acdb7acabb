"""Any file that holds weights, as one lazy mapping of names to arrays; no framework, no network.

file = open_source("frozen.pb")
file["resnet_v1_50/conv1/weights"]  # read-only array [7, 7, 3, 64]
"""

from __future__ import annotations

from converters.files.errors import CheckpointError
from converters.files.opening import graph_for, open_source
from converters.files.source_file import SourceFile

__all__ = ["CheckpointError", "SourceFile", "graph_for", "open_source"]
