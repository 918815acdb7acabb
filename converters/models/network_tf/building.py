"""From a `Network` to operations of the default graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from converters.files.errors import CheckpointError
from converters.graphs.network import Input, Layer, Network, Parameter
from converters.models.network_tf import arrays as array_layers
from converters.models.network_tf import elementwise, weighted
from converters.models.network_tf.step import Function, Step, tf

LAYERS: dict[str, Function] = {
    **elementwise.LAYERS,
    **weighted.LAYERS,
    **array_layers.LAYERS,
}


@dataclass(frozen=True)
class Built:
    """A network in a graph.

    Attributes:
        inputs: name of an input -> its placeholder, NHWC.
        values: name of a value, inputs included -> its tensor.
        variables: name in the checkpoint -> variable.
    """

    inputs: Mapping[str, tf.Tensor]
    values: Mapping[str, tf.Tensor]
    variables: Mapping[str, tf.Variable]


def build(network: Network, arrays: Mapping[str, np.ndarray], dtype: str = "float32") -> Built:
    """Adds a network to the default graph, for inference.

    Variables have their own names and types and no values yet (`session` gives them). What is
    computed from variables, or is a constant of the user's graph, is a constant.

    Args:
        network: the network.
        arrays: name of each parameter -> its value, as `network.arrays` gives them.
        dtype: "float32" or "float64": of all computation with fractions, and of such inputs.

    Raises:
        CheckpointError: TensorFlow refuses a layer, or a parameter has another shape than the
            graph gives it.
    """
    variables = {
        parameter.name: _variable(network.path, parameter, arrays[parameter.name])
        for parameter in network.parameters.values()
        if _is_variable(parameter)
    }
    _reserve(network)
    builder = _Builder(network, arrays, variables, tf.as_dtype(dtype))
    inputs = {each.name: builder.placeholder(each) for each in network.inputs}
    for layer in network.layers:
        builder.add(layer)
    return Built(inputs, builder.values, variables)


def _is_variable(parameter: Parameter) -> bool:
    """Whether it is what the checkpoint holds under its name, and not made of that."""
    return parameter.variables == (parameter.name,)


def _variable(path: str, parameter: Parameter, array: np.ndarray) -> tf.Variable:
    if array.shape != parameter.shape:
        raise CheckpointError(
            f"{path}: its variable {parameter.name!r} has the shape {parameter.shape}, but "
            f"{array.shape} in the checkpoint; give the graph and checkpoint of one training."
        )
    return tf.get_variable(
        parameter.name,
        parameter.shape,
        tf.as_dtype(array.dtype),
        tf.zeros_initializer(),
        trainable=parameter.trainable,
        use_resource=False,
    )


def _reserve(network: Network) -> None:
    """Keeps helping operations from taking the names of layers that come later."""
    for layer in network.layers:
        tf.get_default_graph().unique_name(layer.name)


class _Builder:
    """Makes the operations of one layer after the other.

    Args:
        network: the network.
        arrays: its parameters' values.
        variables: those of its parameters that are variables.
        dtype: of all computation with fractions.
    """

    def __init__(self, network, arrays, variables, dtype) -> None:
        self.values: dict[str, tf.Tensor] = {}
        self._network = network
        self._arrays = arrays
        self._variables = variables
        self._dtype = dtype
        self._parameters: dict[str, tf.Tensor] = {}

    def placeholder(self, given: Input) -> tf.Tensor:
        dtype = tf.as_dtype(given.dtype)
        name = _exact(given.name.replace(":", "_"))
        tensor = tf.placeholder(self._dtype if dtype.is_floating else dtype, given.shape, name=name)
        self.values[given.name] = tensor
        return tensor

    def add(self, layer: Layer) -> None:
        """Makes a layer's operations; its outputs become values."""
        step = Step(
            name=_exact(layer.name),
            inputs=[self.values[value] for value in layer.inputs],
            weights={role: self._parameter(name) for role, name in layer.weights.items()},
            options=layer.options,
            dtype=self._dtype,
        )
        try:
            with tf.name_scope(f"{layer.name}/"):
                made = LAYERS[layer.kind](step)
        except (ValueError, TypeError) as error:
            raise CheckpointError(
                f"{self._network.path}: its operation {layer.name!r} ({layer.kind}) cannot be "
                f"built in TensorFlow: {error}; name outputs before it."
            ) from error
        for index, tensor in enumerate(_outputs(made)):
            self.values[f"{layer.name}:{index}" if index else layer.name] = tensor

    def _parameter(self, name: str) -> tf.Tensor:
        """A parameter's value in the type of the computation."""
        if name not in self._parameters:
            with tf.name_scope(None):
                self._parameters[name] = self._value(name)
        return self._parameters[name]

    def _value(self, name: str) -> tf.Tensor:
        variable = self._variables.get(name)
        if variable is None:
            array = np.asarray(self._arrays[name])
            is_fraction = tf.as_dtype(array.dtype).is_floating
            array = array.astype(self._dtype.as_numpy_dtype) if is_fraction else array
            return tf.constant(array, name=name.replace(":", "_"))
        tensor = variable.read_value()
        return tf.cast(tensor, self._dtype) if tensor.dtype.is_floating else tensor


def _outputs(made: tf.Tensor | Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return [made] if tf.is_tensor(made) else made


def _exact(name: str) -> str:
    """`name` for TensorFlow to use as it is; where an operation has it, one like it."""
    graph = tf.get_default_graph()
    try:
        graph.get_operation_by_name(name)
    except KeyError:
        return f"{name}/"
    return f"{graph.unique_name(name)}/"
