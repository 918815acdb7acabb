"""A session of a network with its weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import numpy as np

from converters.graphs.network import Network
from converters.models.network_tf.building import Built, build
from converters.models.network_tf.step import tf
from slim_resnet.assignment import assign
from slim_resnet.frameworks import quiet_stderr


@contextlib.contextmanager
def session(
    network: Network, arrays: Mapping[str, np.ndarray], dtype: str = "float32"
) -> Iterator[tuple[tf.Session, Built]]:
    """A session of a graph of its own that holds a network and its weights.

    Args:
        network, arrays, dtype: as of `build`.

    Yields:
        The session, whose graph is the default one inside the block, and the network in it.

    Raises:
        CheckpointError: as of `build`.
    """
    with tf.Graph().as_default():
        built = build(network, arrays, dtype)
        with quiet_stderr():
            opened = tf.Session()
        with opened:
            assign(opened, {v: arrays[name] for name, v in built.variables.items()})
            yield opened, built
