"""Optimizer state carried over, so that training goes on where the old stack stopped.

TensorFlow's `MomentumOptimizer` keeps `accumulation = momentum * accumulation + gradient` for each
trainable variable, in the slot `VARIABLE/Momentum`. That is `torch.optim.SGD`'s momentum buffer
(dampening 0), and minus Keras's velocity divided by the learning rate.
"""

from __future__ import annotations

import numpy as np

from slim_resnet.frameworks import require

from .checkpoint import CheckpointError
from .forms import merge
from .naming import Weight, table
from .slim_checkpoint import SlimCheckpoint

_SLOT = "Momentum"


def momentum(ckpt: SlimCheckpoint) -> dict[str, np.ndarray]:
    """The Momentum slots of the trainable weights, in the grouped form, by slim's names.

    Raises:
        CheckpointError: the checkpoint has none, or lacks one; the message names it.
    """
    stored = {}
    for variable in ckpt.arch.variables:
        name = f"{ckpt.full_name(variable.name)}/{_SLOT}"
        if not variable.trainable:
            continue
        if name not in ckpt:
            raise CheckpointError(
                f"{ckpt.path}: no variable {name}: it was not trained with Momentum, or holds the "
                "model alone; leave the optimizer out"
            )
        stored[variable.name] = ckpt[name]
    return merge(ckpt.arch, stored)


def _rows(ckpt: SlimCheckpoint) -> list[Weight]:
    return [row for row in table(ckpt.arch) if row.trainable]


def resume_torch(ckpt: SlimCheckpoint, net, optimizer) -> None:
    """Gives a `torch.optim.SGD` of a converted module the momentum of the slim training.

    Args:
        ckpt: the training checkpoint.
        net: its module, from `to_torch`.
        optimizer: a `torch.optim.SGD` of the module's parameters, with momentum and dampening 0.

    Raises:
        CheckpointError: the checkpoint has no Momentum slots.
    """
    torch = require("torch")
    slots = momentum(ckpt)
    parameters = dict(net.named_parameters())
    for row in _rows(ckpt):
        parameter = parameters[row.torch]
        value = torch.tensor(row.to_torch(slots[row.slim]))  # a copy: the file's is read-only
        optimizer.state[parameter]["momentum_buffer"] = value.to(parameter)


def resume_keras(ckpt: SlimCheckpoint, model, optimizer) -> None:
    """Gives a `keras.optimizers.SGD` of a converted model the momentum and step of the training.

    Args:
        ckpt: the training checkpoint.
        model: its model, from `to_keras`.
        optimizer: a `keras.optimizers.SGD` with momentum, its learning rate the one at which
            training goes on.

    Raises:
        CheckpointError: the checkpoint has no Momentum slots.
    """
    slots = momentum(ckpt)
    variables = model.trainable_variables
    optimizer.build(variables)
    velocities = dict(zip((v.path for v in variables), optimizer.momentums, strict=True))
    rate = float(optimizer.learning_rate)
    for row in _rows(ckpt):
        velocities[row.keras].assign(-rate * row.to_keras(slots[row.slim]))
    if ckpt.global_step is not None:
        optimizer.iterations.assign(ckpt.global_step)
