"""Runs written files that this project itself opens: its modules, and slim's checkpoints.

The contract is that of `converters.proof.standalone`, with more in `about`: "arch", an `Arch` as
JSON, and "scope", where a file holds weights alone; "end_points": True asks for those, too; "dtype"
asks for another type than the file's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.proof.standalone import (
    About,
    Arrays,
    channels_first,
    channels_last,
    run_keras_model,
    run_torch_module,
)
from slim_resnet.arch.architecture import Arch
from slim_resnet.frameworks import require


def run_torch(path: str, batches: Sequence[Arrays], about: About) -> list[dict[str, np.ndarray]]:
    """A `.safetensors` or `.pt` file with its architecture or network in it."""
    torch = require("torch")
    from converters.models import torch_model

    net = torch_model.load(path)
    if about.get("dtype"):
        net = net.to(getattr(torch, about["dtype"]))
    if not about.get("end_points"):
        return run_torch_module(net, batches, about)
    return torch_end_points(net, batches, about["outputs"])


def torch_end_points(
    net, batches: Sequence[Arrays], outputs: Sequence[str]
) -> list[dict[str, np.ndarray]]:
    """Every end point of one of our modules, channels last, and its outputs by their names."""
    torch = require("torch")
    found = []
    with torch.inference_mode():
        for batch in batches:
            fed = {name: torch.from_numpy(channels_first(x)) for name, x in batch.items()}
            values = dict(net.end_points(fed if len(fed) > 1 else next(iter(fed.values()))))
            if any(name not in values for name in outputs):
                values |= dict(zip(outputs, _outputs(net, fed), strict=True))
            found.append({name: channels_last(each.numpy()) for name, each in values.items()})
    return found


def _outputs(net, fed: Mapping) -> list:
    value = net(fed if len(fed) > 1 else next(iter(fed.values())))
    return list(value.values()) if isinstance(value, Mapping) else [value]


def run_keras_weights(
    path: str, batches: Sequence[Arrays], about: About
) -> list[dict[str, np.ndarray]]:
    """A `.weights.h5` file, in the Keras model of its architecture."""
    require("keras")
    from converters.models import keras_model

    model = keras_model.build(Arch.from_json(about["arch"]).grouped)
    model.load_weights(path)
    return run_keras_model(model, batches, about)


def run_slim(path: str, batches: Sequence[Arrays], about: About) -> list[dict[str, np.ndarray]]:
    """A checkpoint, restored by a plain `Saver` into slim's graph of its architecture."""
    require("tensorflow")
    from slim_resnet import graph
    from slim_resnet.compat import tf

    arch, scope = Arch.from_json(about["arch"]), about.get("scope") or None
    (name,) = batches[0]
    (output,) = about["outputs"]
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, None, None, arch.input_channels])
        net, tensors = graph.build(arch, images, scope=scope)
        tf.train.Saver(list(graph.variables(arch, scope).values())).restore(session, path)
        fetches = {output: net}
        if about.get("end_points"):
            outer = scope or arch.name
            fetches |= {each: tensors[f"{outer}/{each}"] for each in arch.end_points}
        return [session.run(fetches, {images: batch[name]}) for batch in batches]
