"""How a network is trained: every number that decides the curve, in one place."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from slim_resnet.arch.parts import WEIGHT_DECAY

_DTYPES = ("float32", "float64")


def steps_for(epochs: float, images: int, batch_size: int) -> int:
    """The steps in which `images` are seen `epochs` times.

    Raises:
        ValueError: there would be none.
    """
    if not (epochs > 0 and batch_size > 0):
        raise ValueError(f"{epochs} epochs in batches of {batch_size} are no training")
    return math.ceil(epochs * images / batch_size)


@dataclass(frozen=True)
class Recipe:
    """The recipe of section 4.2 of arXiv:1512.03385 and section 5 of arXiv:1611.05431.

    Args:
        steps: optimizer steps in all.
        batch_size: images of a step (of each worker, where there are several).
        clones: parts of a batch that batch norms see apart, as slim's `model_deploy` had them on
            several devices; the first one's statistics are kept.
        learning_rate: the first one, after the warm-up.
        milestones: fractions of `steps`; at each the learning rate is divided by 10.
        warmup_steps: steps in which the learning rate rises linearly to `learning_rate`.
        momentum: of the momentum optimizer.
        nesterov: whether the momentum is Nesterov's.
        weight_decay: slim's: L2 on the weights of convolutions and logits (the CIFAR script's net:
            on all trainable variables, as the script has it).
        label_smoothing: share of the target that is spread over all classes.
        ema: decay of the moving averages kept of the trainable variables; None: none are kept.
        augment: whether training images are padded, cropped at random and mirrored.
        dtype: "float32" or "float64", of variables and computation.
        seed: of the initial values, of the order of the images and of their augmentation.
    """

    steps: int
    batch_size: int = 128
    clones: int = 1
    learning_rate: float = 0.1
    milestones: tuple[float, ...] = (0.5, 0.75)
    warmup_steps: int = 0
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = WEIGHT_DECAY
    label_smoothing: float = 0.0
    ema: float | None = None
    augment: bool = True
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self):
        checks = {
            "steps": self.steps >= 1,
            "batch_size": self.batch_size >= 1,
            "clones": self.clones >= 1 and self.batch_size % self.clones == 0,
            "learning_rate": self.learning_rate > 0,
            "milestones": all(0 < m < 1 for m in self.milestones)
            and list(self.milestones) == sorted(self.milestones),
            "warmup_steps": self.warmup_steps >= 0,
            "momentum": 0 <= self.momentum < 1,
            "weight_decay": self.weight_decay >= 0,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "ema": self.ema is None or 0 < self.ema < 1,
            "dtype": self.dtype in _DTYPES,
            "seed": 0 <= self.seed < 2**31,
        }
        for field, valid in checks.items():
            if not valid:
                raise ValueError(f"{field} cannot be {getattr(self, field)!r}")

    @property
    def boundaries(self) -> tuple[int, ...]:
        """The steps from which on the learning rate is a tenth of the one before."""
        return tuple(int(self.steps * milestone) for milestone in self.milestones)

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of the step that begins after `step` steps."""
        rate = self.learning_rate * 0.1 ** sum(step >= b for b in self.boundaries)
        return rate * min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else rate

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)
