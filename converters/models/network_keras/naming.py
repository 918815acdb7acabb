"""Names of the layers of a Keras model, and where its weights lie: from the network alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from converters.graphs.network import Layer, Network, Parameter
from converters.recognise.transforms import IDENTITY, Regroup, Transform

# Kind -> role of `KINDS` -> the weight of the Keras layer that it is.
_WEIGHTS = {
    **dict.fromkeys(
        ("conv", "depthwise_conv", "conv_transpose", "dense"), {"kernel": "kernel", "bias": "bias"}
    ),
    "batch_norm": {
        "gamma": "gamma", "beta": "beta", "mean": "moving_mean", "variance": "moving_variance",
    },
    "prelu": {"alpha": "alpha"},
    "bias": {"bias": "embeddings"},
    "parameter": {"value": "embeddings"},
}  # fmt: skip
_INLINE = 4096  # values of a constant that stands in the model's description


@dataclass(frozen=True)
class Weight:
    """Where a parameter lies in the Keras model.

    Attributes:
        path: "layer/weight", as `keras.Variable.path` has it.
        to_keras: from the parameter's layout to Keras's; reversible, bit for bit.
    """

    path: str
    to_keras: Transform | Regroup = IDENTITY


def parameter_paths(network: Network) -> dict[str, tuple[Weight, ...]]:
    """Name of each parameter that is a weight of the Keras model -> where it lies.

    It lies in several places where layers with other options share it. Small constants of the
    graph that nothing trains are no weights; they stand in the model's description.
    """
    names = Names(network)
    found: dict[str, list[Weight]] = {}
    for layer in network.layers:
        if names.owner(layer) is not layer:
            continue
        for role, parameter in weights_of(network, layer):
            own = "_bias" if layer.kind == "bias" else ""  # its addition has the layer's name
            path = f"{names[layer.name]}{own}/{_WEIGHTS[layer.kind][role]}"
            found.setdefault(parameter.name, []).append(Weight(path, _transform(layer, parameter)))
    return {name: tuple(weights) for name, weights in found.items()}


def weights_of(network: Network, layer: Layer) -> Iterator[tuple[str, Parameter]]:
    """Role and parameter of each weight of a layer, those left out that stand in its options."""
    for role, name in layer.weights.items():
        parameter = network.parameters[name]
        if layer.kind != "parameter" or not is_inline(layer, parameter):
            yield role, parameter


def is_inline(layer: Layer, parameter: Parameter) -> bool:
    """Whether a parameter that is a value is part of the model's description."""
    is_constant = not parameter.variables and not parameter.trainable
    size = 1
    for length in parameter.shape:
        size *= length
    return layer.is_shape or (is_constant and size <= _INLINE)


def alpha_shape(layer: Layer, parameter: Parameter) -> tuple[int, ...]:
    """The shape that Keras's PReLU gives its slopes: the input's without the batch, or ones."""
    rank = len(layer.shape) - 1
    return (1,) * (rank - len(parameter.shape)) + parameter.shape


def _transform(layer: Layer, parameter: Parameter) -> Transform | Regroup:
    shape = parameter.shape
    if layer.kind in ("bias", "parameter"):
        size = 1
        for length in shape:
            size *= length
        return _reshaped(shape, (1, size))
    return _reshaped(shape, alpha_shape(layer, parameter)) if layer.kind == "prelu" else IDENTITY


def _reshaped(shape: tuple[int, ...], new: tuple[int, ...]) -> Regroup:
    return Regroup(shape, shape, tuple(range(len(shape))), new)


class Names:
    """The names of the layers of a Keras model, each once: those of the network first.

    Args:
        network: the network.
    """

    def __init__(self, network: Network) -> None:
        self._taken: set[str] = set()
        self._names: dict[str, str] = {}
        self._owners: dict[tuple, Layer] = {}
        for each in (*network.inputs, *network.layers):
            self._names[each.name] = self.unique(each.name)
        for layer in network.layers:
            if layer.weights:
                self._owners.setdefault(_key(layer), layer)

    def __getitem__(self, name: str) -> str:
        """The Keras layer of a layer or input of the network."""
        return self._names[name]

    def owner(self, layer: Layer) -> Layer:
        """The first layer with the same weights and options: one Keras layer serves both."""
        return self._owners.get(_key(layer), layer)

    def unique(self, name: str) -> str:
        """A name that no layer has yet."""
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
        found, count = name, 0
        while found in self._taken:
            count += 1
            found = f"{name}_{count}"
        self._taken.add(found)
        return found


def _key(layer: Layer) -> tuple:
    rank = len(layer.shape or ())
    options = tuple(sorted((name, str(value)) for name, value in layer.options.items()))
    return layer.kind, tuple(sorted(layer.weights.items())), options, rank
