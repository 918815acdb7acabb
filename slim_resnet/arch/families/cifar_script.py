"""The net of the widely copied TensorFlow 1 CIFAR script, and its script's names of variables.

Its convolutions are unnamed `tf.layers.conv2d`, numbered as they are created; its batch norms and
its dense layer have names of their own; there is no scope around them.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.family import Family, ScriptNames, Shapes, add, register
from slim_resnet.arch.parts import Stage, Variable
from slim_resnet.arch.variables import layer_variables, unit_variables

_LOGITS = "linear/kernel"
_VARIABLES_OF_A_LAYER = 5  # weights, and four of the batch norm


def resnext_cifar(cardinality: int = 8, depth: int = 64, num_classes: int = 10) -> Arch:
    """The script's net: split, transform, concat, transition.

    Args:
        cardinality: the number of branches.
        depth: channels of a branch.
        num_classes: outputs of the dense layer, which has no bias.
    """
    stages = tuple(
        Stage(3, width, cardinality * depth, stride)
        for width, stride in zip((64, 128, 256), (1, 2, 2), strict=True)
    )
    return Arch(
        "resnext_cifar",
        "resnext_cifar",
        "split_v1",
        stages,
        cardinality,
        num_classes,
        stride_unit="first",
        root_kernel=3,
        root_stride=1,
        root_pool="none",
        shortcut="average_pad",
        form="concat" if cardinality > 1 else "grouped",
        batch_norm_epsilon=1e-3,
        batch_norm_decay=0.9,
        logits_bias=False,
    )


def _variables(arch: Arch) -> Iterator[Variable]:
    """The variables of `arch` under the script's names, in its order of creation."""
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

    yield from layer(layer_variables(arch.root), "first_layer_batch1")
    for unit in arch.units:
        where = f"{unit.block}_{unit.index - 1}"
        stored = unit_variables(unit, "concat")
        *branches, transition = [
            stored[i : i + _VARIABLES_OF_A_LAYER]
            for i in range(0, len(stored), _VARIABLES_OF_A_LAYER)
        ]
        for i, variables in enumerate(branches):
            split, batch = divmod(i, 2)
            yield from layer(variables, f"split_layer_{where}_splitN_{split}_batch{batch + 1}")
        yield from layer(transition, f"trans_layer_{where}_batch1")
    if arch.logits:
        (kernel,) = layer_variables(arch.logits)
        yield dataclasses.replace(kernel, name=_LOGITS, shape=kernel.shape[2:])


# The first batch norms of the branches of the first unit, one for each branch.
_MARK = r"split_layer_1_0_splitN_\d+_batch1/gamma"


def _read(shapes: Shapes) -> Arch:
    """The script's net with the widths of its batch norms."""
    splits = [name for name in shapes if re.fullmatch(_MARK, name)]
    branch_depth = shapes.get("split_layer_1_0_splitN_0_batch1/gamma", (0,))[0]
    logits = shapes.get(_LOGITS)
    found = resnext_cifar(len(splits), branch_depth, logits[-1] if logits else None)
    stages = []
    for block, stage in enumerate(found.stages, start=1):
        units = [n for n in shapes if re.match(rf"trans_layer_{block}_\d+_batch1/gamma$", n)]
        depth = shapes.get(f"trans_layer_{block}_0_batch1/gamma", (stage.depth,))[0]
        stages.append(dataclasses.replace(stage, num_units=len(units), depth=depth))
    root_depth = shapes.get("first_layer_batch1/gamma", (found.root_depth,))[0]
    return found.replace(stages=tuple(stages), root_depth=root_depth)


register(
    Family(
        name="resnext_cifar",
        generator="resnext_cifar:resnext_cifar",
        unit_fns={"split_v1": "resnext_cifar:split_unit"},
        arg_scope="resnext_cifar:resnext_cifar_arg_scope",
        builder="resnext_cifar:build",
        prototypes={"split_v1": "resnext_cifar"},
        forms=("grouped", "concat"),
        fixed={
            "root_block": True,
            "root_pool": "none",
            "has_se": False,
            "shortcut": "average_pad",
            "use_bounded_activations": False,
            "use_batch_norm": True,
            "batch_norm_scale": True,
            "batch_norm_center": True,
            "conv_bias": "none",
            "global_pool": True,
            "logits_layer": "conv",
            "logits_bias": False,
        },
        script=ScriptNames(variables=_variables, mark=_MARK, read=_read, logits=_LOGITS),
        weight_decay_in_loss=True,
    )
)
add(resnext_cifar())
