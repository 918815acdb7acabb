"""The slim graph in inference mode, in a graph and session of its own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from slim_resnet import graph as graph_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.compat import tf


class Evaluator:
    """Logits of the slim graph with weights that can be changed.

    Args:
        arch: the network.
        dtype: of its variables and its computation.
    """

    def __init__(self, arch: Arch, dtype: str = "float32"):
        self._dtype = dtype
        with tf.Graph().as_default():
            self._images = tf.placeholder(dtype, [None, None, None, 3], name="images")
            # An architecture that was recognised has a description for a name, which is no scope.
            net, _ = graph_lib.build(arch, self._images, is_training=False, scope="net")
            self._logits = tf.reshape(net, [-1, arch.num_classes], name="logits")
            self._variables = graph_lib.variables(arch, "net")
            self._session = tf.Session()

    def assign(self, values: Mapping[str, np.ndarray]) -> None:
        """Takes the weights: an array for each name in `Arch.variables`."""
        graph_lib.assign(self._session, {v: values[name] for name, v in self._variables.items()})

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Normalized images [n, height, width, 3] -> logits [n, classes]."""
        return self._session.run(self._logits, {self._images: images.astype(self._dtype)})

    def close(self) -> None:
        self._session.close()
