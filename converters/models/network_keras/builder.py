"""What the functions that make Keras layers are given: values so far, names, sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from converters.graphs.network import Layer, Network
from converters.graphs.sizes import Size
from converters.models.network_keras.naming import Names, is_inline
from converters.models.network_keras.sizes import Dim, Sizes
from slim_resnet.frameworks import require

keras = require("keras")
ops = keras.ops
layers = keras.layers

# Keras's layers that have to be told where the channels are.
_SPATIAL = frozenset(
    (
        layers.AveragePooling2D, layers.Conv2D, layers.Conv2DTranspose, layers.Cropping2D,
        layers.DepthwiseConv2D, layers.Flatten, layers.GlobalAveragePooling2D,
        layers.GlobalMaxPooling2D, layers.MaxPooling2D, layers.Resizing, layers.UpSampling2D,
        layers.ZeroPadding2D,
    )
)  # fmt: skip
Function = Callable[["Builder", Layer], object]


class Builder:
    """Values of a model in the making.

    A value is a Keras tensor, or an array where it is known: a constant, or sizes that the graph
    computes (`converters.graphs.sizes.Size` where they are not numbers).

    Args:
        network: the network.
        arrays: the values of its parameters.
        dtype: of all computation with fractions.

    Attributes:
        sizes: the sizes that are not known.
        names: of Keras's layers.
        given: layer -> the sizes of its output, where its function knows them.
        operations: Keras's operations that have their names.
        used: the names that Keras's layers and operations have.
    """

    def __init__(self, network: Network, arrays: Mapping[str, np.ndarray], dtype: str) -> None:
        self.network = network
        self.arrays = arrays
        self.dtype = dtype
        self.sizes = Sizes()
        self.names = Names(network)
        self.values: dict[str, object] = {}
        self._dims: dict[str, tuple[Dim, ...]] = {}
        self._made: dict[str, object] = {}
        self.given: dict[str, tuple[Dim, ...]] = {}
        self.operations: set = set()
        self.used: set[str] = set()

    def input(self, name: str, shape: Sequence[int | None], dtype: str):
        """The Keras input that an input of the network becomes."""
        dtype = self.dtype if np.dtype(dtype).kind == "f" else dtype
        value = keras.Input(batch_shape=shape, dtype=dtype, name=self.names[name])
        self.set(name, value)
        return value

    def set(self, name: str, value, dims: Sequence[Dim | None] = ()) -> None:
        """Gives a value its name; `dims` are its sizes as far as they are known otherwise."""
        self.values[name] = value
        if not is_tensor(value):
            return
        dims = dims or (None,) * len(value.shape)
        self._dims[name] = tuple(
            (given if given is not None else self.sizes.axis(name, value, axis))
            if known is None
            else known
            for axis, (known, given) in enumerate(zip(value.shape, dims, strict=True))
        )

    def dims(self, name: str) -> tuple[Dim, ...]:
        """The shape of a value, with a `Size` for each size that is not known."""
        return self._dims[name] if name in self._dims else np.shape(self.values[name])

    def tensor(self, name: str):
        """A value to compute with; what is known is an array, of sizes that are not a tensor."""
        value = self.values[name]
        if is_tensor(value) or value.dtype != object:
            return value
        numbers = [ops.reshape(self.sizes.number(each), ()) for each in value.reshape(-1)]
        return ops.reshape(ops.stack(numbers), value.shape)

    def tensors(self, layer: Layer) -> list:
        """Everything that a layer reads."""
        return [self.tensor(name) for name in layer.inputs]

    def is_known(self, name: str) -> bool:
        """Whether a value is an array of numbers or `Size`s."""
        return not is_tensor(self.values[name])

    def known(self, name: str) -> np.ndarray:
        """A value that has to be an array.

        Raises:
            ValueError: it is computed from what is fed.
        """
        value = self.values[name]
        if is_tensor(value):
            raise ValueError(f"it takes sizes from {name!r}, which depends on the image's values")
        return value

    def option(self, layer: Layer, name: str, further: list[str]) -> object:
        """An option; one that is None is what the next of the further inputs holds."""
        given = layer.options[name]
        return self.known(further.pop(0)).tolist() if given is None else given

    def layer(self, kind: type, layer: Layer, value, *args, suffix: str = "", **kwargs):
        """A Keras layer on a tensor (or several).

        Args:
            kind: its class.
            layer: whose name it takes.
            value: what it reads.
            *args, **kwargs: of the class.
            suffix: of its name, where it is not the layer's only one.
        """
        owner = self.names.owner(layer)
        name = self.names[owner.name]
        name = f"{name}_{suffix}" if suffix else name
        if name not in self._made:
            if kind in _SPATIAL:
                kwargs["data_format"] = "channels_last"
            made_name = self.names.unique(name) if suffix else name
            self.used.add(made_name)
            self._made[name] = kind(*args, name=made_name, dtype=self.dtype, **kwargs)
        return self._made[name](value)

    def is_trainable(self, layer: Layer, roles: Sequence[str]) -> bool:
        """Whether any of a layer's parameters is trained; true where it has none of them."""
        found = [layer.weights[role] for role in roles if role in layer.weights]
        return not found or any(self.network.parameters[name].trainable for name in found)

    def parameter(self, layer: Layer, role: str):
        """A parameter as a value: an array, or the only row of an Embedding."""
        parameter = self.network.parameters[layer.weights[role]]
        if layer.kind == "parameter" and is_inline(layer, parameter):
            array = np.asarray(self.arrays[parameter.name])
            return array.astype(self.dtype) if array.dtype.kind == "f" else array
        row = self.layer(
            layers.Embedding, layer, self._zero(), 1, int(np.prod(parameter.shape)),
            suffix="" if layer.kind == "parameter" else role, trainable=parameter.trainable,
        )  # fmt: skip
        return ops.reshape(row, parameter.shape)

    def _zero(self):
        """The number 0, as a tensor of the model."""
        first = self.values[self.network.inputs[0].name]
        part = first[tuple(slice(0, 1) for _ in first.shape)]
        return ops.cast(ops.any(ops.zeros_like(part, dtype="bool")), "int32")


def added(one, other):
    """The sum of values that are broadcast.

    `keras.ops.add` on TensorFlow takes a vector along any axis for biases of the channels if its
    length is that of the second or the last axis, and adds it there; a difference is broadcast.
    """
    return ops.subtract(one, ops.negative(other) if is_tensor(other) else -other)


def is_tensor(value) -> bool:
    return isinstance(value, keras.KerasTensor)


def is_unknown(size: object) -> bool:
    return isinstance(size, Size)
