"""The modules that hold a network's weights, in the shapes that its parameters have."""

from __future__ import annotations

from collections.abc import Mapping

from converters.graphs.network import Layer, Network
from converters.models.network_torch.lowering.padding import window_padding
from converters.models.network_torch.lowering.weighted import conv_groups, transposed_padding
from converters.models.network_torch.naming import WeightedModule
from slim_resnet.frameworks import require

torch = require("torch")
nn = torch.nn
F = torch.nn.functional

Shapes = Mapping[str, tuple[int, ...]]  # role -> TensorFlow's shape


class _BiasedVariance:
    """A batch norm whose moving variance is that of the batch, as TensorFlow's unfused ones keep.

    torch's (and TensorFlow's fused ones) keep n / (n - 1) times that.
    """

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        with torch.no_grad():
            axes = [0, *range(2, x.dim())]
            variance, mean = torch.var_mean(x, axes, correction=0)
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)
            self.num_batches_tracked.add_(1)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)


class BiasedBatchNorm1d(_BiasedVariance, nn.BatchNorm1d):
    """`nn.BatchNorm1d` that keeps the batch's own variance."""


class BiasedBatchNorm2d(_BiasedVariance, nn.BatchNorm2d):
    """`nn.BatchNorm2d` that keeps the batch's own variance."""


class BiasedBatchNorm3d(_BiasedVariance, nn.BatchNorm3d):
    """`nn.BatchNorm3d` that keeps the batch's own variance."""


_BATCH_NORMS = {
    2: (nn.BatchNorm1d, BiasedBatchNorm1d),
    3: (nn.BatchNorm1d, BiasedBatchNorm1d),
    4: (nn.BatchNorm2d, BiasedBatchNorm2d),
    5: (nn.BatchNorm3d, BiasedBatchNorm3d),
}


class Bias(nn.Module):
    """Holds biases that are added outside of a layer."""

    def __init__(self, size: int):
        super().__init__()
        self.bias = nn.Parameter(torch.empty(size))


def build(module: WeightedModule, network: Network) -> nn.Module:
    """The module of torch's for some parameters, with values that mean nothing yet.

    Args:
        module: which parameters.
        network: whose.
    """
    shapes = {role: network.parameters[name].shape for role, name in module.roles.items()}
    return _BUILD[module.layer.kind](module.layer, shapes, network)


def _conv(layer: Layer, shapes: Shapes, network: Network) -> nn.Module:
    height, width, inputs, outputs = shapes["kernel"]
    groups = conv_groups(layer, shapes["kernel"])
    if layer.kind == "depthwise_conv":
        outputs *= inputs
    else:
        inputs *= groups
    strides, dilations = layer.options["strides"], layer.options["dilations"]
    padding = window_padding(layer.options["padding"], (height, width), strides, dilations)
    return nn.Conv2d(
        inputs,
        outputs,
        (height, width),
        stride=strides,
        padding=padding or 0,
        dilation=dilations,
        groups=groups,
        bias="bias" in shapes,
    )


def _conv_transpose(layer: Layer, shapes: Shapes, network: Network) -> nn.Module:
    height, width, outputs, inputs = shapes["kernel"]
    return nn.ConvTranspose2d(
        inputs,
        outputs,
        (height, width),
        stride=layer.options["strides"],
        padding=transposed_padding(layer, (height, width))[0],
        bias="bias" in shapes,
    )


def _dense(layer: Layer, shapes: Shapes, network: Network) -> nn.Module:
    return nn.Linear(*shapes["kernel"], bias="bias" in shapes)


def _batch_norm(layer: Layer, shapes: Shapes, network: Network) -> nn.Module:
    rank = len(layer.shape)
    size = network.parameters[layer.weights["mean"]].shape[-1]
    decay = layer.options["decay"]
    plain, biased = _BATCH_NORMS[rank]
    # Without a decay the moving statistics stay; then it does not matter which they would be.
    kind = plain if layer.options["fused"] or decay is None else biased
    momentum = 0.0 if decay is None else round(1 - decay, 12)
    made = kind(size, eps=layer.options["epsilon"], momentum=momentum)
    if "gamma" not in shapes:
        made.register_parameter("weight", None)
    if "beta" not in shapes:
        made.register_parameter("bias", None)
    return made


def _bias(layer: Layer, shapes: Shapes, network: Network) -> nn.Module:
    return Bias(shapes["bias"][-1])


def _prelu(layer: Layer, shapes: Shapes, network: Network) -> nn.Module:
    return nn.PReLU(shapes["alpha"][-1] if shapes["alpha"] else 1)


_BUILD = {
    "conv": _conv,
    "depthwise_conv": _conv,
    "conv_transpose": _conv_transpose,
    "dense": _dense,
    "batch_norm": _batch_norm,
    "bias": _bias,
    "prelu": _prelu,
}
