"""An `Arch` as a functional `keras.Model` of built-in layers, which loads without this project."""

from __future__ import annotations

from slim_resnet.arch import Arch, Conv, Norm, Unit
from slim_resnet.frameworks import require

from .naming import keras_layer

keras = require("keras")
layers = keras.layers


def build(arch: Arch, dtype: str = "float32"):
    """The network of `arch`, its weights at Keras's initial values.

    Args:
        arch: the architecture.
        dtype: of the weights and the computation.

    Returns:
        A functional model, images [batch, height, width, 3] -> logits [batch, classes] (without
        classes: the pooled features [batch, channels]).
    """
    return _Builder(arch, dtype).model()


def end_point_layers(arch: Arch) -> dict[str, str]:
    """End point of slim's graph (below the scope) -> the layer of the model whose output it is."""
    found = {arch.root.scope: _last_layer(arch.root)}
    for unit in arch.units:
        for conv in (unit.shortcut, *unit.convs):
            if conv:
                found[conv.scope] = _last_layer(conv)
        found[unit.scope] = found[f"block{unit.block}"] = _unit_output(unit)
    if arch.logits:
        found[arch.logits.scope] = keras_layer(arch.logits.scope)
    return {name: found[name] for name in arch.end_points}


def _last_layer(conv: Conv) -> str:
    name = keras_layer(conv.scope)
    if conv.activation:
        return f"{name}_relu"
    return f"{name}_BatchNorm" if conv.norm else name


def _unit_output(unit: Unit) -> str:
    return f"{keras_layer(unit.scope)}_{'relu' if unit.activation else 'add'}"


class _Builder:
    """Applies layers one after the other; every layer gets the dtype."""

    def __init__(self, arch: Arch, dtype: str):
        self.arch = arch
        self.dtype = dtype

    def model(self):
        arch = self.arch
        images = keras.Input((None, None, 3), name="images", dtype=self.dtype)
        net = self._root_pool(self._conv(arch.root, images))
        for unit in arch.units:
            net = self._unit(unit, net)
        if arch.postnorm:
            net = self._norm_relu(arch.postnorm, net)
        net = layers.GlobalAveragePooling2D(name="pool5", dtype=self.dtype)(net)
        if arch.logits:
            net = layers.Dense(
                arch.logits.depth,
                use_bias=arch.logits.bias,
                name=keras_layer(arch.logits.scope),
                dtype=self.dtype,
            )(net)
        return keras.Model(images, net, name=arch.name)

    def _root_pool(self, net):
        padding = "same"  # TensorFlow's SAME: bottom and right only where the size is even
        if self.arch.convention == "torchvision":
            # Zeros do for minus infinity: the root's ReLU comes before.
            net = layers.ZeroPadding2D(1, name="pool1_pad", dtype=self.dtype)(net)
            padding = "valid"
        return layers.MaxPooling2D(3, 2, padding, name="pool1", dtype=self.dtype)(net)

    def _unit(self, unit: Unit, x):
        name = keras_layer(unit.scope)
        net = self._norm_relu(unit.preact, x) if unit.preact else x
        if unit.shortcut:
            shortcut = self._conv(unit.shortcut, net)
        elif unit.stride > 1:
            shortcut = layers.MaxPooling2D(
                1, unit.stride, name=f"{name}_subsample", dtype=self.dtype
            )(x)
        else:
            shortcut = x
        for conv in unit.convs:
            net = self._conv(conv, net)
        net = layers.Add(name=f"{name}_add", dtype=self.dtype)([shortcut, net])
        return self._relu(name, net) if unit.activation else net

    def _conv(self, conv: Conv, net):
        name = keras_layer(conv.scope)
        if conv.stride > 1 and conv.padding:
            net = layers.ZeroPadding2D(conv.padding, name=f"{name}_pad", dtype=self.dtype)(net)
        net = layers.Conv2D(
            conv.depth,
            conv.kernel,
            strides=conv.stride,
            padding="valid" if conv.stride > 1 else "same",
            dilation_rate=conv.rate,
            groups=conv.groups,
            use_bias=conv.bias,
            name=name,
            dtype=self.dtype,
        )(net)
        if conv.norm:
            net = self._norm(f"{name}_BatchNorm", net)
        return self._relu(name, net) if conv.activation else net

    def _norm_relu(self, norm: Norm, net):
        name = keras_layer(norm.scope)
        return self._relu(name, self._norm(name, net))

    def _norm(self, name: str, net):
        return layers.BatchNormalization(
            momentum=self.arch.batch_norm_decay,
            epsilon=self.arch.batch_norm_epsilon,
            name=name,
            dtype=self.dtype,
        )(net)

    def _relu(self, name: str, net):
        return layers.ReLU(name=f"{name}_relu", dtype=self.dtype)(net)
