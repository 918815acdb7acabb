"""Our models in this process, compared with the reference: for those who have a checkpoint open."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from converters.models.targets import to_keras, to_slim, to_torch
from converters.proof.batches import IMAGE_SIZES, Batch, image_size, make_batches
from converters.proof.references import reference_of
from converters.proof.report import TOLERANCE, Report, compare
from converters.recognise.recognised import Recognised
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
    network as it was assumed.

    Args:
        ckpt: from `load_checkpoint`.
        targets: of "torch" and "keras".
        dtype: "float64" proves the structure; "float32" is what users will run.
        image_sizes: (height, width) in pixels.
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
    if dtype not in TOLERANCE or not set(targets) <= set(TARGETS):
        raise ValueError(
            f"dtype is one of {sorted(TOLERANCE)}, targets are of {TARGETS}: "
            f"got {dtype!r}, {targets}"
        )
    require("tensorflow")
    reference = reference_of(ckpt)
    batches = make_batches(reference.inputs, tuple(image_sizes), batch_size=batch_size, seed=seed)
    progress(f"reference, {dtype}")
    expected = reference.compute(dtype, batches)
    comparisons = []
    for target in targets:
        progress(f"{target}, {dtype}")
        actual = MODELS[target](ckpt, batches, dtype)
        for batch, left, right in zip(batches, expected, actual, strict=True):
            size = image_size(reference.inputs, batch)
            comparisons += compare(target, size, left, right, output_end_points(ckpt))
    return Report(
        source=ckpt.path,
        arch=ckpt.describe(),
        reference=reference.describe(),
        dtype=dtype,
        tolerance=TOLERANCE[dtype],
        comparisons=tuple(comparisons),
    )


def output_end_points(ckpt: Recognised) -> tuple[str, ...]:
    """The outputs of a network by the names that its end points have."""
    if ckpt.network is not None:
        return ckpt.network.outputs
    return ("logits",) if ckpt.arch.logits else ("pool5",)


def slim_end_points(ckpt: Recognised, images: Sequence[np.ndarray]) -> Values:
    """The end points of the slim graph on each batch [batch, height, width, 3], in its dtype."""
    with to_slim(ckpt, images[0].dtype.name) as model:
        return [model.run(batch) for batch in images]


def _slim(ckpt: Recognised, batches: Sequence[Batch], dtype: str) -> Values:
    with to_slim(ckpt, dtype) as model:
        placeholders = list(model.inputs.values())
        return [
            model.session.run(
                dict(model.end_points), dict(zip(placeholders, batch.values(), strict=True))
            )
            for batch in batches
        ]


def _torch(ckpt: Recognised, batches: Sequence[Batch], dtype: str) -> Values:
    torch = require("torch")
    from converters.proof.ours import torch_end_points

    net = to_torch(ckpt).to(getattr(torch, dtype))
    return torch_end_points(net, [_as(batch, dtype) for batch in batches], output_end_points(ckpt))


def _keras(ckpt: Recognised, batches: Sequence[Batch], dtype: str) -> Values:
    keras = require("keras")
    from converters.proof.standalone import run_keras_model

    model = to_keras(ckpt, dtype=dtype)
    outputs = output_end_points(ckpt)
    batches = [_as(batch, dtype) for batch in batches]
    if ckpt.network is not None:
        return run_keras_model(model, batches, {"outputs": outputs})
    from converters.models import keras_model

    names = keras_model.end_point_layers(ckpt.arch.grouped)
    layers = {name: model.get_layer(layer).output for name, layer in names.items()}
    layers.setdefault(outputs[0], model.output)
    probe = keras.Model(model.input, list(layers.values()))
    return run_keras_model(probe, batches, {"outputs": tuple(layers)})


def _as(batch: Batch, dtype: str) -> Batch:
    return {
        name: array.astype(dtype) if array.dtype.kind == "f" else array
        for name, array in batch.items()
    }


# Which of our models -> what it computes on batches, by its end points.
MODELS: dict[str, Callable[[Recognised, Sequence[Batch], str], Values]] = {
    "torch": _torch,
    "keras": _keras,
    "slim": _slim,
}
