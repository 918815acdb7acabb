"""Makes drafts of layers: infers their shapes, and sees what is static and what computes sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from converters.graphs import folding
from converters.graphs.drafts import CONSTANT, VARIABLE, Draft, Value
from converters.graphs.shapes import Dims, output_shapes
from converters.graphs.sizes import Atoms, Size, known

_MAX_FOLDED = 2**28  # values of a parameter; larger ones come from hostile graphs


class Builder:
    """Makes drafts.

    Args:
        taken: names that no helping layer may have.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.atoms = Atoms()
        self._taken = set(taken)
        # The batch of what is fed, and how many the graph was made for (None: any).
        self.batch: tuple[Size, int | None] = (self.atoms.size("batch"), None)

    def leaf(self, name: str, kind: str, shape: Dims, dtype: str, **fields) -> Value:
        """An input, a constant or a variable; `fields` are those of `Draft`."""
        layout = fields.pop("layout", "NHWC")
        draft = Draft(name, kind, static=kind in (CONSTANT, VARIABLE), **fields)
        return self._register(draft, [shape], dtype, layout)

    def constant(self, name: str, array: np.ndarray) -> Value:
        """A constant that is made here."""
        array = np.asarray(array)
        return self.leaf(
            self.unique(name), CONSTANT, array.shape, array.dtype.name, read=lambda _: array
        )

    def layer(
        self,
        name: str,
        kind: str,
        inputs: Sequence[Value],
        options: Mapping | None = None,
        *,
        sizes: Mapping | None = None,
        weights: Mapping[str, Value | None] | None = None,
        dtype: str | None = None,
        layout: str = "NHWC",
        operations: Sequence[str] | None = None,
    ) -> Value:
        """A layer of the network, or a static value.

        Args:
            name: of the operation that computes it.
            kind, inputs, options: as `Layer` has them.
            sizes: options as its shape depends on them: those that are computed as `Size`s.
            weights: role -> value; None for a role that is absent.
            dtype: of its outputs; None: of its first input.
            layout: "NCHW" where the graph's own tensor is.
            operations: of the graph, its own; () for one that helps another; None: `name`.

        Returns:
            Its first output; the others are in `.draft.values`.

        Raises:
            Malformed: its shapes do not go together.
        """
        weights = {role: value for role, value in (weights or {}).items() if value is not None}
        options = dict(options or {})
        shapes = output_shapes(
            kind,
            [value.shape for value in inputs],
            {**options, **(sizes or {})},
            {role: value.shape for role, value in weights.items()},
        )
        draft = Draft(name, kind, tuple(inputs), options, weights)
        draft.operations = [name] if operations is None else list(operations)
        draft.static = self._folds(draft, shapes)
        draft.is_shape = kind == "shape" or (not draft.static and _is_shape(inputs))
        return self._register(draft, shapes, dtype or inputs[0].dtype, layout)

    def unique(self, name: str) -> str:
        """`name`, or with a number behind it: no operation of the graph has it."""
        chosen, number = name, 0
        while chosen in self._taken:
            number += 1
            chosen = f"{name}_{number}"
        self._taken.add(chosen)
        return chosen

    def _folds(self, draft: Draft, shapes: Sequence[Dims]) -> bool:
        if draft.weights or not draft.inputs or not all(v.static for v in draft.inputs):
            return False
        if not folding.folds(draft.kind) or None in draft.options.values():
            return False
        return all(known(dim) is not None for shape in shapes for dim in shape) and all(
            math.prod(shape) <= _MAX_FOLDED for shape in shapes
        )

    def _register(self, draft: Draft, shapes: Sequence[Dims], dtype: str, layout: str) -> Value:
        draft.values = [Value(draft, i, tuple(s), dtype, layout) for i, s in enumerate(shapes)]
        draft.varies = bool(draft.variables) or any(v.draft.varies for v in draft.inputs)
        for value in draft.values if draft.inputs else ():
            _ = value.elements  # now, that what is computed of it need not go back far
        return draft.value


def _is_shape(inputs: Sequence[Value]) -> bool:
    """Whether a layer computes sizes: from sizes, and from constants."""
    return any(value.draft.is_shape for value in inputs) and all(
        value.draft.is_shape or value.constant is not None for value in inputs
    )
