"""An `Arch` as a functional `keras.Model` of built-in layers, which loads without this project."""

from __future__ import annotations

import numpy as np

from converters.models.naming import keras_layer
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Activation, Conv, Norm, Unit
from slim_resnet.frameworks import require

keras = require("keras")
layers = keras.layers

_SPATIAL = (
    layers.AveragePooling2D,
    layers.Conv2D,
    layers.GlobalAveragePooling2D,
    layers.MaxPooling2D,
    layers.ZeroPadding2D,
)


def build(arch: Arch, dtype: str = "float32"):
    """The network of `arch`, its weights at Keras's initial values.

    Args:
        arch: the architecture.
        dtype: of the weights and the computation.

    Returns:
        A functional model, images [batch, height, width, channels] -> logits [batch, classes]
        (without classes: the pooled features [batch, channels]; without `arch.global_pool`: a map
        [batch, height_out, width_out, classes or channels]).
    """
    return _Builder(arch, dtype).model()


def end_point_layers(arch: Arch) -> dict[str, str]:
    """End point of slim's graph (below the scope) -> the layer of the model whose output it is."""
    found = {conv.scope: _last_layer(conv) for conv in arch.root_convs}
    for unit in arch.units:
        for conv in unit.all_convs:
            found[conv.scope] = _last_layer(conv)
        found[unit.scope] = found[f"block{unit.block}"] = _unit_output(unit)
    if arch.logits:
        found[arch.logits.scope] = keras_layer(arch.logits.scope)
    return {name: found[name] for name in arch.end_points}


def _last_layer(conv: Conv) -> str:
    name = keras_layer(conv.scope)
    if conv.activation:
        return _activation_layer(name, conv.activation)
    return f"{name}_BatchNorm" if conv.norm else name


def _unit_output(unit: Unit) -> str:
    name = keras_layer(unit.scope)
    return _activation_layer(name, unit.activation) if unit.activation else f"{name}_add"


def _activation_layer(name: str, activation: Activation) -> str:
    """The layer that activates the output of the layer `name`."""
    return f"{name}_{activation.name}"


# Layers of their own where Keras has them: (class, arguments).
_ACTIVATIONS = {
    "relu": (layers.ReLU, {}),
    "relu6": (layers.ReLU, {"max_value": 6.0}),
    **{
        name: (layers.Activation, {"activation": name})
        for name in ("elu", "selu", "swish", "sigmoid", "tanh")
    },
}
# For minus infinity in a pool: a file of JSON knows no infinity.
_LEAST = float(np.finfo(np.float32).min)


