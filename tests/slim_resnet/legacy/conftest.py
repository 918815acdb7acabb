"""Starts scripts as a user does, and lays out the data that they read."""

from __future__ import annotations

import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest

from tests.slim_resnet.legacy.runs import Ran

ROOT = pathlib.Path(__file__).parents[3]
# An environment with NumPy 1, as `make legacy` sets it up.
NUMPY_1 = os.environ.get("LEGACY_PYTHON", str(ROOT / ".venv-legacy" / "bin" / "python"))


def _runner(python: str):
    def run(*args, cwd: pathlib.Path, **environment: str) -> Ran:
        done = subprocess.run(
            [python, "-m", "slim_resnet.legacy", *map(str, args)],
            cwd=cwd,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def run():
    """Runs `python -m slim_resnet.legacy ...` in an empty folder of its own."""
    return _runner(sys.executable)


@pytest.fixture(scope="session")
def run_with_numpy_1():
    """The same in the environment of `make legacy`; skips where there is none."""
    if not pathlib.Path(NUMPY_1).exists():
        pytest.skip("needs `make legacy`")
    return _runner(NUMPY_1)


@pytest.fixture(scope="session")
def cifar(tmp_path_factory) -> pathlib.Path:
    """A folder like the public CIFAR-10 batches: 16 images a file, pickled by an old NumPy."""
    folder = tmp_path_factory.mktemp("cifar-10-batches-py")
    rng = np.random.RandomState(7)

    def dump(name: str, value: dict) -> None:
        pickled = pickle.dumps(value, protocol=2)
        (folder / name).write_bytes(pickled.replace(b"numpy._core", b"numpy.core"))

    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        labels = rng.randint(0, 10, 16)
        pixels = rng.randint(0, 128, (16, 3072)) + 12 * labels[:, None]
        dump(name, {b"data": pixels.astype(np.uint8), b"labels": labels.tolist()})
    dump("batches.meta", {b"label_names": [b"class %d" % i for i in range(10)]})
    return folder
