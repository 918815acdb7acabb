"""Which unknown sizes of a layer's output are those of its inputs."""

from __future__ import annotations

from collections.abc import Sequence

from converters.graphs.network import Layer
from converters.models.network_keras.builder import Builder, is_tensor, is_unknown
from converters.models.network_keras.elementwise import LAYERS as ELEMENTWISE
from converters.models.network_keras.sizes import Dim

_EVERYTHING = (None, None, 1)
_OTHER_BATCH = frozenset(
    ("batch_to_space", "space_to_batch", "reshape", "fill", "range", "tile", "broadcast_to",
     "slice", "parameter", "matmul")
)  # fmt: skip


def dims_of(builder: Builder, layer: Layer, value) -> Sequence[Dim | None]:
    """The sizes of an output as far as they are told by its inputs; None for others."""
    if layer.name in builder.given:
        return builder.given[layer.name]
    rank = len(value.shape)
    sources = [builder.dims(n) for n in layer.inputs if is_tensor(builder.values[n])]
    if layer.kind in ELEMENTWISE:
        return [_broadcast(sources, rank - axis) for axis in range(rank)]
    dims: list[Dim | None] = [None] * rank
    if rank and sources and sources[0] and _keeps_batch(layer):
        dims[0] = sources[0][0]
    return dims


def _broadcast(sources: Sequence[Sequence[Dim]], from_end: int) -> Dim | None:
    """The size of an axis, counted from the end, of values that are broadcast."""
    found = [dims[-from_end] for dims in sources if len(dims) >= from_end]
    unknown = {size for size in found if is_unknown(size)}
    return unknown.pop() if len(unknown) == 1 else None


def _keeps_batch(layer: Layer) -> bool:
    """Whether the first axis of the output is that of the first input."""
    options = layer.options
    if layer.kind in _OTHER_BATCH:
        return False
    if options.get("axis") == 0 or 0 in (options.get("axes") or ()):
        return False
    if layer.kind == "transpose":
        return options["permutation"][0] == 0
    if layer.kind == "strided_slice":
        is_whole = options["slices"][0] == _EVERYTHING
        return is_whole and 0 not in (*options["shrink"], *options["new"])
    return True
