"""TensorFlow for the tests that ask for it."""

from __future__ import annotations

import os
import sys

import pytest

# for `fuzzing`, in any of pytest's import modes
sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, os.pardir))


@pytest.fixture(scope="session")
def tf():
    """TensorFlow, imported when first asked for."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow

    return tensorflow
