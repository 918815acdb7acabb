"""Lowering: every layer of a `Network` becomes steps of torch (`plan.Plan`).

A function a kind, in the modules of this package; `lower` calls them in the network's order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from converters.graphs.network import Layer, Network
from converters.models.network_torch.lowering import axes, elementwise, weighted, windows
from converters.models.network_torch.lowering.builder import Builder
from converters.models.network_torch.lowering.size_arithmetic import ARITHMETIC, sizes
from converters.models.network_torch.naming import Names
from converters.models.network_torch.plan import Plan, Ref, Tensor, Value

LOWER = {**elementwise.LOWER, **axes.LOWER, **windows.LOWER, **weighted.LOWER}
_MAX_SIZES = 1024  # more numbers than that are no shape


def lower(network: Network, names: Names, constants: Mapping[str, np.ndarray]) -> Plan:
    """The steps of a network.

    Args:
        network: the network.
        names: of its parameters.
        constants: the values of `host_constants(network)`.

    Raises:
        ValueError: a layer has no place in a torch module; the message says why.
    """
    b = Builder(network, names, constants)
    for each in network.inputs:
        ref = b.add("input", each.name)
        b.plan.inputs[each.name] = ref
        b.values[each.name] = Tensor(ref, len(each.shape))
    for layer in network.layers:
        b.layer = layer.name
        for name, value in _computed(b, layer).items():
            b.values[name] = value
            if isinstance(value, Tensor):
                b.plan.layers.setdefault(value.ref, name)
                b.plan.values[name] = _as_seen(b, value)
    for name in network.outputs:
        if b.is_host(name) or name in b.plan.inputs:
            b.plan.values[name] = b.tensor(name).ref
    return b.plan


def host_constants(network: Network) -> list[str]:
    """The parameters whose values may be sizes: those must be known when the module is made."""
    read = [layer.weights["value"] for layer in network.layers if layer.kind == "parameter"]
    found = [network.parameters[name] for name in dict.fromkeys(read)]
    return [p.name for p in found if not p.trainable and math.prod(p.shape) <= _MAX_SIZES]


def _computed(b: Builder, layer: Layer) -> dict[str, Value]:
    """The outputs of a layer by name."""
    found = _on_host(b, layer) if _is_host(b, layer) else LOWER[layer.kind](b, layer)
    if not isinstance(found, list):
        return {layer.name: found}
    return {f"{layer.name}:{index}" if index else layer.name: v for index, v in enumerate(found)}


def _is_host(b: Builder, layer: Layer) -> bool:
    """Whether a layer computes sizes: it is said, or it reads nothing but sizes.

    A range up to a size that is not known is a tensor, and what is computed from it.
    """
    if layer.kind == "shape":
        return False  # of a tensor: `axes.shape`
    if layer.kind == "parameter":
        return layer.is_shape
    reads = [b.is_host(value) for value in layer.inputs]
    if layer.kind in ("fill", "range"):
        return layer.is_shape and all(reads) and not any(map(b.has_unknown, layer.inputs))
    if layer.is_shape:
        return all(reads) or all(map(b.may_be_host, layer.inputs))
    return bool(reads) and all(reads) and layer.kind in ARITHMETIC


def _on_host(b: Builder, layer: Layer) -> Value | list[Value]:
    if layer.kind == "parameter":
        return sizes(b.constants[layer.weights["value"]])
    if layer.kind not in ARITHMETIC:
        raise ValueError(
            f"{layer.name}: sizes that are computed with {layer.kind} have no place in a torch "
            "module; end before it (--outputs)"
        )
    try:
        return ARITHMETIC[layer.kind](layer, [b.host(value) for value in layer.inputs])
    except OverflowError as error:
        raise ValueError(f"{layer.name}: it computes {error}, which no image has") from error


def _as_seen(b: Builder, value: Tensor) -> Ref:
    """The step that gives a value as `end_points` shows it: in TensorFlow's order of features."""
    if value.map is None:
        return value.ref
    height, width, channels = value.map
    ref = b.add(".reshape", value.ref, (-1, channels, height, width))
    return b.add("torch.flatten", b.permute(ref, (0, 2, 3, 1)), 1)
