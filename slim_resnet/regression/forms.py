"""What a canonical graph is made of: leaves, and nodes with outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


@dataclass(frozen=True)
class Leaf:
    """Where a computation starts: an input, a variable or a constant; or a shape.

    `value` is a constant's contents as nested lists, or the CRC-32 of its bytes if it is large.
    A constant has no name: it says nothing. What is computed from the shape of the input alone has
    the kind "shape" and as `value` what it is for several such shapes.
    """

    kind: str
    name: str | None
    dtype: str
    shape: tuple[int, ...] | None = None
    value: Any = None

    def __str__(self) -> str:
        if self.kind == "shape":
            return f"{self.dtype} {list(self.value)}, by the input's shape"
        if self.kind != "constant":
            return f"{self.kind} {self.name}"
        large = isinstance(self.value, int) and self.shape
        content = f"{list(self.shape)} with CRC-32 {self.value}" if large else f"{self.value}"
        return f"{self.dtype} constant {content}"


@dataclass(frozen=True, eq=False)
class Node:
    """An op: `op` is its canonical type, `attributes` those that decide what it computes."""

    name: str
    op: str
    attributes: dict[str, Any]
    inputs: tuple[Value, ...]


class Output(NamedTuple):
    """Output `index` of `node`."""

    node: Node
    index: int

    def __str__(self) -> str:
        suffix = f":{self.index}" if self.index else ""
        return f"{self.node.op} {self.node.name}{suffix}"


Value = Leaf | Output


def decimal(values: np.ndarray) -> np.ndarray:
    """Floats as their author wrote them: 0.001 for the float32 that is 0.00100000005."""
    floating = np.issubdtype(values.dtype, np.floating)
    return values.astype(str).astype(np.float64) if floating else values
