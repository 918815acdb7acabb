"""What a Keras model's configuration says of its layers, against what is taken of the network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from converters.files import CheckpointError
from converters.models.naming import applications_layers
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Conv

Layers = Mapping[str, tuple[str, Mapping[str, object]]]

# Class of a layer -> key of its configuration -> what it is in all layers of a ResNet's blocks.
_ALWAYS = {
    "Conv2D": {"activation": "linear"},
    "Activation": {"activation": "relu"},
}
# The same of single layers by name.
_ROOT = {
    "conv1_pad": {"padding": [[3, 3], [3, 3]]},
    "pool1_pad": {"padding": [[1, 1], [1, 1]]},
    "pool1_pool": {"pool_size": [3, 3], "strides": [2, 2], "padding": "valid"},
}
_BLOCKS = ("conv", "pool", "post_")  # how the names of the network's own layers begin


def check_config(path: str, config: str, arch: Arch) -> None:
    """Compares what a model's configuration says with the network that is taken for it.

    Args:
        path: the file, for errors.
        config: the JSON of a model whose layers have the names of `keras.applications`' ResNets.
        arch: the network.

    Raises:
        CheckpointError: a layer computes something else; the message names it.
    """
    expected = _expected(arch)
    for name, (kind, found) in _parsed(path, config).items():
        if not name.startswith(_BLOCKS):
            continue
        for key, value in (_ALWAYS.get(kind, {}) | expected.get(name, {})).items():
            if key in found and found[key] != value:
                raise CheckpointError(
                    f"{path}: its layer {name} has the {key} {found[key]}, where "
                    f"keras.applications' ResNets have {value}: such a network is not converted "
                    "from its weights"
                )


def last_activation(path: str, config: str) -> str | None:
    """The activation of the last layer, None where there is no such layer or none that is known."""
    _, found = _parsed(path, config).get("predictions", ("", {}))
    activation = found.get("activation")
    return activation if isinstance(activation, str) else None


def _parsed(path: str, config: str) -> Layers:
    try:
        return dict(_layers(json.loads(config)))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: the configuration of its model cannot be read ({error}): save it again"
        ) from error


def _expected(arch: Arch) -> dict[str, dict[str, object]]:
    """Name of a layer -> key -> what its configuration has to say."""
    names = applications_layers(arch)
    expected: dict[str, dict[str, object]] = dict(_ROOT)
    for layer in arch.layers:
        if isinstance(layer, Conv) and layer is not arch.logits:
            expected[names[layer.scope]] = _of_convolution(layer)
    for unit in arch.units:
        expected[f"conv{unit.block + 1}_block{unit.index}_2_pad"] = {"padding": [[1, 1], [1, 1]]}
    for scope, name in names.items():
        if scope.endswith(("BatchNorm", "preact", "postnorm")):
            expected[name] = {"epsilon": arch.batch_norm_epsilon}
    return expected


def _of_convolution(conv: Conv) -> dict[str, object]:
    told: dict[str, object] = {
        "strides": [conv.stride] * 2,
        "dilation_rate": [conv.rate] * 2,
        "groups": conv.groups,
    }
    if conv.kernel > 1 and conv.stride > 1:  # padded by a layer before it
        told["padding"] = "valid"
    return told


def _layers(model: object) -> Iterator[tuple[str, tuple[str, Mapping[str, object]]]]:
    """(name, (class, configuration)) of every layer, those of models in the model included."""
    config = model.get("config") if isinstance(model, Mapping) else None
    if not isinstance(config, Mapping):
        return
    if isinstance(config.get("name"), str):
        yield config["name"], (str(model.get("class_name")), config)
    layers = config.get("layers")
    for layer in layers if isinstance(layers, list) else ():
        yield from _layers(layer)
