"""THE table: slim variable <-> torch parameter <-> Keras weight, each with a reversible transform.

`table(arch)` is derived from the architecture; loading, saving and every check read it. Torch names
are torchvision's; Keras layer names are slim's scopes without the name of the unit, and those of
`keras.applications`.
"""

from __future__ import annotations

from dataclasses import dataclass

from converters.recognise.transforms import (
    CONV_TO_DENSE,
    CONV_TO_LINEAR,
    DENSE_TO_LINEAR,
    HWIO_TO_OIHW,
    IDENTITY,
    Transform,
)
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import UNIT_KINDS, Conv, Norm


@dataclass(frozen=True)
class Weight:
    """One row: the names of a weight in the three worlds, and slim's layout to the other two.

    `slim` is relative to the network's scope; `keras` is "layer/weight" of our own Keras model,
    `keras_applications` that of Keras's; `shape` is slim's.
    """

    slim: str
    torch: str
    keras: str
    keras_applications: str
    shape: tuple[int, ...]
    trainable: bool
    to_torch: Transform = IDENTITY
    to_keras: Transform = IDENTITY


# slim's name of a batch norm's variable -> torch's; Keras kept slim's.
_NORM_TO_TORCH = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def table(arch: Arch) -> tuple[Weight, ...]:
    """The weights of `arch`, in the grouped form, in slim's order of creation."""
    arch = arch.grouped
    modules, applications = torch_modules(arch), applications_layers(arch)
    transforms = {layer.scope: _transforms(layer, arch) for layer in arch.layers}
    rows = []
    for variable in arch.variables:
        scope, _, name = variable.name.rpartition("/")
        if name in _NORM_TO_TORCH:
            rows.append(
                Weight(
                    slim=variable.name,
                    torch=f"{modules[scope]}.{_NORM_TO_TORCH[name]}",
                    keras=f"{keras_layer(scope)}/{name}",
                    keras_applications=f"{applications[scope]}/{name}",
                    shape=variable.shape,
                    trainable=variable.trainable,
                )
            )
            continue
        is_bias = name == "biases"
        keras_name = "bias" if is_bias else "kernel"
        to_torch, to_keras = (IDENTITY, IDENTITY) if is_bias else transforms[scope]
        rows.append(
            Weight(
                slim=variable.name,
                torch=f"{modules[scope]}.{'bias' if is_bias else 'weight'}",
                keras=f"{keras_layer(scope)}/{keras_name}",
                keras_applications=f"{applications[scope]}/{keras_name}",
                shape=variable.shape,
                trainable=variable.trainable,
                to_torch=to_torch,
                to_keras=to_keras,
            )
        )
    return tuple(rows)


def _transforms(layer: Conv | Norm, arch: Arch) -> tuple[Transform, Transform]:
    if layer is arch.logits and layer.dense:
        return DENSE_TO_LINEAR, IDENTITY
    if layer is arch.logits and arch.global_pool:
        return CONV_TO_LINEAR, CONV_TO_DENSE
    return HWIO_TO_OIHW, IDENTITY


def torch_modules(arch: Arch) -> dict[str, str]:
    """slim scope of a convolution or batch norm -> name of the torch module that holds it."""
    modules = {"conv1": "conv1", "conv1/BatchNorm": "bn1", "postnorm": "postnorm", "logits": "fc"}
    for i, conv in enumerate(arch.root_convs if arch.deep_stem else ()):
        modules[conv.scope] = f"conv1.{3 * i}"  # timm's, whose stem is nn.Sequential
        is_last = conv is arch.root
        modules[f"{conv.scope}/BatchNorm"] = "bn1" if is_last else f"conv1.{3 * i + 1}"
    for unit in arch.units:
        prefix = f"layer{unit.block}.{unit.index - 1}"
        modules[f"{unit.scope}/preact"] = f"{prefix}.preact"
        place = int(arch.shortcut == "average_projection")  # behind the pooling, as in timm
        modules[f"{unit.scope}/shortcut"] = f"{prefix}.downsample.{place}"
        modules[f"{unit.scope}/shortcut/BatchNorm"] = f"{prefix}.downsample.{place + 1}"
        for i, conv in enumerate(unit.convs, start=1):
            modules[conv.scope] = f"{prefix}.conv{i}"
            modules[f"{conv.scope}/BatchNorm"] = f"{prefix}.bn{i}"
        for i, conv in enumerate(unit.se, start=1):
            modules[conv.scope] = f"{prefix}.se.fc{i}"
    return modules


def applications_layers(arch: Arch) -> dict[str, str]:
    """slim scope of a convolution or batch norm -> layer of `keras.applications`' ResNets."""
    layers = {"postnorm": "post_bn", "logits": "predictions"}
    for conv in arch.root_convs:
        layers[conv.scope] = f"{conv.scope}_conv"
        layers[f"{conv.scope}/BatchNorm"] = f"{conv.scope}_bn"
    for unit in arch.units:
        prefix = f"conv{unit.block + 1}_block{unit.index}"
        layers[f"{unit.scope}/preact"] = f"{prefix}_preact_bn"
        for i, scope in enumerate((f"{unit.scope}/shortcut", *(c.scope for c in unit.convs))):
            layers[scope] = f"{prefix}_{i}_conv"
            layers[f"{scope}/BatchNorm"] = f"{prefix}_{i}_bn"
        for conv in unit.se:  # as in its EfficientNets
            layers[conv.scope] = f"{prefix}_se_{conv.scope.rpartition('/')[2]}"
    return layers


def keras_layer(scope: str) -> str:
    """The Keras layer for a slim scope: block1/unit_2/bottleneck_v1/conv3 -> block1_unit_2_conv3.

    Keras allows no "/" in the name of a layer; the unit's own name says nothing new.
    """
    return "_".join(part for part in scope.split("/") if part not in UNIT_KINDS)
