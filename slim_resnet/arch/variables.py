"""The variables that a graph creates, in order, for every form of a ResNeXt unit.

The three forms of Fig. 3 of arXiv:1611.05431 hold the same numbers under different names:

    grouped   conv1, conv2 (grouped), conv3
    concat    branch_0/conv1, branch_0/conv2, branch_1/conv1, ...; joined; conv3
    branches  branch_0/conv1, branch_0/conv2, branch_0/conv3, branch_1/...; summed; batch norm

A branch's conv1 and conv2, batch norms included, are slices of the grouped form's along the output
channels, its conv3 is a slice along the input channels. In `branches` the batch norm comes after
the sum, as in section 3 of the paper.
"""

from __future__ import annotations

import dataclasses

from slim_resnet.arch.parts import Conv, Norm, Unit, Variable

# Form of a ResNeXt unit -> the weights that only units of that form have, in a unit's scope.
FORM_MARKS = {
    "grouped": ("conv2/weights",),
    "concat": ("branch_0/conv2/weights", "conv3/weights"),
    "branches": ("branch_0/conv3/weights",),
}


@dataclasses.dataclass(frozen=True)
class NormVariables:
    """Which variables the batch norms of a network have, besides their moving statistics."""

    scale: bool = True
    center: bool = True

    def of(self, scope: str, depth: int) -> list[Variable]:
        """Those of the batch norm in `scope`, in slim's order."""
        trainable = [n for n, has in (("gamma", self.scale), ("beta", self.center)) if has]
        names = [*((name, True) for name in trainable), ("moving_mean", False)]
        names.append(("moving_variance", False))
        return [_whole(f"{scope}/{name}", (depth,), kept) for name, kept in names]


NORM = NormVariables()


def layer_variables(layer: Conv | Norm, norm: NormVariables = NORM) -> list[Variable]:
    """The variables of one layer."""
    if isinstance(layer, Norm):
        return norm.of(layer.scope, layer.depth)
    found = [_whole(f"{layer.scope}/weights", layer.weights_shape)]
    if layer.bias:
        found.append(_whole(f"{layer.scope}/biases", (layer.depth,)))
    if layer.norm:
        found += norm.of(f"{layer.scope}/BatchNorm", layer.depth)
    return found


def unit_variables(unit: Unit, form: str, norm: NormVariables = NORM) -> list[Variable]:
    """The variables of a residual unit in one of the `parts.FORMS`."""
    if form == "grouped":
        return [v for layer in unit.layers for v in layer_variables(layer, norm)]
    *split, last = unit.convs
    cardinality = max(conv.groups for conv in unit.convs)
    outside = (unit.preact, unit.projection)
    found = [v for layer in outside if layer for v in layer_variables(layer, norm)]
    last_weights, *last_rest = layer_variables(last, norm)
    for branch in range(cardinality):
        for conv in split:
            for variable in layer_variables(conv, norm):
                found.append(_part(unit, variable, branch, -1, conv.depth // cardinality, conv))
        if form == "branches":
            found.append(_part(unit, last_weights, branch, 2, last.depth_in // cardinality, last))
    after = [v for layer in unit.se for v in layer_variables(layer, norm)]
    return found + ([] if form == "branches" else [last_weights]) + last_rest + after


def _part(
    unit: Unit, variable: Variable, branch: int, axis: int, size: int, conv: Conv
) -> Variable:
    """The slice of `variable` that belongs to `branch`: `size` channels along `axis`."""
    axis %= len(variable.shape)
    shape = list(variable.shape)
    shape[axis] = size
    if axis == 3:  # a branch's filters see its own channels, or the whole input
        shape[2] = conv.depth_in // conv.groups
    inner = variable.name[len(unit.scope) + 1 :]
    return dataclasses.replace(
        variable, name=f"{unit.scope}/branch_{branch}/{inner}", shape=tuple(shape), axis=axis
    )


def _whole(name: str, shape: tuple[int, ...], trainable: bool = True) -> Variable:
    return Variable(name, shape, whole=name, trainable=trainable)
