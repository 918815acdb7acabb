"""How torch's module for some parameters is made: which class, with which arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from converters.graphs.network import Layer, Network
from converters.models.network_torch.lowering.padding import window_padding
from converters.models.network_torch.lowering.weighted import conv_groups, transposed_padding
from converters.models.network_torch.naming import WeightedModule

Shapes = Mapping[str, tuple[int, ...]]  # role -> TensorFlow's shape


@dataclass(frozen=True)
class Making:
    """A call that makes a module.

    Attributes:
        maker: "nn.Conv2d", "layers.BatchNorm2d" (of this package).
        args: sizes.
        options: its keyword arguments.
    """

    maker: str
    args: tuple
    options: Mapping[str, object]


def making_of(module: WeightedModule, network: Network) -> Making:
    """How the module for some parameters is made.

    Args:
        module: which parameters.
        network: whose.
    """
    shapes = {role: network.parameters[name].shape for role, name in module.roles.items()}
    return _MAKINGS[module.layer.kind](module.layer, shapes, network)


def _conv(layer: Layer, shapes: Shapes, network: Network) -> Making:
    height, width, inputs, outputs = shapes["kernel"]
    groups = conv_groups(layer, shapes["kernel"])
    if layer.kind == "depthwise_conv":
        outputs *= inputs
    else:
        inputs *= groups
    strides, dilations = layer.options["strides"], layer.options["dilations"]
    padding = window_padding(layer.options["padding"], (height, width), strides, dilations)
    options = {
        "stride": strides,
        "padding": padding or (0, 0),
        "dilation": dilations,
        "groups": groups,
        "bias": "bias" in shapes,
    }
    return Making("nn.Conv2d", (inputs, outputs, (height, width)), options)


def _conv_transpose(layer: Layer, shapes: Shapes, network: Network) -> Making:
    height, width, outputs, inputs = shapes["kernel"]
    options = {
        "stride": layer.options["strides"],
        "padding": transposed_padding(layer, (height, width))[0],
        "bias": "bias" in shapes,
    }
    return Making("nn.ConvTranspose2d", (inputs, outputs, (height, width)), options)


def _dense(layer: Layer, shapes: Shapes, network: Network) -> Making:
    return Making("nn.Linear", shapes["kernel"], {"bias": "bias" in shapes})


def _batch_norm(layer: Layer, shapes: Shapes, network: Network) -> Making:
    decay, epsilon = layer.options["decay"], layer.options["epsilon"]
    momentum = 0.0 if decay is None else round(1 - decay, 12)
    name = {2: "BatchNorm1d", 3: "BatchNorm1d", 4: "BatchNorm2d", 5: "BatchNorm3d"}
    special = {
        "scale": "gamma" in shapes,
        "center": "beta" in shapes,
        # Without a decay the moving statistics stay; then it does not matter which they would be.
        "biased": not layer.options["fused"] and decay is not None,
    }
    usual = {"scale": True, "center": True, "biased": False}
    home = "nn" if special == usual else "layers"
    options = {key: value for key, value in special.items() if value != usual[key]}
    options |= {"eps": epsilon, "momentum": momentum}
    return Making(f"{home}.{name[len(layer.shape)]}", shapes["mean"][-1:], options)


def _bias(layer: Layer, shapes: Shapes, network: Network) -> Making:
    return Making("layers.Bias", shapes["bias"][-1:], {})


def _prelu(layer: Layer, shapes: Shapes, network: Network) -> Making:
    return Making("nn.PReLU", shapes["alpha"][-1:] or (1,), {})


_MAKINGS = {
    "conv": _conv,
    "depthwise_conv": _conv,
    "conv_transpose": _conv_transpose,
    "dense": _dense,
    "batch_norm": _batch_norm,
    "bias": _bias,
    "prelu": _prelu,
}
