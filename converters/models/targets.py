"""What was recognised (an `Arch` or a `Network`) as a PyTorch module, a Keras model, a session.

This is the one place that tells the two apart: a residual network that is all of its graph has
torchvision's names and slim's end points, any other network those of its graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from converters.files.errors import CheckpointError
from converters.models import network_torch
from converters.models.naming import table, torch_modules
from converters.recognise.recognised import Recognised
from converters.recognise.transforms import contiguous
from slim_resnet.frameworks import require


@contextlib.contextmanager
def blamed(ckpt: Recognised) -> Iterator[None]:
    """Names the file whose network has no place in a framework: the error names its layer only."""
    try:
        yield
    except ValueError as error:
        raise CheckpointError(f"{ckpt.path}: {error}.") from error


def torch_paths(ckpt: Recognised) -> dict[str, str]:
    """Scope of variables -> torch's path, where a whole graph has a known backbone.

    The backbone's modules have torchvision's names below "backbone"; all else that of its scope.
    """
    if ckpt.network is None or ckpt.arch is None:
        return {}
    modules = torch_modules(ckpt.arch.grouped)
    return {ckpt.full_name(scope): f"backbone.{path}" for scope, path in modules.items()}


def torch_views(ckpt: Recognised) -> dict[str, np.ndarray]:
    """The weights under torch's names, in torch's shapes; needs no torch.

    Returns:
        name -> array, of the type in the file: its values may still lie in slim's order.

    Raises:
        CheckpointError: a weight holds NaN or infinity; or the graph shares variables in a way that
            torch's modules cannot.
    """
    if ckpt.network is not None:
        arrays = ckpt.parameters()
        with blamed(ckpt):
            return network_torch.state_arrays(ckpt.network, arrays, torch_paths(ckpt))
    weights = ckpt.weights()
    return {row.torch: row.to_torch(weights[row.slim]) for row in table(ckpt.arch)}


def torch_state(ckpt: Recognised) -> dict[str, np.ndarray]:
    """The same as `torch_views`, with contiguous arrays."""
    return {name: contiguous(view) for name, view in torch_views(ckpt).items()}


def to_torch(ckpt: Recognised):
    """What was recognised as a `torch.nn.Module` in eval mode.

    Args:
        ckpt: from `load_checkpoint`.

    Returns:
        A `converters.torch_model.ResNet`: images [batch, channels, height, width] -> logits
        [batch, classes], torchvision's parameter names; or, of a whole graph, a module of its
        inputs and outputs with the names of its scopes. `end_points(x)` gives every end point.

    Raises:
        MissingFrameworkError: PyTorch is not installed.
        CheckpointError: a weight holds NaN or infinity; or the graph has an operation that has no
            place in a torch module, which is named.
    """
    require("torch")
    if ckpt.network is not None:
        from converters.models.network_torch import module

        state = torch_state(ckpt)
        with blamed(ckpt):
            return module.from_state(ckpt.network, state, torch_paths(ckpt))
    from converters.models import torch_model

    return torch_model.from_state(ckpt.arch.grouped, torch_state(ckpt))


def to_keras(ckpt: Recognised, dtype: str = "float32"):
    """What was recognised as a functional `keras.Model` of built-in layers.

    Args:
        ckpt: from `load_checkpoint`.
        dtype: of weights and computation.

    Returns:
        A model, images [batch, height, width, channels] -> logits [batch, classes], or of the
        inputs and outputs of a whole graph.

    Raises:
        MissingFrameworkError: Keras, or the backend it is set to, is not installed.
        CheckpointError: a weight holds NaN or infinity; or the graph has an operation that Keras
            has no built-in layer for, which is named.
    """
    require("keras")
    if ckpt.network is not None:
        from converters.models import network_keras

        return network_keras.build(ckpt.network, ckpt.parameters(), dtype)
    from converters.models import keras_model

    weights = ckpt.weights()
    model = keras_model.build(ckpt.arch.grouped, dtype)
    variables = {variable.path: variable for variable in model.variables}
    for row in table(ckpt.arch):
        variables.pop(row.keras).assign(row.to_keras(weights[row.slim]))
    assert not variables, f"the table lacks {sorted(variables)}"
    return model


@dataclass(frozen=True)
class Opened:
    """A session of a TF1 graph with its weights.

    Attributes:
        session: a `tf.Session`.
        inputs: name -> placeholder, images [batch, height, width, channels].
        outputs: name -> tensor.
        end_points: name -> tensor; those of slim below the network's scope, of a whole graph the
            values of its operations.
    """

    session: object
    inputs: Mapping[str, object]
    outputs: Mapping[str, object]
    end_points: Mapping[str, object]

    def run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Every end point on a batch, of a network with one input."""
        (placeholder,) = self.inputs.values()
        return self.session.run(dict(self.end_points), {placeholder: images})


@contextlib.contextmanager
def to_slim(ckpt: Recognised, dtype: str = "float32") -> Iterator[Opened]:
    """What was recognised as a TF1 graph for inference, in a session with its weights.

    A residual network is slim's, from the placeholder "images" to "logits" and "prob" (without
    classes: "features"); a whole graph has the names of its own operations.

    Args:
        ckpt: from `load_checkpoint`.
        dtype: of variables and computation, "float32" or "float64".

    Yields:
        The session, which ends with the block.

    Raises:
        MissingFrameworkError: TensorFlow is not installed.
        CheckpointError: a weight holds NaN or infinity.
    """
    require("tensorflow")
    if ckpt.network is not None:
        from converters.models import network_tf

        with network_tf.session(ckpt.network, ckpt.parameters(), dtype) as (session, built):
            outputs = {name: built.values[name] for name in ckpt.network.outputs}
            yield Opened(session, built.inputs, outputs, built.values)
        return
    from converters.models.slim_model import SlimModel

    with SlimModel(ckpt, dtype) as model:
        yield Opened(
            model.session, {model.images.op.name: model.images}, model.outputs, model.end_points
        )
