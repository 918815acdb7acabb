"""An operation of the graph while it is made a layer, with what it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from converters.files.errors import Malformed
from converters.files.graphdef import Node
from converters.graphs.building import Builder
from converters.graphs.drafts import Value
from converters.graphs.layouts import aligned, axis_of
from converters.graphs.sizes import Dim, Size


@dataclass(frozen=True)
class Operation:
    """An operation, its inputs raised.

    Attributes:
        node: the operation of the graph.
        name: that of its layer.
        inputs: what it reads.
        builder: makes layers.
        decay: variable -> how fast the moving average goes that it is (None: it is not moved).
        extra: what was found out of it before (a dropout's rate).
    """

    node: Node
    name: str
    inputs: tuple[Value, ...]
    builder: Builder
    decay: Callable[[str], float | None]
    extra: float | None = None

    @property
    def type(self) -> str:
        return self.node.op

    def layer(
        self, kind: str, inputs: Sequence[Value], options: dict | None = None, **more
    ) -> Value:
        """The layer that it is; see `Builder.layer`."""
        return self.builder.layer(self.name, kind, inputs, options, **more)

    def helper(self, suffix: str, kind: str, inputs: Sequence[Value], options: dict | None = None,
               **more) -> Value:  # fmt: skip
        """A layer that it needs before its own."""
        name = self.builder.unique(f"{self.name}/{suffix}")
        return self.builder.layer(name, kind, inputs, options, operations=(), **more)

    def arithmetic(self, kind: str, values: Sequence[Value], dtype: str | None = None) -> Value:
        """The layer that it is, of values that are broadcast."""
        inputs, layout = aligned(self.builder, values)
        return self.layer(kind, inputs, layout=layout, dtype=dtype)

    def constant(self, index: int, what: str) -> np.ndarray:
        """An input that has to be constant.

        Raises:
            Malformed: it is computed.
        """
        value = self.inputs[index].constant
        if value is None:
            raise Malformed(f"the {what} of its operation {self.name!r} ({self.type}) is computed")
        return value

    def integers(self, index: int, what: str) -> tuple[int, ...]:
        """A constant input, as a list of integers."""
        array = np.atleast_1d(self.constant(index, what))
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise Malformed(f"the {what} of its operation {self.name!r} is no list of integers")
        return tuple(array.tolist())

    def integer(self, index: int, what: str) -> int:
        """A constant input, as one integer."""
        values = self.integers(index, what)
        if len(values) != 1:
            raise Malformed(f"the {what} of its operation {self.name!r} is no integer")
        return values[0]

    def sizes(self, index: int) -> tuple[Dim, ...] | None:
        """An input that is a list of sizes, as far as they are known; None where they are not."""
        elements = self.inputs[index].elements
        if elements is None or elements.ndim > 1:
            return None
        flat = np.atleast_1d(elements).tolist()
        return tuple(each if isinstance(each, Size) else int(each) for each in flat)

    def axis(self, value: Value, index: int, what: str = "axis") -> int:
        """A constant input that counts an axis of a value."""
        return axis_of(value, self.integer(index, what))

    def need(self, count: int) -> None:
        """Raises Malformed unless it has at least so many inputs."""
        if len(self.inputs) < count:
            raise Malformed(f"its operation {self.name!r} ({self.type}) lacks an input")

    def unknown_sizes(self, count: int, what: str) -> tuple[Size, ...]:
        """Sizes of which nothing is known."""
        return tuple(self.builder.atoms.size((self.name, what, i)) for i in range(count))


Handler = Callable[[Operation], "Value | Sequence[Value]"]


def all_known(sizes: Sequence[Dim] | None) -> bool:
    """Whether a list of sizes has integers only."""
    return sizes is not None and not any(isinstance(size, Size) for size in sizes)
