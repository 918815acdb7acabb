"""Under which names, and as which slices, a graph's Saver keeps its variables.

Source: TensorFlow's `core/ops/io_ops.cc` (`SaveV2`, `Save`, `SaveSlices`) and
`core/framework/tensor_slice.h` (how a slice is written).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from slim_resnet.frameworks import require

tf = require("tensorflow.compat.v1")

VARIABLES = frozenset(("VariableV2", "Variable", "VarHandleOp", "AutoReloadVariable"))
# Kind of operation that saves -> index of the first tensor among its inputs, and of the slices.
_SAVERS = {"SaveV2": (3, 2), "Save": (2, None), "SaveSlices": (3, 2)}
_NAMES = 1
_FORWARDING = frozenset(("Identity", "ReadVariableOp", "Cast", "Snapshot"))
_MAX_CHAIN = 8


@dataclass(frozen=True)
class Place:
    """Where a checkpoint keeps a variable.

    Attributes:
        name: of a variable of the checkpoint.
        slices: (start, length) of each of its axes; () for all of it.
    """

    name: str
    slices: tuple[tuple[int, int], ...] = ()

    def of(self, variables: Mapping):
        """The variable's values; KeyError where the checkpoint has none."""
        return variables[self.name][tuple(slice(a, a + n) for a, n in self.slices)]


def places(nodes: Mapping) -> dict[str, list[Place]]:
    """Name of a variable's node -> where it may be, the likeliest first: as its Savers say.

    Args:
        nodes: name -> NodeDef; all of the graph.
    """
    found: dict[str, list[Place]] = {}
    for node in nodes.values():
        for variable, place in _saved(nodes, node) if node.op in _SAVERS else ():
            found.setdefault(variable, []).append(place)
    for name, node in nodes.items():
        if node.op not in VARIABLES:
            continue
        own = Place(node.attr["shared_name"].s.decode() or name)
        known = list(dict.fromkeys(found.get(name, ())))
        found[name] = sorted(known, key=lambda place: place.name != own.name) or [own]
    return found


def _saved(nodes: Mapping, saver) -> Iterator[tuple[str, Place]]:
    first, with_slices = _SAVERS[saver.op]
    names = _strings(nodes, saver.input[_NAMES])
    slices = _strings(nodes, saver.input[with_slices]) if with_slices else []
    tensors = [each for each in saver.input[first:] if not each.startswith("^")]
    for index, (name, tensor) in enumerate(zip(names, tensors, strict=False)):
        variable = _variable(nodes, tensor)
        if variable:
            yield variable, Place(name, _parsed(slices[index] if index < len(slices) else ""))


def _strings(nodes: Mapping, ref: str) -> list[str]:
    """The values of a constant of strings; [] where it is computed."""
    node = nodes.get(ref.partition(":")[0])
    if node is None or node.op != "Const":
        return []
    values = tf.make_ndarray(node.attr["value"].tensor).reshape(-1)
    return [tf.compat.as_bytes(value).decode("utf-8", "replace") for value in values]


def _variable(nodes: Mapping, ref: str) -> str | None:
    """The variable that a tensor is the value of."""
    for _ in range(_MAX_CHAIN):
        node = nodes.get(ref.partition(":")[0])
        if node is None or node.op in VARIABLES:
            return node and node.name
        if node.op not in _FORWARDING:
            return None
        ref = node.input[0]
    return None


def _parsed(text: str) -> tuple[tuple[int, int], ...]:
    """The slice in "20 4 0,10:-": of rows 0 to 9 of a variable of shape [20, 4], here."""
    if not text.strip():
        return ()
    *shape, spec = text.split()
    parts = spec.split(":")
    whole = [(0, int(size)) for size in shape]
    return tuple(
        each if part == "-" else tuple(map(int, part.split(",")))
        for part, each in zip(parts, whole, strict=True)
    )
