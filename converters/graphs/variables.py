"""The variables of a graph: their shapes, whether they are trained, their names in a checkpoint.

A checkpoint has them under the names that the graph's own Saver gives them: most often those of the
operations; for the parts of a partitioned variable that of the whole and a slice; for an evaluation
of moving averages those of the averages. Source: TensorFlow's `python/training/saver.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from converters.files.errors import Malformed
from converters.files.graphdef import VARIABLES, Graph, Node
from converters.files.shapes import Shape

_SAVES = {"SaveV2": 3, "SaveSlices": 3, "Save": 2}  # operation -> where the tensors begin
_MAX_CHAIN = 64


@dataclass(frozen=True)
class Stored:
    """How a variable lies in a checkpoint.

    Attributes:
        name: under which it is stored.
        region: the part of it, (start, length) of every axis; None: all of it.
    """

    name: str
    region: tuple[tuple[int, int], ...] | None = None

    def read(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The variable's array from the arrays of the checkpoint."""
        array = np.asarray(arrays[self.name])
        array = array.astype(np.float32) if array.dtype == np.float16 else array
        if self.region is None:
            return array
        return array[tuple(slice(start, start + length) for start, length in self.region)]


class Variables:
    """The variables of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def shape(self, node: Node) -> Shape:
        """The static shape of a variable.

        Raises:
            Malformed: it has none.
        """
        shape = node.partial_shape("shape")
        if shape is None or None in shape:
            raise Malformed(
                f"the shape of its variable {node.name!r} is not known",
                "make it with a static shape (validate_shape=True)",
            )
        return shape

    def stored(self, name: str) -> Stored:
        """How the variable of an operation is stored."""
        return self._stored.get(name) or Stored(name)

    def trainable(self, name: str) -> bool | None:
        """Whether an optimizer may change a variable; None if the graph does not say."""
        known = self._graph.meta.trainable
        return None if known is None else name in known

    @cached_property
    def exist(self) -> bool:
        """Whether the graph has variables at all; a frozen one has not."""
        return any(node.op in VARIABLES for node in self._graph)

    @cached_property
    def _stored(self) -> dict[str, Stored]:
        found: dict[str, Stored] = {}
        for save in self._saves():
            names, slices = (self._texts(save, index) for index in (1, 2))
            tensors = save.operands[_SAVES[save.op] :]
            for index, (name, (tensor, _)) in enumerate(zip(names, tensors, strict=False)):
                node = self._graph.source(self._graph.nodes.get(tensor))
                if node is not None and node.op in VARIABLES:
                    text = slices[index] if index < len(slices) else ""
                    found[node.name] = Stored(name, parse_slice_text(text))
        return found

    def _saves(self) -> list[Node]:
        """The operations of the Saver that wrote the file; the first Saver's if it is not said."""
        saves = [node for node in self._graph if node.op in _SAVES]
        scope = self._graph.meta.save.rpartition("/")[0]
        own = [node for node in saves if node.name.rpartition("/")[0] == scope]
        first = [s for s in saves if s.name.rpartition("/")[0] == saves[0].name.rpartition("/")[0]]
        return own or first

    def _texts(self, save: Node, index: int) -> list[str]:
        """A list of strings that a Save operation is given."""
        if save.op == "Save" and index == 2:
            return []
        node = self._graph.source(self._graph.input(save, index))
        return node.tensor.texts() if node is not None and node.op == "Const" else []


def parse_slice_text(text: str) -> tuple[tuple[int, int], ...] | None:
    """The region that "64 32 0,32:0,32" means: the whole shape, then start,length an axis.

    Returns:
        None for "", which means all.
    """
    if not text.strip():
        return None
    *shape, axes = text.split(" ")
    region = []
    try:
        for size, axis in zip(map(int, shape), axes.split(":"), strict=True):
            start, length = (0, size) if axis == "-" else map(int, axis.split(","))
            region.append((start, length))
    except ValueError:
        raise Malformed(f"it saves a part of a variable as {text!r}, which is no slice") from None
    whole = all(
        (start, length) == (0, int(size))
        for (start, length), size in zip(region, shape, strict=True)
    )
    return None if whole else tuple(region)
