"""Moving averages that a training never moved: its graph has updates, and nobody ran them.

Some trainings never run what `tf.GraphKeys.UPDATE_OPS` collects, and normalise with the statistics
of the batch at inference, too. Their checkpoints hold averages as they were initialised.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from converters.files import WeightsFile
from converters.files.graphdef import Graph
from converters.graphs.averages import MovingAverages
from converters.graphs.network import Network
from converters.recognise.recognised import Recognised

NEVER_MOVED = (
    "Every moving mean is 0 and every moving variance 1, as they are initialised: no training ran "
    "tf.GraphKeys.UPDATE_OPS, so what inference computes is not what training saw."
)


def never_moved(file: WeightsFile, graph: Graph, network: Network) -> bool:
    """Whether all moving averages of a network are as initialised, and the graph runs no update.

    Args:
        file: of the variables, under the graph's names.
        graph: of the training.
        network: what was read of it.
    """
    averages = dict(_averages(network))
    if not averages or not all(_is(file, name, value) for name, value in averages.items()):
        return False
    return averages.keys() <= MovingAverages(graph).idle


def _averages(network: Network) -> Iterator[tuple[str, float]]:
    """Every moving average, and the number that it begins with."""
    for layer in network.layers:
        if layer.kind == "batch_norm" and layer.options["decay"] is not None:
            for role, value in (("mean", 0.0), ("variance", 1.0)):
                for name in network.parameters[layer.weights[role]].variables:
                    yield name, value


def _is(file: WeightsFile, name: str, value: float) -> bool:
    return name in file and bool(np.all(file[name] == value))


def were_never_moved(ckpt: Recognised) -> bool:
    """Whether a network's moving statistics, if it has any, are what they are initialised with."""
    names = [
        name
        for name, is_trainable in ckpt.model_variables.items()
        if not is_trainable and name in ckpt and len(ckpt.file.shape(name)) == 1
    ]
    return bool(names) and all(np.isin(ckpt[name], (0, 1)).all() for name in names)
