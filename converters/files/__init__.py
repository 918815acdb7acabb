"""Any file that holds weights, as one lazy mapping of names to arrays; no framework, no network.

file = open_weights("model.ckpt-60")
file["resnet_v1_50/conv1/weights"]  # read-only array [7, 7, 3, 64]
graph = file.graph()  # of model.ckpt-60.meta, None where there is none
"""

from __future__ import annotations

from converters.files.errors import CheckpointError
from converters.files.opening import graph_for, open_weights
from converters.files.weights_file import Entry, WeightsFile

__all__ = ["CheckpointError", "Entry", "WeightsFile", "graph_for", "open_weights"]
