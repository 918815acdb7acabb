"""Where a feature map is flattened for a dense layer: the kernel's rows move, not the values.

TensorFlow flattens [height, width, channels], torch a map that lies channels-first. Instead of
permuting the map at every run, the rows of the dense kernel that reads it are permuted once.
"""

from __future__ import annotations

import math
from collections import defaultdict

from converters.graphs.network import Layer, Network

# What works on each value alone: their order does not matter.
_ELEMENTWISE = frozenset(
    (
        "relu", "relu6", "elu", "selu", "sigmoid", "tanh", "softplus", "softsign", "leaky_relu",
        "clip", "hard_sigmoid", "hard_swish", "swish", "dropout", "identity", "stop_gradient",
    )
)  # fmt: skip

Map = tuple[int, int, int]  # height, width, channels


def flattened_maps(network: Network) -> dict[str, Map]:
    """The values that may lie in the order channels, height, width.

    Returns:
        Name of the value [batch, features] -> the map that it was; also of dense layers, which
        stand for their kernels: their rows have to be in that order.
    """
    readers: dict[str, list[Layer]] = defaultdict(list)
    uses: dict[str, list[Layer]] = defaultdict(list)
    for layer in network.layers:
        for value in layer.inputs:
            readers[value].append(layer)
        for parameter in layer.weights.values():
            uses[parameter].append(layer)
    found: dict[str, Map] = {}
    for layer in network.layers:
        before = _flattened(layer, network)
        if before:
            values = _followers(layer, readers, set(network.outputs))
            if values is not None:
                found.update(dict.fromkeys(values, before))
    return _without_shared(found, uses)


def _flattened(layer: Layer, network: Network) -> Map | None:
    """The map that a layer flattens, where its size is known and it matters."""
    if layer.kind not in ("flatten", "reshape") or layer.shape is None or len(layer.shape) != 2:
        return None
    before = network.layer(layer.inputs[0])
    shape = before.shape if before else _input_shape(network, layer.inputs[0])
    if shape is None or len(shape) != 4 or None in shape[1:] or math.prod(shape[1:3]) == 1:
        return None
    if before is not None and before.kind == "transpose":
        return None  # an NCHW graph: channels-first as it is
    is_whole = layer.shape[1] == math.prod(shape[1:])
    return tuple(shape[1:]) if is_whole else None


def _input_shape(network: Network, value: str) -> tuple[int | None, ...] | None:
    return next((each.shape for each in network.inputs if each.name == value), None)


def _followers(layer: Layer, readers: dict, outputs: set[str]) -> list[str] | None:
    """The value, those made of it one by one, and the dense layers at the end; None: others too."""
    if layer.name in outputs:
        return None
    found = [layer.name]
    for reader in readers[layer.name]:
        if reader.kind == "dense" and reader.inputs[0] == layer.name:
            found.append(reader.name)
        elif reader.kind in _ELEMENTWISE:
            further = _followers(reader, readers, outputs)
            if further is None:
                return None
            found += further
        elif reader.kind != "shape":
            return None
    return found


def _without_shared(found: dict[str, Map], uses: dict[str, list[Layer]]) -> dict[str, Map]:
    """Without the chains whose kernel another layer reads, in TensorFlow's order, too."""
    refused = {
        before
        for layers in uses.values()
        for before in (found.get(layer.name) for layer in layers if layer.kind == "dense")
        if before and any(found.get(layer.name) != before for layer in layers)
    }
    return {name: before for name, before in found.items() if before not in refused}
