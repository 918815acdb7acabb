"""The steps of a fine-tuning."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator

from converters.finetune.batches import training_batches
from converters.finetune.processes import launched
from converters.models.torch_model import ResNet
from converters.models.training import sgd_param_groups
from slim_resnet.arch.architecture import Arch
from slim_resnet.datasets import Dataset, Stream
from slim_resnet.frameworks import require
from slim_resnet.training.placement import Placement
from slim_resnet.training.recipe import Recipe

torch = require("torch")
nn = torch.nn


class DivergedError(ValueError):
    """A step's loss is not finite."""


def train(
    net: ResNet,
    dataset: Dataset | Stream,
    recipe: Recipe,
    *,
    processes: int = 1,
    reopen: Callable[[], Dataset | Stream] | None = None,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Trains a network in place, with slim's Momentum and weight decay.

    Args:
        net: from `open_network`, `to_torch` or `torch_model.load`. It comes back in the dtype of
            the recipe and in eval mode.
        dataset: the training split, from `datasets.load`.
        recipe: all that decides the curve; `batch_size` is that of each process.
        processes: how many train together on this machine; started by torchrun, leave it at 1.
        reopen: how the other processes get the dataset; something that can be pickled, e.g. a
            `functools.partial` of `datasets.load`.
        progress: called after every step with its number, from 1, and its cross entropy, the mean
            over all processes.

    Raises:
        DivergedError: the loss is NaN or infinite.
        ProcessLostError: another process failed or was killed.
        DatasetError, ValueError: the dataset or the recipe cannot be used.
    """
    if recipe.ema is not None:
        raise ValueError("moving averages of the weights are not kept in PyTorch: leave ema out")
    if processes > 1 and reopen is None:
        raise ValueError("several processes need reopen: how each of them gets the dataset")
    with launched(processes, _help, net.arch, reopen, recipe) as placement:
        _train(net, dataset, recipe, placement, progress)


def _help(arch: Arch, reopen: Callable, recipe: Recipe, placement: Placement) -> None:
    """The part of another process; its weights come from the first one."""
    _train(ResNet(arch), reopen(), recipe, placement)


def _train(
    net: ResNet,
    dataset: Dataset | Stream,
    recipe: Recipe,
    placement: Placement,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    net.to(getattr(torch, recipe.dtype)).train()
    model = _Clones(net, recipe.clones)
    if placement.num_workers > 1:
        # Moving averages play no part in training, so there is nothing to send from step to step:
        # each process has its own, and the first one's are kept.
        model = nn.parallel.DistributedDataParallel(model, forward_sync_buffers=False)
    groups = sgd_param_groups(net, recipe.weight_decay)
    optimizer = torch.optim.SGD(
        groups, recipe.learning_rate, recipe.momentum, nesterov=recipe.nesterov
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    for step, (images, labels) in enumerate(training_batches(dataset, recipe, placement)):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(step)
        optimizer.zero_grad()
        logits = model(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous())
        loss = loss_of(logits, torch.from_numpy(labels))
        found = _mean(loss.detach(), placement)
        if not math.isfinite(found):
            raise DivergedError(
                f"the loss of step {step + 1} is {found}, and nothing is written: try a lower "
                "learning rate"
            )
        loss.backward()
        optimizer.step()
        progress(step + 1, found)
    net.eval()


def _mean(loss: torch.Tensor, placement: Placement) -> float:
    """The mean over all processes, the same in each."""
    if placement.num_workers > 1:
        torch.distributed.all_reduce(loss)
    return loss.item() / placement.num_workers


class _Clones(nn.Module):
    """A network whose batch norms see the parts of a batch apart; they keep the first one's."""

    def __init__(self, net: ResNet, clones: int):
        super().__init__()
        self.net = net
        self.clones = clones

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first, *others = images.chunk(self.clones)
        logits = [self.net(first)]
        with _moving_averages_kept(self.net):
            logits += [self.net(part) for part in others]
        return torch.cat(logits)


@contextlib.contextmanager
def _moving_averages_kept(net: ResNet) -> Iterator[None]:
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
