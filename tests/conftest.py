"""Shared by all tests: where the data is, and checkpoints made by today's TensorFlow."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from slim_resnet.processes import kept_processes
from tests.tool_process import ToolProcess

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Several test processes share few cores.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve the others

TESTS = pathlib.Path(__file__).parent
ROOT = TESTS.parent


# Test files of these folders wait for processes, minutes in all: they come first, so that no worker
# is left alone with them at the end.
LONGEST = ("tools", "slim_resnet/legacy", "slim_resnet/training", "slim_resnet/compat")


def pytest_collection_modifyitems(items):
    firsts = [TESTS / folder for folder in LONGEST]
    items.sort(key=lambda item: not any(first in item.path.parents for first in firsts))


@pytest.fixture(scope="session", autouse=True)
def _kept_processes():
    """Proofs take the processes of the last, with what they imported."""
    with kept_processes():
        yield


@pytest.fixture(scope="session")
def data() -> pathlib.Path:
    """What real TensorFlow 1.15 left: checkpoints and outputs."""
    return TESTS / "data"


# Tools that leave nothing behind in their process; others are run in a fresh one each.
SHARING = {
    "build_graph",
    "check_legacy",
    "convert_checkpoint",
    "convert_table",
    "evaluate",
    "finetune_torch",
    "inspect_checkpoint",
    "train",
    "transcode_checkpoint",
}


@pytest.fixture(scope="session")
def fresh_tool():
    """fresh_tool("build_graph", "--list") -> the finished process, which did nothing before."""

    def run(name, *args):
        command = [sys.executable, str(ROOT / "tools" / f"{name}.py"), *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def tool(fresh_tool):
    """As `fresh_tool`, in a process that runs the `SHARING` tools one after the other."""
    process = ToolProcess()

    def run(name, *args):
        if name not in SHARING:
            return fresh_tool(name, *args)
        return process.run(str(ROOT / "tools" / f"{name}.py"), list(map(str, args)))

    yield run
    process.stop()


@pytest.fixture(scope="session")
def tools_on_path() -> dict[str, str]:
    """The environment of a process that imports the modules in tools/."""
    paths = [str(ROOT / "tools"), str(ROOT), os.environ.get("PYTHONPATH")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


@pytest.fixture(scope="session")
def legacy() -> pathlib.Path:
    """Records that tools/record_legacy.py made under TensorFlow 1.15."""
    return TESTS / "data" / "legacy_records"


@pytest.fixture(scope="session")
def narrow():
    """A registry entry made narrow and shallow: the same kinds of units, few of them."""
    from slim_resnet import arch as arch_lib
    from slim_resnet.arch.parts import Stage

    def make(
        name: str, *, num_classes: int | None = 10, base: int = 4, most_units: int = 2, **changes
    ):
        arch = arch_lib.get(name, num_classes=num_classes)
        cardinality = min(arch.cardinality, 4)
        group = arch.stages[0].depth_bottleneck // arch.cardinality
        stages = []
        for i, stage in enumerate(arch.stages):
            in_group = max(group * 2**i // 2, 1)
            stages.append(
                Stage(
                    num_units=min(stage.num_units, most_units),
                    depth=4 * base * 2**i,
                    depth_bottleneck=in_group * cardinality if cardinality > 1 else base * 2**i,
                    stride=stage.stride,
                    se_depth=stage.se_depth and max(base * 2**i // 2, 1),
                )
            )
        made = arch.replace(
            name=f"{name}_narrow", stages=tuple(stages), cardinality=cardinality, root_depth=8,
            deep_stem=(4,) * len(arch.deep_stem),
        )  # fmt: skip
        return made.replace(**changes)

    return make


@pytest.fixture(scope="session")
def save_checkpoint(tmp_path_factory):
    """Writes a checkpoint of an Arch with weights seeded by name; returns its prefix."""
    from slim_resnet import graph
    from slim_resnet.compat import tf
    from slim_resnet.regression.record import seeded_value

    def save(arch, *, scope: str | None = None, **replaced) -> str:
        prefix = tmp_path_factory.mktemp("ckpt") / "model.ckpt-7"
        with tf.Graph().as_default():
            graph.build(arch, tf.placeholder(tf.float32, [None, None, None, 3]), scope=scope)
            tf.train.get_or_create_global_step()
            values = {
                v: replaced.get(v.op.name, seeded_value(v.op.name, tuple(v.shape)))
                for v in tf.global_variables()
            }
            with tf.Session() as session:
                graph.assign(session, values)
                tf.train.Saver().save(session, str(prefix))
        return str(prefix)

    return save
