"""A slim checkpoint as the TF1 graph that slim builds, in a session with its weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.recognise.recognised import Recognised
from slim_resnet.frameworks import quiet_stderr, require

INPUT = "images"


def output_name(ckpt: Recognised) -> str:
    """What the output of a residual network is called."""
    return "logits" if ckpt.arch.logits else "features"


def output_names(ckpt: Recognised) -> tuple[str, ...]:
    """What the outputs of a model are called, in their order."""
    return ckpt.network.outputs if ckpt.network is not None else (output_name(ckpt),)


class SlimModel:
    """The graph of a checkpoint's network, at inference, and a session that holds its weights.

    A context manager: the session ends with the block.

    Args:
        ckpt: the checkpoint.
        dtype: of the variables and the computation, "float32" or "float64".

    Attributes:
        graph: the `tf.Graph`; its operations are called as slim calls them.
        session: a `tf.Session` of it.
        images: the placeholder "images" [batch, height, width, channels].
        end_points: name below the network's scope -> tensor; "pool5" where there are no logits.
        outputs: "logits" [batch, classes] and "prob", or "features" [batch, channels]; maps
            [batch, height, width, ...] where the network does not pool.

    Raises:
        MissingFrameworkError: TensorFlow is not installed.
        CheckpointError: a weight holds NaN or infinity.
    """

    def __init__(self, ckpt: Recognised, dtype: str = "float32") -> None:
        require("tensorflow")
        from slim_resnet import graph
        from slim_resnet.compat import tf

        arch, scope, stored = ckpt.arch, ckpt.scope or None, ckpt.stored()
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.images = tf.placeholder(dtype, [None, None, None, arch.input_channels], name=INPUT)
            net, tensors = graph.build(arch, self.images, scope=scope)
            prefix = scope or arch.name
            self.end_points = {name: tensors[f"{prefix}/{name}"] for name in arch.end_points}
            self.end_points.setdefault("logits" if arch.logits else "pool5", net)
            values = {v: stored[name] for name, v in graph.variables(arch, scope).items()}
            if arch.global_pool:
                net = tf.reshape(net, [-1, net.shape[-1]], name=output_name(ckpt))
            else:
                net = tf.identity(net, name=output_name(ckpt))
            self.outputs = {output_name(ckpt): net}
            if arch.logits:
                self.outputs["prob"] = tf.nn.softmax(net, name="prob")
            with quiet_stderr():
                self.session = tf.Session()
            graph.assign(self.session, values)

    def run(self, images: np.ndarray, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """End points, or those of `names`, on a batch [batch, height, width, channels]."""
        wanted = self.end_points if names is None else {n: self.end_points[n] for n in names}
        return self.session.run(wanted, {self.images: images})

    def __enter__(self) -> SlimModel:
        return self

    def __exit__(self, *_) -> None:
        self.session.close()
