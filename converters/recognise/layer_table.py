"""The layers of what was recognised, as rows for people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from converters.graphs.network import Network
from converters.recognise.recognised import Recognised
from slim_resnet.arch.architecture import Arch


@dataclass(frozen=True)
class LayerRow:
    """A layer.

    Attributes:
        name: of its operation; without a graph its scope.
        kind: what it computes.
        reads: the names of its inputs; () without a graph.
        shape: of its output, channels last, None where that is not known.
        parameters: how many numbers it holds; those that several layers share with the first.
    """

    name: str
    kind: str
    reads: tuple[str, ...] = ()
    shape: tuple[int | None, ...] | None = None
    parameters: int = 0


def layer_rows(ckpt: Recognised) -> tuple[LayerRow, ...]:
    """The layers of a network in order; arithmetic on sizes is left out."""
    network = ckpt.network or (ckpt.match and ckpt.match.network)
    return tuple(_of_network(network) if network else _of_arch(ckpt.arch))


def _of_network(network: Network) -> Iterator[LayerRow]:
    counted: set[str] = set()
    for layer in network.layers:
        if not layer.is_shape:
            own = set(layer.weights.values()) - counted
            counted |= own
            size = sum(math.prod(network.parameters[name].shape) for name in own)
            yield LayerRow(layer.name, layer.kind, layer.inputs, layer.shape, size)


def _of_arch(arch: Arch) -> Iterator[LayerRow]:
    sizes: dict[str, int] = {}
    for variable in arch.variables:
        scope = variable.name.rpartition("/")[0]
        sizes[scope] = sizes.get(scope, 0) + math.prod(variable.shape)
    for scope, size in sizes.items():
        is_norm = scope.rpartition("/")[2] in ("BatchNorm", "preact", "postnorm")
        yield LayerRow(scope, "batch norm" if is_norm else "convolution", parameters=size)


def shape_text(shape: tuple[int | None, ...] | None) -> str:
    """ "[?, 64, 64, 3]"; "" where nothing is known."""
    return "" if shape is None else f"[{', '.join('?' if s is None else str(s) for s in shape)}]"
