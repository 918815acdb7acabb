"""The network of a fine-tuning, from a file and back into one."""

from __future__ import annotations

import os

from converters import evaluation
from converters.files import CheckpointError
from converters.formats.file_metadata import metadata
from converters.formats.libraries import from_state
from converters.formats.safetensors_file import write_safetensors
from converters.models import torch_model
from converters.models.targets import to_torch, torch_state
from converters.recognise.loading import load_checkpoint
from slim_resnet.datasets import Dataset, Stream
from slim_resnet.files import atomic_path, check_target
from slim_resnet.frameworks import require
from slim_resnet.training.evaluation import Evaluation, evaluate
from slim_resnet.training.recipe import Recipe

torch = require("torch")

SUFFIXES = evaluation.suffixes_of("torch")


def open_network(path: str | os.PathLike, **options) -> torch_model.ResNet:
    """The network in a file, in eval mode.

    Args:
        path: what `convert_checkpoint.py --to torch` wrote (`.safetensors`, `.pt`), or a slim
            checkpoint (all that `load_checkpoint` reads).
        **options: of `load_checkpoint`.

    Raises:
        CheckpointError: the file is missing, broken or of something else.
    """
    engine = evaluation.engine_of(path)
    if engine == "torch":
        return torch_model.load(path)
    if engine is None:
        return to_torch(load_checkpoint(path, **options))
    raise CheckpointError(
        f"{path}: of a Keras model: convert it first (--from keras --to slim), or name the "
        "checkpoint that it came from"
    )


def with_classes(net: torch_model.ResNet, num_classes: int, seed: int = 0) -> torch_model.ResNet:
    """The network with a new logits layer, its weights as slim's default initializer draws them.

    Args:
        net: any network; its other weights are shared with the new one.
        num_classes: of the new one.
        seed: of the new weights.
    """
    made = torch_model.ResNet(net.arch.replace(num_classes=num_classes))
    kept = {k: v for k, v in net.state_dict().items() if not k.startswith("fc.")}
    made.load_state_dict(kept, strict=False, assign=True)
    random = torch.Generator().manual_seed(seed)
    torch.nn.init.kaiming_normal_(made.fc.weight, nonlinearity="relu", generator=random)
    if made.fc.bias is not None:
        torch.nn.init.zeros_(made.fc.bias)
    return made.eval()


def accuracy(net: torch_model.ResNet, dataset: Dataset | Stream) -> Evaluation:
    """What the network makes of a split."""
    return evaluate(evaluation.of_torch(net), dataset)


def check_output(path: str | os.PathLike) -> None:
    """Raises what `save` would for this path, before the training.

    Raises:
        ValueError: its suffix is none of `SUFFIXES`.
        OSError: its folder does not exist, or it is a folder.
    """
    if not os.fspath(path).endswith(SUFFIXES):
        raise ValueError(f"{path}: a fine-tuned model ends in {' or '.join(SUFFIXES)}")
    check_target(path)


def save(
    net: torch_model.ResNet,
    path: str | os.PathLike,
    source: str | os.PathLike,
    dataset: Dataset | Stream,
    recipe: Recipe,
) -> None:
    """Writes a fine-tuned network, whole or not at all.

    `torch_model.load` opens it and `convert_checkpoint.py --from torch` takes it back to slim.

    Args:
        net: a float32 network.
        path: a `.safetensors` or `.pt` file.
        source: the file it was tuned from.
        dataset: what it was tuned on: its normalization is what the network now expects.
        recipe: how it was tuned.

    Raises:
        CheckpointError: a weight holds NaN or infinity.
        ValueError, OSError: as `check_output`, or the file cannot be written.
    """
    check_output(path)
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    ckpt = from_state(net.arch, state, "torch", path=os.fspath(source))
    weights = torch_state(ckpt)
    facts = {**metadata(ckpt), **_facts(net, dataset, recipe)}
    with atomic_path(path) as temporary:
        if temporary.suffix == ".pt":
            tensors = torch_model.from_state(net.arch, weights).state_dict()
            torch.save({"metadata": facts, "state_dict": tensors}, temporary)
        else:
            write_safetensors(weights, temporary, {"format": "pt", **facts})


def _facts(net, dataset: Dataset | Stream, recipe: Recipe) -> dict[str, str]:
    """What the fine-tuning knows better than the file it began with."""
    mean, std = (", ".join(f"{v:.6g}" for v in values) for values in (dataset.mean, dataset.std))
    known = {
        "preprocessing": f"RGB, 0 to 255, minus the means {mean}, divided by {std}",
        "batch_norm_decay": str(net.arch.batch_norm_decay),
        "weight_decay": str(recipe.weight_decay),
    }
    sources = {f"{key}_source": f"fine-tuning on {dataset.name}" for key in known}
    return {**known, **sources, "finetuning_steps": str(recipe.steps)}