class _Builder:
    """Applies layers one after the other; every layer gets the dtype."""

    def __init__(self, arch: Arch, dtype: str):
        self.arch = arch
        self.dtype = dtype

    def _apply(self, layer: type, name: str, net, *args, **kwargs):
        """`layer` on `net`; images are NHWC whatever Keras is configured to."""
        if layer in _SPATIAL:
            kwargs["data_format"] = "channels_last"
        return layer(*args, name=name, dtype=self.dtype, **kwargs)(net)

    def model(self):
        arch = self.arch
        images = keras.Input((None, None, arch.input_channels), name="images", dtype=self.dtype)
        net = images
        for conv in arch.root_convs:
            net = self._conv(conv, net)
        if arch.has_root_pool:
            net = self._root_pool(net)
        for unit in arch.units:
            net = self._unit(unit, net)
        if arch.postnorm:
            net = self._norm_and_activate(arch.postnorm, net)
        if arch.global_pool:
            net = self._apply(layers.GlobalAveragePooling2D, "pool5", net)
        if arch.logits and arch.global_pool:
            name = keras_layer(arch.logits.scope)
            net = self._apply(layers.Dense, name, net, arch.logits.depth, use_bias=arch.logits.bias)
        elif arch.logits:
            net = self._conv(arch.logits, net)
        return keras.Model(images, net, name=arch.name)

    def _root_pool(self, net):
        kind, padding = self.arch.root_pool, "valid"
        if kind == "same":
            padding = "same"  # TensorFlow's SAME: bottom and right only where the size is even
        elif kind == "symmetric" and not (
            self.arch.root.activation and self.arch.root.activation.is_positive
        ):
            sides = ((0, 0), (1, 1), (1, 1), (0, 0))
            net = keras.ops.pad(net, sides, constant_values=_LEAST)
        elif kind in ("symmetric", "zeros"):  # behind a ReLU zeros do for minus infinity
            net = self._apply(layers.ZeroPadding2D, "pool1_pad", net, 1)
        return self._apply(layers.MaxPooling2D, "pool1", net, 3, strides=2, padding=padding)

    def _unit(self, unit: Unit, x):
        name = keras_layer(unit.scope)
        net = self._norm_and_activate(unit.preact, x) if unit.preact else x
        shortcut = self._projection(unit, net) if unit.projection else self._identity(unit, x)
        for conv in unit.convs:
            net = self._conv(conv, net)
        if unit.se:
            net = self._squeeze_and_excite(f"{name}_se", unit.se, net)
        if unit.bound:
            net = keras.ops.clip(net, -unit.bound, unit.bound)
        net = self._apply(layers.Add, f"{name}_add", [shortcut, net])
        return self._activate(name, net, unit.activation)

    def _projection(self, unit: Unit, net):
        if unit.projection_pool > 1:
            name = f"{keras_layer(unit.projection.scope)}_pool"
            net = self._average_pool(name, net, unit.projection_pool)
        return self._conv(unit.projection, net)

    def _average_pool(self, name: str, net, stride: int):
        return self._apply(layers.AveragePooling2D, name, net, 2, padding="same", strides=stride)

    def _squeeze_and_excite(self, name: str, convs: tuple[Conv, ...], net):
        gates = self._apply(layers.GlobalAveragePooling2D, f"{name}_squeeze", net, keepdims=True)
        for conv in convs:
            gates = self._conv(conv, gates)
        return self._apply(layers.Multiply, f"{name}_scale", [net, gates])

    def _identity(self, unit: Unit, x):
        """The input at the size and depth of the unit's output, without parameters."""
        name = f"{keras_layer(unit.scope)}_shortcut"
        if unit.shortcut and unit.shortcut.average:
            x = self._average_pool(f"{name}_pool", x, unit.stride)
        elif unit.stride > 1:
            x = self._apply(layers.MaxPooling2D, f"{name}_pool", x, 1, strides=unit.stride)
        if unit.shortcut:
            # No built-in layer pads channels: make them a spatial dimension for a moment.
            zeros = unit.shortcut.channels
            x = self._apply(layers.Permute, f"{name}_channels_first", x, (3, 1, 2))
            x = self._apply(layers.ZeroPadding2D, f"{name}_pad", x, ((zeros, zeros), (0, 0)))
            x = self._apply(layers.Permute, f"{name}_channels_last", x, (2, 3, 1))
        return x

    def _conv(self, conv: Conv, net):
        name = keras_layer(conv.scope)
        padding = "same"
        if conv.pads is not None and (conv.stride > 1 or conv.padding == "valid"):
            padding = "valid"
            if any(conv.pads):
                net = self._apply(layers.ZeroPadding2D, f"{name}_pad", net, (conv.pads, conv.pads))
        net = self._apply(
            layers.Conv2D,
            name,
            net,
            conv.depth,
            conv.kernel,
            strides=conv.stride,
            padding=padding,
            dilation_rate=conv.rate,
            groups=conv.groups,
            use_bias=conv.bias,
        )
        if conv.norm:
            net = self._norm(f"{name}_BatchNorm", net)
        return self._activate(name, net, conv.activation)

    def _norm_and_activate(self, norm: Norm, net):
        name = keras_layer(norm.scope)
        return self._activate(name, self._norm(name, net), norm.activation)

    def _norm(self, name: str, net):
        return self._apply(
            layers.BatchNormalization,
            name,
            net,
            axis=-1,
            momentum=self.arch.batch_norm_decay,
            epsilon=self.arch.batch_norm_epsilon,
            center=self.arch.batch_norm_center,
            scale=self.arch.batch_norm_scale,
        )

    def _activate(self, name: str, net, activation: Activation | None):
        if activation is None:
            return net
        name = _activation_layer(name, activation)
        if activation.name == "leaky_relu":
            slope = float(np.float32(activation.slope))  # as TensorFlow keeps it
            return self._apply(layers.LeakyReLU, name, net, negative_slope=slope)
        layer, arguments = _ACTIVATIONS[activation.name]
        return self._apply(layer, name, net, **arguments)
