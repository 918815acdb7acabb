"""From a `Network` to a functional Keras model, its weights in it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from converters.files.errors import CheckpointError
from converters.graphs import folding
from converters.graphs.network import Layer, Network
from converters.models.network_keras import (
    axes,
    elementwise,
    reshaping,
    resizing,
    weighted,
    windows,
)
from converters.models.network_keras.builder import Builder, Function, is_tensor, keras, ops
from converters.models.network_keras.dims import dims_of
from converters.models.network_keras.naming import parameter_paths

LAYERS: dict[str, Function] = {
    **elementwise.LAYERS,
    **weighted.LAYERS,
    **windows.LAYERS,
    **resizing.LAYERS,
    **axes.LAYERS,
    **reshaping.LAYERS,
}


def build(network: Network, arrays: Mapping[str, np.ndarray], dtype: str = "float32"):
    """A network as a Keras model with its weights.

    Args:
        network: the network.
        arrays: name of each parameter -> its value, as `network.arrays` gives them.
        dtype: of the weights, the computation and inputs with fractions.

    Returns:
        A functional model. It takes the network's input, NHWC, or a list of its inputs in their
        order; it returns the output, or a dict of the outputs by their names.

    Raises:
        CheckpointError: Keras has no operation for what a layer computes; the message names it.
    """
    builder = Builder(network, arrays, dtype)
    inputs = [builder.input(each.name, each.shape, each.dtype) for each in network.inputs]
    for layer in network.layers:
        try:
            _add(builder, layer)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise CheckpointError(_refusal(network, layer, error)) from error
    outputs = {name: _output(builder, name) for name in network.outputs}
    model = keras.Model(
        inputs[0] if len(inputs) == 1 else inputs,
        outputs if len(outputs) > 1 else next(iter(outputs.values())),
    )
    _assign(model, network, arrays)
    return model


def _add(builder: Builder, layer: Layer) -> None:
    """Makes a layer; its outputs become values."""
    made = _computed(builder, layer)
    for index, value in enumerate(made if isinstance(made, list | tuple) else [made]):
        name = f"{layer.name}:{index}" if index else layer.name
        _name_operations(builder, layer, value)
        builder.set(name, value, dims_of(builder, layer, value) if is_tensor(value) else ())


def _computed(builder: Builder, layer: Layer):
    is_known = all(builder.is_known(name) for name in layer.inputs)
    if not layer.inputs or not is_known or not folding.folds(layer.kind):
        return LAYERS[layer.kind](builder, layer)
    arrays = [builder.known(name) for name in layer.inputs]
    of_sizes = any(array.dtype == object for array in arrays)
    if of_sizes and layer.kind not in folding.OF_SIZES:
        return LAYERS[layer.kind](builder, layer)
    found = folding.compute(layer.kind, arrays, _with_sizes(layer, arrays))
    return [_plain(each, builder.dtype) for each in found]


def _with_sizes(layer: Layer, arrays: list[np.ndarray]) -> dict:
    """A layer's options; those that are None from its further inputs."""
    further = arrays[1:]
    return {
        name: further.pop(0).tolist() if value is None and further else value
        for name, value in layer.options.items()
    }


def _plain(array: np.ndarray, dtype: str) -> np.ndarray:
    """An array of objects that are all numbers as one of integers; fractions as they are here."""
    if array.dtype == object and all(isinstance(each, int) for each in array.reshape(-1)):
        return array.astype(np.int64)
    return array.astype(dtype) if array.dtype.kind == "f" else array


def _name_operations(builder: Builder, layer: Layer, value) -> None:
    """Names operations after the layer that they belong to: Keras counts them by their kind."""
    own = builder.names[layer.name]
    stack = [value] if is_tensor(value) else []
    while stack:
        operation = stack.pop()._keras_history.operation
        if isinstance(operation, keras.layers.Layer) or operation in builder.operations:
            continue
        builder.operations.add(operation)
        is_last = own not in builder.used
        builder.used.add(own)
        operation.name = own if is_last else builder.names.unique(f"{own}_{operation.name}")
        stack += operation.input if isinstance(operation.input, list) else [operation.input]


def _output(builder: Builder, name: str):
    """An output as a tensor; one that is not computed from an input belongs to no model."""
    value = builder.tensor(name)
    if not is_tensor(value):
        raise CheckpointError(
            f"{builder.network.path}: its output {name!r} is a constant; name other outputs."
        )
    is_input = any(value is builder.values[each.name] for each in builder.network.inputs)
    return ops.copy(value) if is_input else value


def _refusal(network: Network, layer: Layer, error: Exception) -> str:
    reason = str(error).strip().split("\n")[0]
    return (
        f"{network.path}: Keras has nothing for its operation {layer.name!r} ({layer.kind}): "
        f"{reason}; name outputs before it, fix the image's size, or write torch or onnx."
    )


def _assign(model, network: Network, arrays: Mapping[str, np.ndarray]) -> None:
    variables = {variable.path: variable for variable in model.variables}
    for name, weights in parameter_paths(network).items():
        for weight in weights:
            variables[weight.path].assign(weight.to_keras(np.asarray(arrays[name])))
