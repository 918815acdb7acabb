"""TensorFlow for the tests that ask for it."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def tf():
    """TensorFlow, imported when first asked for."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow

    return tensorflow
