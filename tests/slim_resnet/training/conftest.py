"""A network that trains in no time, and trainings of it."""

from __future__ import annotations

import dataclasses

import pytest

from slim_resnet import datasets
from slim_resnet.training import network
from slim_resnet.training.recipe import Recipe


@pytest.fixture(scope="session")
def digits():
    """The first 128 training images and 50 test images."""

    def few(split, count):
        whole = datasets.load("digits", split=split)
        return dataclasses.replace(whole, images=whole.images[:count], labels=whole.labels[:count])

    return few("train", 128), few("test", 50)


@pytest.fixture(scope="session")
def shallow():
    """A registry entry of one unit a stage and a quarter of the width."""

    def make(name="resnet_cifar_20", num_classes=10, width=0.25, **options):
        arch = network.choose(name, num_classes, width=width, **options)
        stages = (dataclasses.replace(stage, num_units=1) for stage in arch.stages)
        return arch.replace(stages=tuple(stages))

    return make


@pytest.fixture(scope="session")
def recipe():
    return Recipe(steps=10, batch_size=24, learning_rate=0.0625, dtype="float64", seed=3)
