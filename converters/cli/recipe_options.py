"""The recipe that train and finetune share: the same arguments make the same `Recipe`."""

from __future__ import annotations

import argparse

from slim_resnet import datasets
from slim_resnet.arch.parts import WEIGHT_DECAY
from slim_resnet.training.recipe import Recipe


def dataset_arguments(parser: argparse._ActionsContainer) -> None:
    """The arguments that say which images are meant."""
    parser.add_argument("--dataset", required=True, choices=datasets.NAMES)
    parser.add_argument("--data-dir", help="where the dataset's files are")
    parser.add_argument(
        "--image-size", type=int, help="in pixels, where the dataset leaves it open"
    )


def recipe_arguments(
    parser: argparse.ArgumentParser,
    *,
    batch_size: int,
    learning_rate: float,
    epochs: float | None,
    epochs_help: str,
) -> argparse._ArgumentGroup:
    """The arguments of `recipe_of`, with a command's own defaults; returns their group."""
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument(
        "--batch-size", type=int, default=batch_size, help=f"of each process; default: {batch_size}"
    )
    recipe.add_argument(
        "--clones", type=int, default=1, help="parts of a batch that batch norms see apart"
    )
    recipe.add_argument("--epochs", type=float, default=epochs, help=epochs_help)
    recipe.add_argument("--steps", type=int, help="instead of --epochs")
    recipe.add_argument("--learning-rate", type=float, default=learning_rate)
    recipe.add_argument(
        "--milestones",
        default="0.5,0.75",
        help="parts of all steps; each divides the rate by 10",
    )
    recipe.add_argument("--warmup", type=int, default=0, metavar="STEPS")
    recipe.add_argument("--momentum", type=float, default=0.9)
    recipe.add_argument("--nesterov", action="store_true")
    recipe.add_argument("--weight-decay", type=float, default=WEIGHT_DECAY, help="slim's")
    recipe.add_argument("--label-smoothing", type=float, default=0.0)
    recipe.add_argument("--no-augment", action="store_true", help="images as they are")
    recipe.add_argument(
        "--dtype", choices=("float32", "float64"), default="float32", help="of the training"
    )
    recipe.add_argument("--seed", type=int, default=0)
    return recipe


def recipe_of(args: argparse.Namespace, steps: int, images: int, **more) -> Recipe:
    """The `Recipe` of parsed arguments; `more` are fields that only one script has.

    Raises:
        ValueError: a batch is larger than all `images` to train on, or a field makes no sense.
    """
    if args.batch_size > images:
        raise ValueError(f"--batch-size {args.batch_size}: there are {images} images to train on")
    return Recipe(
        steps=steps,
        batch_size=args.batch_size,
        clones=args.clones,
        learning_rate=args.learning_rate,
        milestones=tuple(float(m) for m in args.milestones.split(",") if m),
        warmup_steps=args.warmup,
        momentum=args.momentum,
        nesterov=args.nesterov,
        weight_decay=args.weight_decay,
        label_smoothing=args.label_smoothing,
        augment=not args.no_augment,
        dtype=args.dtype,
        seed=args.seed,
        **more,
    )
