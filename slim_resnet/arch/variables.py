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
from collections.abc import Iterator

from slim_resnet.arch.parts import Conv, Norm, Unit, Variable

_NORM = (("gamma", True), ("beta", True), ("moving_mean", False), ("moving_variance", False))


def layer_variables(layer: Conv | Norm) -> list[Variable]:
    """The variables of one layer."""
    if isinstance(layer, Norm):
        return _norm(layer.scope, layer.depth)
    found = [_whole(f"{layer.scope}/weights", layer.weights_shape)]
    if layer.norm:
        found += _norm(f"{layer.scope}/BatchNorm", layer.depth)
    if layer.bias:
        found.append(_whole(f"{layer.scope}/biases", (layer.depth,)))
    return found


def unit_variables(unit: Unit, form: str) -> list[Variable]:
    """The variables of a residual unit in one of the `spec.FORMS`."""
    if form == "grouped":
        return [v for layer in unit.layers for v in layer_variables(layer)]
    *split, last = unit.convs
    cardinality = max(conv.groups for conv in unit.convs)
    found = [v for layer in (unit.preact, unit.projection) if layer for v in layer_variables(layer)]
    last_weights, *last_rest = layer_variables(last)
    for branch in range(cardinality):
        for conv in split:
            for variable in layer_variables(conv):
                found.append(_part(unit, variable, branch, -1, conv.depth // cardinality, conv))
        if form == "branches":
            found.append(_part(unit, last_weights, branch, 2, last.depth_in // cardinality, last))
    return found + ([] if form == "branches" else [last_weights]) + last_rest


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


def script_variables(
    units: tuple[Unit, ...], root: Conv, logits: Conv | None
) -> Iterator[Variable]:
    """The variables of the public CIFAR ResNeXt script (`resnext_cifar`), in its order.

    Its convolutions are unnamed `tf.layers.conv2d`, numbered as they are created; its batch norms
    and its dense layer have names of their own.
    """
    number = 0

    def conv(variable: Variable) -> Variable:
        nonlocal number
        name = f"conv2d_{number}/kernel" if number else "conv2d/kernel"
        number += 1
        return dataclasses.replace(variable, name=name)

    def layer(variables: list[Variable], norm: str) -> Iterator[Variable]:
        weights, gamma, beta, *moving = variables
        yield conv(weights)
        for variable in (beta, gamma, *moving):  # the order of zero-debiased batch norms
            last = variable.name.rpartition("/")[2]
            yield dataclasses.replace(variable, name=f"{norm}/{last}")

    yield from layer(layer_variables(root), "first_layer_batch1")
    for unit in units:
        where = f"{unit.block}_{unit.index - 1}"
        stored = unit_variables(unit, "concat")
        per_layer = 1 + len(_NORM)
        *branches, transition = [
            stored[i : i + per_layer] for i in range(0, len(stored), per_layer)
        ]
        for i, variables in enumerate(branches):
            split, batch = divmod(i, 2)
            yield from layer(variables, f"split_layer_{where}_splitN_{split}_batch{batch + 1}")
        yield from layer(transition, f"trans_layer_{where}_batch1")
    if logits:
        (kernel,) = layer_variables(logits)
        yield dataclasses.replace(kernel, name="linear/kernel", shape=kernel.shape[2:])


def _norm(scope: str, depth: int) -> list[Variable]:
    return [_whole(f"{scope}/{name}", (depth,), trainable) for name, trainable in _NORM]


def _whole(name: str, shape: tuple[int, ...], trainable: bool = True) -> Variable:
    return Variable(name, shape, whole=name, trainable=trainable)
