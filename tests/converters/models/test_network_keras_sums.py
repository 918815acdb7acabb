"""Sums of values that are broadcast, in Keras: `keras.ops.add` takes some vectors for biases."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from hand_built import Draft  # noqa: E402

from converters.models import network_keras  # noqa: E402


def run(draft: Draft, output: str, *images: np.ndarray) -> np.ndarray:
    model = network_keras.build(draft.network(output), draft.arrays)
    return np.asarray(model(images if len(images) > 1 else images[0]))


@pytest.mark.parametrize("channels", [5, 3, 1])
@pytest.mark.parametrize("axis", [1, 2])
def test_a_vector_is_added_along_its_own_axis(axis, channels):
    """Height, width and channels of one size: each is a place where it might be added."""
    random = np.random.default_rng(2)
    images = random.normal(size=(1, 5, 5, channels)).astype("f")
    vector = random.normal(size=[5 if at == axis else 1 for at in range(4)]).astype("f")
    draft = Draft()
    one = draft.input("image", None, None, None, channels)
    other = draft.input("vector", None, None, None, 1)
    out = draft.layer("out", "add", one, other, rank=4)
    np.testing.assert_array_equal(run(draft, out, images, vector), images + vector)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_constant_is_added_along_its_own_axis(axis):
    random = np.random.default_rng(3)
    images = random.normal(size=(2, 5, 5, 1)).astype("f")
    vector = random.normal(size=[5 if at == axis else 1 for at in range(3)]).astype("f")
    draft = Draft()
    one = draft.input("image", None, None, None, 1)
    value = draft.layer(
        "table", "parameter", rank=3, weights={"value": draft.variable("scope/table", vector)}
    )
    out = draft.layer("out", "add", one, value, rank=4)
    np.testing.assert_array_equal(run(draft, out, images), images + vector)
