"""From drafts to the layers and parameters of a `Network`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from converters.files.errors import Malformed, blame
from converters.graphs.building import Builder
from converters.graphs.drafts import (
    INPUT,
    VARIABLE,
    Draft,
    Value,
    ancestors,
    evaluate,
    variables_of,
)
from converters.graphs.network import Layer, Parameter
from converters.graphs.pipelines import NUMBERS

_MOVING = ("mean", "variance")  # roles that no optimizer changes
_WEIGHTS = ("kernel", "bias", "gamma", "beta", "alpha")  # roles that one does


class Assembly:
    """Makes layers, and the parameters that they read.

    Args:
        path: of the graph, for errors.
        builder: names helping layers.
        order: name of an operation -> its place in the graph.
        says_trainable: whether the graph says which variables are trained.
        has_variables: whether it has variables at all; the weights of a frozen one are constants.
    """

    def __init__(
        self,
        path: str,
        builder: Builder,
        order: Mapping[str, int],
        says_trainable: bool,
        has_variables: bool,
    ) -> None:
        self._path = path
        self.layers: list[Layer] = []
        self.parameters: dict[str, Parameter] = {}
        self._builder = builder
        self._order = order
        self._says_trainable = says_trainable
        self._has_variables = has_variables
        self._names: dict[tuple[int, int], str] = {}
        self._taken: set[str] = set()
        self._given: dict[tuple[int, int], str] = {}

    def add(self, drafts: Iterable[Draft]) -> None:
        """Adds the layers of drafts, in an order in which they can be computed."""
        drafts = [draft for draft in drafts if not draft.static and draft.kind != INPUT]
        self._taken.update(draft.name for draft in drafts)
        for draft in drafts:
            inputs = tuple(self._input(value) for value in draft.inputs)
            weights = {role: self._parameter(v, role) for role, v in draft.weights.items()}
            operations = sorted(set(draft.operations), key=lambda n: self._order.get(n, -1))
            self.layers.append(
                Layer(
                    name=draft.name,
                    kind=draft.kind,
                    inputs=inputs,
                    weights=weights,
                    options=draft.options,
                    shape=draft.value.known_shape,
                    operations=tuple(operations),
                    layout=draft.value.layout,
                    is_shape=draft.is_shape,
                )
            )

    def _input(self, value: Value) -> str:
        """The name of a value that a layer reads; a parameter becomes a layer."""
        if not value.static:
            return value.name
        key = (id(value.draft), value.index)
        if key not in self._given:
            parameter = self._parameter(value, "value")
            name = value.draft.name
            if value.index or name in self._taken:
                name = self._builder.unique(f"{name}_{value.index}")
            is_shape = value.constant is not None and value.constant.dtype.kind in "iu"
            operations = tuple(value.draft.operations)
            self.layers.append(
                Layer(
                    name, "parameter", (), {"value": parameter}, {}, value.known_shape,
                    operations=operations, is_shape=is_shape,
                )
            )  # fmt: skip
            self._given[key] = name
        return self._given[key]

    def _parameter(self, value: Value, role: str) -> str:
        """The name of the parameter that a static value is."""
        key = (id(value.draft), value.index)
        if key in self._names:
            return self._names[key]
        draft = value.draft
        if value.dtype not in NUMBERS:
            raise Malformed(
                f"its operation {draft.name!r} is read as numbers and holds {value.dtype}s",
                "choose outputs that do not need it",
            )
        whole = draft.kind == VARIABLE and draft.value.shape == value.shape
        name = draft.variables[0] if whole and _is_whole(draft) else draft.name
        name = f"{name}:{value.index}" if value.index else name
        if name in self.parameters:
            name = self._builder.unique(f"{name}/parameter")
        self.parameters[name] = Parameter(
            name=name,
            shape=tuple(int(dim) for dim in value.shape),
            trainable=self._trainable(value, role),
            variables=variables_of([value]),
            compute=_compute(self._path, value),
        )
        self._names[key] = name
        return name

    def _trainable(self, value: Value, role: str) -> bool:
        if role in _MOVING:
            return False
        if self._says_trainable:
            return any(draft.trainable for draft in ancestors([value]))
        return role in _WEIGHTS and bool(variables_of([value]) or not self._has_variables)


def _is_whole(draft: Draft) -> bool:
    """Whether a variable is all of what the checkpoint has under its name."""
    return draft.is_whole


def _compute(path: str, value: Value) -> Callable[..., np.ndarray]:
    def compute(arrays: Mapping[str, np.ndarray], double: bool = False) -> np.ndarray:
        with blame(path):
            return evaluate(value, arrays, double)

    return compute
