"""The recipe that the training scripts share: the same arguments make the same `Recipe`."""

from __future__ import annotations

import argparse

from slim_resnet.training.recipe import Recipe


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
