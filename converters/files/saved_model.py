"""A TF1 SavedModel: a folder with saved_model.pb and variables/, which is a V2 checkpoint."""

from __future__ import annotations

import functools
import os

from converters.files.checkpoint import open_checkpoint
from converters.files.errors import blame
from converters.files.frozen import frozen_weights
from converters.files.graph_files import read_saved_model, saved_model_in
from converters.files.weights_file import Entry, WeightsFile, checked

_VARIABLES = os.path.join("variables", "variables")


def open_saved_model(path: str) -> WeightsFile:
    """The variables of a SavedModel, or the weights in its graph where it was frozen.

    Args:
        path: its folder, or the `saved_model.pb` or `saved_model.pbtxt` in it.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    model = saved_model_in(path) or path
    prefix = os.path.join(os.path.dirname(model), _VARIABLES)
    graph = functools.cache(functools.partial(read_saved_model, model))
    with blame(path):
        if os.path.isfile(f"{prefix}.index"):
            bundle = open_checkpoint(prefix)
            entries = {name: _entry(bundle, name) for name in bundle}
            files = (model, *bundle.files)
        else:
            files, entries = (model,), checked(path, (model,), frozen_weights(graph()))
        return WeightsFile(path, "saved-model", files, entries, graph=graph)


def _entry(bundle: WeightsFile, name: str) -> Entry:
    read, check = functools.partial(bundle.get, name), functools.partial(bundle.verify, name)
    return Entry(bundle.shape(name), bundle.dtype(name), read, check)
