"""The table of layers that tests are made of: what is fed, and how TensorFlow computes it."""

from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from converters.graphs.network import Input, Layer, Network, Parameter  # noqa: E402

raw = tf.raw_ops
# Name -> (kind, how TensorFlow computes it, arrays fed, arrays of weights, options).
CASES: dict[str, tuple] = {}


def values(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape)


def add(name, kind, compute, feeds, weights=None, **options):
    assert name not in CASES
    CASES[name] = (kind, compute, feeds, weights or {}, options)


EVEN, ODD = values(2, 8, 10, 6), values(2, 9, 7, 6, seed=1)
SIZES = {"even": EVEN, "odd": ODD}


def network_of(kind, feeds, weights, options, shape) -> Network:
    """A network of one layer, "out"; its inputs are x0, x1, ..., its weights scope/ROLE."""
    inputs = tuple(Input(f"x{i}", x.shape, str(x.dtype)) for i, x in enumerate(feeds))
    parameters = {
        f"scope/{role}": Parameter(f"scope/{role}", w.shape, True, (f"scope/{role}",), dict.get)
        for role, w in weights.items()
    }
    layer = Layer(
        "out",
        kind,
        tuple(each.name for each in inputs),
        {role: f"scope/{role}" for role in weights},
        options,
        tuple(shape),
    )
    if not inputs:
        inputs = (Input("x0", (1,)),)
    network = Network("x.meta", inputs, (layer,), ("out",), parameters)
    network.check()
    return network
