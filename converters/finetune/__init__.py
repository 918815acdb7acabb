"""Fine-tuning of converted models in PyTorch, in one process or several, on slim's recipe.

    net, recipe = finetune.open_network("resnet.safetensors"), Recipe(steps=500)
    reopen = partial(datasets.load, "cifar10", "cifar")
    dataset = reopen()
    finetune.train(net, dataset, recipe, processes=2, reopen=reopen)
    finetune.save(net, "tuned.safetensors", "resnet.safetensors", dataset, recipe)

In several processes each has its own `batch_size` images of a step, and batch norms that see those
alone, as slim's had on several workers; the gradients are averaged over the processes and the
moving averages of the first are kept. So N processes make the steps of one with N times the batch
size and N `Recipe.clones`.
"""

from __future__ import annotations

from converters.finetune.network import accuracy, check_output, open_network, save, with_classes
from converters.finetune.processes import is_first, world_size
from converters.finetune.steps import DivergedError, train
from slim_resnet.processes import ProcessLostError

__all__ = [
    "DivergedError",
    "ProcessLostError",
    "accuracy",
    "check_output",
    "is_first",
    "open_network",
    "save",
    "train",
    "with_classes",
    "world_size",
]
