"""A slim checkpoint's weights in a PyTorch module or a Keras model."""

from __future__ import annotations

import numpy as np

from converters.models.naming import table
from converters.recognise.checkpoint import SlimCheckpoint
from converters.recognise.transforms import contiguous
from slim_resnet.frameworks import require


def torch_views(ckpt: SlimCheckpoint) -> dict[str, np.ndarray]:
    """The checkpoint's weights under torch's names, in torch's shapes; needs no torch.

    Returns:
        name -> array, float32 as in the checkpoint: its values still lie in slim's order.

    Raises:
        CheckpointError: a weight holds NaN or infinity.
    """
    weights = ckpt.weights()
    return {row.torch: row.to_torch(weights[row.slim]) for row in table(ckpt.arch)}


def torch_state(ckpt: SlimCheckpoint) -> dict[str, np.ndarray]:
    """The same as `torch_views`, with contiguous arrays."""
    return {name: contiguous(view) for name, view in torch_views(ckpt).items()}


def to_torch(ckpt: SlimCheckpoint):
    """The checkpoint as a `torch.nn.Module` in eval mode.

    Args:
        ckpt: from `load_checkpoint`.

    Returns:
        A `converters.models.torch_model.ResNet`: images [batch, 3, height, width] -> logits
        [batch, classes]; torchvision's parameter names; `end_points(x)` gives every end point.

    Raises:
        MissingFrameworkError: PyTorch is not installed.
        CheckpointError: a weight holds NaN or infinity.
    """
    from converters.models import torch_model

    return torch_model.from_state(ckpt.arch.grouped, torch_state(ckpt))


def to_keras(ckpt: SlimCheckpoint, dtype: str = "float32"):
    """The checkpoint as a functional `keras.Model` of built-in layers.

    Args:
        ckpt: from `load_checkpoint`.
        dtype: of weights and computation.

    Returns:
        A model, images [batch, height, width, 3] -> logits [batch, classes].

    Raises:
        MissingFrameworkError: Keras, or the backend it is set to, is not installed.
        CheckpointError: a weight holds NaN or infinity.
    """
    require("keras")
    from converters.models import keras_model

    weights = ckpt.weights()
    model = keras_model.build(ckpt.arch.grouped, dtype)
    variables = {variable.path: variable for variable in model.variables}
    for row in table(ckpt.arch):
        variables.pop(row.keras).assign(row.to_keras(weights[row.slim]))
    assert not variables, f"the table lacks {sorted(variables)}"
    return model
