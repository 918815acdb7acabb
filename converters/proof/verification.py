"""Our models in this process, compared with the reference: for those who have a checkpoint open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from converters.graphs.network import Input
from converters.models.targets import to_keras, to_slim, to_torch
from converters.proof.comparison import compare
from converters.proof.images import IMAGE_SIZES, Batch, batches
from converters.proof.report import Report
from converters.proof.subjects import graph_source
from converters.recognise.recognised import Recognised
from slim_resnet.arch.parts import PARITY
from slim_resnet.frameworks import require

TARGETS = ("torch", "keras")
Values = list[dict[str, np.ndarray]]


def verify(
    ckpt: Recognised,
    targets: Iterable[str] = TARGETS,
    dtype: str = "float64",
    image_sizes: Iterable[tuple[int, int]] = IMAGE_SIZES,
    *,
    batch_size: int = 2,
    seed: int = 0,
    progress: Callable[[str], None] = lambda step: None,
) -> Report:
    """Runs the reference and the converted models on the same images and compares them.

    The reference is the graph that belongs to the checkpoint, where there is one, else slim's
    network as it was assumed. All run in this process; `converters.convert` proves a written file,
    in processes of their own.

    Args:
        ckpt: from `load_checkpoint`.
        targets: of "torch" and "keras".
        dtype: "float64" proves the structure; "float32" is what users will run.
        image_sizes: (height, width) in pixels, where the graph leaves them free.
        batch_size: images per run.
        seed: of the images, drawn from a standard normal distribution.
        progress: called with a line for each step.

    Returns:
        A `Report` with a comparison for every target, size and end point.

    Raises:
        MissingFrameworkError: TensorFlow, or a target, is not installed.
        CheckpointError: the graph cannot be run, or cannot take such images.
        ValueError: an unknown target or dtype.
    """
    targets = tuple(targets)
    if dtype not in PARITY or not set(targets) <= set(TARGETS):
        raise ValueError(
            f"dtype is one of {sorted(PARITY)}, targets are of {TARGETS}: got {dtype!r}, {targets}"
        )
    require("tensorflow")
    fed = batches(_inputs(ckpt), image_sizes, batch_size=batch_size, seed=seed)
    images = [_as(batch, dtype) for batch in fed.values()]
    progress(f"reference, {dtype}")
    name, expected = _reference(ckpt, images, dtype)
    comparisons = []
    for target in targets:
        progress(f"{target}, {dtype}")
        actual = _MODELS[target](ckpt, images, dtype)
        for size, left, right in zip(fed, expected, actual, strict=True):
            comparisons += compare(target, size, left, right, dtype)
    return Report(
        source=ckpt.path,
        network=ckpt.describe(),
        reference=name,
        dtype=dtype,
        tolerance=PARITY[dtype],
        comparisons=tuple(comparisons),
    )


def _inputs(ckpt: Recognised) -> tuple[Input, ...]:
    if ckpt.network is not None:
        return ckpt.network.inputs
    if ckpt.graph is not None:
        return ckpt.match.network.inputs
    return (Input("images", (None, None, None, ckpt.arch.input_channels)),)


def _reference(ckpt: Recognised, images: Sequence[Batch], dtype: str) -> tuple[str, Values]:
    """The name of the reference and what it computes, by the end points of our models."""
    if ckpt.graph is None:
        found = slim_end_points(ckpt, [next(iter(batch.values())) for batch in images])
        return f"slim's {ckpt.arch.name}", found
    from converters.proof.graph_session import run_here

    source = graph_source(ckpt)
    found = run_here(source, images, dtype)
    if ckpt.network is not None:
        return source.name, found
    names = {**ckpt.match.end_points(), _output(ckpt): ckpt.match.last()}
    return source.name, [{n: values[v] for n, v in names.items()} for values in found]


def _output(ckpt: Recognised) -> str:
    """What the output of a residual network is called among its end points."""
    return "logits" if ckpt.arch.logits else "pool5"


def slim_end_points(ckpt: Recognised, images: Sequence[np.ndarray]) -> Values:
    """The end points of the slim graph on each batch [batch, height, width, 3], in its dtype."""
    with to_slim(ckpt, images[0].dtype.name) as model:
        return [model.run(batch) for batch in images]


def _torch(ckpt: Recognised, images: Sequence[Batch], dtype: str) -> Values:
    torch = require("torch")
    from converters.proof.ours import torch_end_points

    outputs = ckpt.network.outputs if ckpt.network is not None else (_output(ckpt),)
    return torch_end_points(to_torch(ckpt).to(getattr(torch, dtype)), images, outputs)


def _keras(ckpt: Recognised, images: Sequence[Batch], dtype: str) -> Values:
    keras = require("keras")
    from converters.proof.standalone import run_keras_model

    model = to_keras(ckpt, dtype=dtype)
    if ckpt.network is not None:
        return run_keras_model(model, images, {"outputs": ckpt.network.outputs})
    from converters.models import keras_model

    names = keras_model.end_point_layers(ckpt.arch.grouped)
    layers = {name: model.get_layer(layer).output for name, layer in names.items()}
    layers.setdefault(_output(ckpt), model.output)
    probe = keras.Model(model.input, list(layers.values()))
    return run_keras_model(probe, images, {"outputs": tuple(layers)})


def _as(batch: Batch, dtype: str) -> Batch:
    return {
        name: array.astype(dtype) if array.dtype.kind == "f" else array
        for name, array in batch.items()
    }


# Which of our models -> what it computes on batches, by its end points.
_MODELS: dict[str, Callable[[Recognised, Sequence[Batch], str], Values]] = {
    "torch": _torch,
    "keras": _keras,
}
