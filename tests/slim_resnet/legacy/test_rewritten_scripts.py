"""Copies by `tools/run_legacy.py --rewrite`, run by plain Python, against the scripts in the shim.

Same seeds, one thread: every graph is the same in every node and attribute, and every number that
any session returns is the same bit for bit.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

SCRIPTS = pathlib.Path(__file__).parent / "scripts"
TOOL = SCRIPTS.parents[3] / "tools" / "run_legacy.py"
NARROW = {"CARDINALITY": "2", "DEPTH": "4", "BLOCKS": "1", "BATCH_SIZE": "16", "ITERATION": "2",
          "EPOCHS": "1"}  # fmt: skip
ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}  # fmt: skip

# driver.py shim|plain SCRIPT ARGS...: writes what the sessions of a script return, and its graphs.
DRIVER = """
import os, random, runpy, sys, threading
import numpy as np
from tensorflow.python.client import session
from tensorflow.python.framework import ops

mode, script, *args = sys.argv[1:]
graphs, found = {}, []

def arrays(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [array for item in value for array in arrays(item)]
    return [np.asarray(value)] if isinstance(value, (np.ndarray, np.generic)) else []

def record(function, session_of):
    def recording(self, *args, **kwargs):
        values = function(self, *args, **kwargs)
        graph = session_of(self).graph
        graphs[id(graph)] = graph
        if threading.current_thread() is threading.main_thread():  # others go by the clock
            found.extend(arrays(values))
        return values
    return recording

base = session.BaseSession
base.run = record(base.run, lambda session: session)
base._Callable.__call__ = record(base._Callable.__call__, lambda made: made._session)  # Keras's
random.seed(7)
np.random.seed(7)
ops.get_default_graph().seed = 7
try:
    if mode == "shim":
        from slim_resnet.legacy.running.runner import run_path
        sys.exit(run_path(script, args))
    assert not any("slim_resnet.legacy" in name for name in sys.modules)
    sys.argv = [script, *args]
    runpy.run_path(script, run_name="__main__")
except SystemExit as end:
    if end.code:
        raise
assert ("slim_resnet.legacy.running.import_hook" in sys.modules) == (mode == "shim")
defs = [g.as_graph_def().SerializeToString(deterministic=True) for g in graphs.values()]
values = {f"graph{i}": np.frombuffer(d, np.uint8) for i, d in enumerate(defs)}
values |= {f"value{i}": value for i, value in enumerate(found) if value.dtype != object}
np.savez("recorded.npz", **values)
"""


@pytest.fixture(scope="module")
def copies(tmp_path_factory) -> pathlib.Path:
    """The whole folder rewritten, own modules of the scripts included."""
    folder = tmp_path_factory.mktemp("rewritten") / "copies"
    scripts = [*SCRIPTS.glob("*.py"), SCRIPTS / "keras1"]
    command = [sys.executable, TOOL, "--rewrite", *scripts, "--output", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    left = [line for line in done.stdout.splitlines() if ": left to do by hand: " in line]
    assert left
    assert all("estimator_cnn.py" in line for line in left)
    return folder


@pytest.fixture
def recorded(tmp_path):
    """recorded("shim", script, args) -> what its sessions returned; each in a folder of its own."""
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)

    def record(mode: str, script: pathlib.Path, args: list, given: dict | None, environment: dict):
        folder = tmp_path / mode
        folder.mkdir()
        for name, source in (given or {}).items():
            shutil.copytree(source, folder / name)
        command = [sys.executable, driver, mode, script, *map(str, args)]
        paths = [str(script.parent), os.environ.get("PYTHONPATH")]  # its own modules
        own = os.environ | ONE_THREAD | environment
        own["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        done = subprocess.run(
            command, cwd=folder, env=own, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return dict(np.load(folder / "recorded.npz"))

    return record


@pytest.fixture
def check_same(copies, recorded):
    """Runs a script and its copy and compares all that was recorded; returns the numbers."""

    def check(
        name: str, args: list, given: dict | None = None, *, only="", folder="", **environment
    ) -> list:
        old = recorded("shim", SCRIPTS / folder / f"{name}.py", args, given, environment)
        new = recorded("plain", copies / folder / f"{name}.py", args, given, environment)
        assert "graph0" in old
        assert list(new) == list(old)
        for key, value in old.items():
            if key.startswith(only):
                np.testing.assert_array_equal(new[key], value, err_msg=key)
        values = [value for key, value in old.items() if key.startswith("value")]
        return [value for value in values if value.dtype.kind == "f"]

    return check


@pytest.mark.slow
def test_contrib_layers_and_old_numpy_names(check_same):
    assert len(check_same("layers_gan", [3])) >= 6


@pytest.mark.slow
def test_cifar_resnext(check_same, cifar):
    values = check_same("cifar_resnext", ["data", "model"], {"data": cifar}, **NARROW)
    assert len(values) >= 4


@pytest.mark.slow
def test_deeplab_multi_grid(check_same, data):
    args = ["--model", "model", "--output", "logits.npy", "--width", 2, "--crop_size", 65,
            "--number_of_classes", 5]  # fmt: skip
    values = check_same("deeplab_multigrid", args, {"model": data / "legacy_scripts" / "deeplab"})
    assert (1, 65, 65, 5) in [value.shape for value in values]


@pytest.mark.slow
def test_resnet_v2_152_benchmark(check_same):
    values = check_same("resnet_v2_benchmark", [1, 1, 33])
    assert (1, 1, 1, 1000) in [value.shape for value in values]


@pytest.mark.slow
def test_fine_tuning(check_same):
    args = ["--train_dir=first", "--batch_size=2", "--image_size=33", "--max_number_of_steps=2"]
    assert check_same("finetune_flowers", args)


@pytest.mark.slow
def test_keras_of_that_time(check_same):
    # Keras asks for its variables in the order of a set: so its graph is never the same twice.
    assert len(check_same("keras1_resnet", [], folder="keras1", only="value")) >= 20


@pytest.mark.slow
def test_queues_and_a_monitored_session(check_same):
    args = ["--data_dir=records", "--logdir=logs", "--steps=5"]
    # Two threads fill its queue: which example comes first is up to them.
    assert check_same("tfrecord_queue_train", args, only="graph")


def test_an_estimator_fails_in_the_copy_too(copies):
    """It was reported; nothing stands in for what is gone."""
    done = subprocess.run(
        [sys.executable, copies / "estimator_cnn.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "has no attribute 'estimator'" in done.stderr
