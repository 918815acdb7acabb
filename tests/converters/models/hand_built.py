"""Networks written down layer by layer, and their arrays, for tests of what is made of networks."""

from __future__ import annotations

import numpy as np

from converters.graphs.network import Input, Layer, Network, Parameter

_USUAL = {
    "conv": {"strides": (1, 1), "padding": "SAME", "dilations": (1, 1), "groups": 1},
    "depthwise_conv": {"strides": (1, 1), "padding": "SAME", "dilations": (1, 1)},
    "conv_transpose": {"strides": (2, 2), "padding": "SAME", "size": None},
    "batch_norm": {"epsilon": 1e-3, "decay": None, "fused": True},
    "max_pool": {"kernel": (2, 2), "strides": (2, 2), "padding": "SAME"},
    "avg_pool": {"kernel": (2, 2), "strides": (2, 2), "padding": "SAME"},
    "mean": {"axes": (1, 2), "keepdims": False},
    "resize": {"method": "bilinear", "align_corners": False, "half_pixel_centers": False},
    "strided_slice": {"shrink": (), "new": ()},
}


class Draft:
    """A network in the making.

    Every method that adds a layer returns the name of its value.
    """

    def __init__(self, seed: int = 0):
        self.random = np.random.default_rng(seed)
        self.inputs: list[Input] = []
        self.layers: list[Layer] = []
        self.parameters: dict[str, Parameter] = {}
        self.arrays: dict[str, np.ndarray] = {}

    def input(self, name: str, *shape: int | None, dtype: str = "float32") -> str:
        self.inputs.append(Input(name, shape, dtype))
        return name

    def variable(self, name: str, value, trainable: bool = True) -> str:
        """A variable; one that is there already is shared. `value`: an array, or a shape."""
        if name not in self.parameters:
            if isinstance(value, tuple):
                low = 0.5 if name.endswith("variance") else -0.5
                value = self.random.uniform(low, 0.9, value).astype("f")
            self.arrays[name] = np.asarray(value)
            self.parameters[name] = Parameter(
                name, self.arrays[name].shape, trainable, (name,), lambda a, name=name: a[name]
            )
        return name

    def layer(self, name, kind, *inputs, rank, weights=None, is_shape=False, **options):
        """A layer; `rank` of its value, or its shape as far as it is known."""
        shape = (None,) * rank if isinstance(rank, int) else rank
        options = _USUAL.get(kind, {}) | options
        self.layers.append(
            Layer(name, kind, inputs, weights or {}, options, shape, (name,), is_shape=is_shape)
        )
        return name

    def size(self, name, kind, *inputs, rank=0, **options):
        """A layer that computes sizes."""
        return self.layer(name, kind, *inputs, rank=rank, is_shape=True, **options)

    def sizes_of(self, value: str) -> str:
        return self.size(f"{value}/Shape", "shape", value, rank=(4,))

    def entry(self, name: str, sizes: str, axis: int) -> str:
        """One of several sizes."""
        slices = ((axis, axis + 1, 1),)
        return self.size(name, "strided_slice", sizes, slices=slices, shrink=(0,))

    def constant(self, name: str, value, is_shape: bool = False) -> str:
        self.variable(name, np.asarray(value), trainable=False)
        shape = self.arrays[name].shape
        return self.layer(name, "parameter", rank=shape, weights={"value": name}, is_shape=is_shape)

    def conv(self, scope: str, value: str, kernel: tuple, bias: bool = True, **options) -> str:
        weights = {"kernel": self.variable(f"{scope}/weights", kernel)}
        if bias:
            weights["bias"] = self.variable(f"{scope}/biases", kernel[3:])
        name = f"{scope}/BiasAdd" if bias else f"{scope}/Conv2D"
        return self.layer(name, "conv", value, rank=4, weights=weights, **options)

    def batch_norm(self, scope: str, value: str, size: int, rank: int = 4, **options) -> str:
        weights = {
            "gamma": self.variable(f"{scope}/gamma", (size,)),
            "beta": self.variable(f"{scope}/beta", (size,)),
            "mean": self.variable(f"{scope}/moving_mean", (size,), trainable=False),
            "variance": self.variable(f"{scope}/moving_variance", (size,), trainable=False),
        }
        name = f"{scope}/FusedBatchNorm"
        return self.layer(name, "batch_norm", value, rank=rank, weights=weights, **options)

    def dense(self, scope: str, value: str, kernel: tuple[int, int]) -> str:
        weights = {
            "kernel": self.variable(f"{scope}/weights", kernel),
            "bias": self.variable(f"{scope}/biases", kernel[1:]),
        }
        return self.layer(f"{scope}/BiasAdd", "dense", value, rank=2, weights=weights)

    def network(self, *outputs: str) -> Network:
        network = Network(
            "model.meta", tuple(self.inputs), tuple(self.layers), outputs, self.parameters
        )
        network.check()
        return network
