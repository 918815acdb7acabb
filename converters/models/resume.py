"""Optimizer state carried over, so that training goes on where the old stack stopped.

TensorFlow's `MomentumOptimizer` keeps `accumulation = momentum * accumulation + gradient` for each
trainable variable, in the slot `VARIABLE/Momentum`. That is `torch.optim.SGD`'s momentum buffer
(dampening 0), and minus Keras's velocity divided by the learning rate.

A checkpoint holds neither the learning rate at which training goes on, nor the factors of momentum
and weight decay: those are the `Recipe`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from converters.files import CheckpointError
from converters.models.naming import Weight, table
from converters.models.training import set_keras_weight_decay, sgd_param_groups
from converters.recognise.detection import slots_of
from converters.recognise.forms import merge
from converters.recognise.recognised import Recognised
from slim_resnet.arch.parts import WEIGHT_DECAY
from slim_resnet.frameworks import require

_SLOT = "Momentum"


@dataclass(frozen=True)
class Recipe:
    """How training goes on.

    Attributes:
        learning_rate: None only where it is not needed: in files of slim's own variables.
        momentum: of `MomentumOptimizer`, the decay of its accumulation.
        weight_decay: slim's, see `converters.models.training`; None: that of the graph beside the
            checkpoint or, where there is none, `resnet_arg_scope`'s.
    """

    learning_rate: float | None = None
    momentum: float = 0.9
    weight_decay: float | None = None

    def __post_init__(self):
        rate = 1.0 if self.learning_rate is None else self.learning_rate
        decay = self.weight_decay or 0.0
        if not (0 < rate < math.inf and 0 <= self.momentum < 1 and 0 <= decay < 1):
            raise ValueError(
                f"{self}: no training goes on so: the rate is positive, momentum and weight decay "
                "are from 0 to below 1"
            )

    def weight_decay_of(self, ckpt: Recognised) -> float:
        """The weight decay of the training of `ckpt`."""
        if self.weight_decay is not None:
            return self.weight_decay
        decays = ckpt.facts.weight_decays(ckpt.scope) if ckpt.facts else ()
        return decays[0] if len(decays) == 1 else WEIGHT_DECAY


def carried(ckpt: Recognised) -> set[str]:
    """The variables that `torch_optimizer` and `compile_keras` take: slots and `global_step`.

    Raises:
        CheckpointError: training cannot go on from this checkpoint; the message says why.
    """
    names = _slots(ckpt).values()
    steps = [n for n in ckpt.auxiliary.get("training state", ()) if n.endswith("global_step")]
    return {*names, *steps[:1]}


def momentum(ckpt: Recognised) -> dict[str, np.ndarray]:
    """The Momentum slots of the trainable weights, in the grouped form, by slim's names.

    Raises:
        CheckpointError: the checkpoint has none, or lacks one, or the averages of its weights were
            asked for, which have no momentum.
    """
    return merge(ckpt.arch, {name: ckpt[slot] for name, slot in _slots(ckpt).items()})


def _slots(ckpt: Recognised) -> dict[str, str]:
    """Name of a trainable variable below the scope -> full name of its Momentum slot."""
    if ckpt.averaged:
        raise CheckpointError(
            f"{ckpt.path}: the momentum is that of the weights, not of their moving averages: "
            "leave --optimizer or --weights ema out"
        )
    names = {v.name: ckpt.full_name(v.name) for v in ckpt.arch.variables if v.trainable}
    found = slots_of(ckpt, names.values()).get(_SLOT, {})
    lacking = next((name for name in names.values() if name not in found), None)
    if lacking is not None:
        raise CheckpointError(
            f"{ckpt.path}: no variable {lacking}/{_SLOT}: {_instead(ckpt)}; leave --optimizer out"
        )
    return {name: found[full] for name, full in names.items()}


def _instead(ckpt: Recognised) -> str:
    """What the checkpoint holds in the place of Momentum slots."""
    kinds = {name.rpartition("/")[2] for name in ckpt.auxiliary.get("optimizer slots", ())}
    others = ", ".join(sorted(kinds - {_SLOT}))
    if others:
        return f"its optimizer was not Momentum, but one with the slots {others}, which stay behind"
    if kinds:
        return "it has that slot for other variables only"
    return "it was trained without momentum, or holds the model alone"


def _rows(ckpt: Recognised) -> list[Weight]:
    return [row for row in table(ckpt.arch) if row.trainable]


def resume_torch(ckpt: Recognised, net, optimizer) -> None:
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


def resume_keras(ckpt: Recognised, model, optimizer) -> None:
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


def torch_optimizer(ckpt: Recognised, net, recipe: Recipe):
    """A `torch.optim.SGD` with which a converted module goes on as slim would have.

    Args:
        ckpt: the training checkpoint.
        net: its module, from `to_torch`, in the dtype and on the device of the training.
        recipe: the rest; its weight decay goes to slim's variables alone.

    Raises:
        CheckpointError: the checkpoint has no Momentum slots.
    """
    torch = require("torch")
    groups = sgd_param_groups(net, recipe.weight_decay_of(ckpt))
    optimizer = torch.optim.SGD(groups, recipe.learning_rate, recipe.momentum)
    resume_torch(ckpt, net, optimizer)
    return optimizer


def compile_keras(ckpt: Recognised, model, recipe: Recipe) -> None:
    """Compiles a converted Keras model so that `fit` goes on as slim would have.

    Its loss is the cross entropy of integer labels; a network without classes gets none.

    Args:
        ckpt: the training checkpoint.
        model: its model, from `to_keras`.
        recipe: the rest; its weight decay becomes regularizers of slim's variables alone.

    Raises:
        CheckpointError: the checkpoint has no Momentum slots.
    """
    keras = require("keras")
    set_keras_weight_decay(model, recipe.weight_decay_of(ckpt))
    optimizer = keras.optimizers.SGD(recipe.learning_rate, recipe.momentum)
    resume_keras(ckpt, model, optimizer)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss if ckpt.arch.logits else None)
