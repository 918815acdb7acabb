"""tf-slim works again, and nothing else changes."""

from __future__ import annotations

import ast
import importlib
import os
import pathlib
import signal
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest

from slim_resnet import compat
from slim_resnet.compat import slim, tf


def run(code: str) -> str:
    """The output of `code` in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_importing_the_packages_imports_no_framework():
    loaded = run(
        "import sys, slim_resnet, converters, slim_resnet.arch\n"
        "print([m for m in ('tensorflow', 'tf_slim', 'torch', 'keras') if m in sys.modules])"
    )
    assert loaded == "[]"


# `changes()`: what differs in the modules that were there at the start, submodules aside.
WATCH = """
import os, sys, types
import keras, numpy, tensorflow, tensorflow.compat.v1, tf_keras

def state():
    watched = ("builtins", "keras", "numpy", "tensorflow", "tf_keras")
    return {n: dict(vars(m)) for n, m in sys.modules.items() if n.partition(".")[0] in watched}

def process():
    return dict(os.environ), list(sys.path), list(sys.meta_path), list(sys.path_hooks)

before, modules, process_before = state(), dict(sys.modules), process()

def changes():
    after = state()
    assert all(sys.modules[name] is module for name, module in modules.items())
    assert process() == process_before
    return {
        f"{name}.{key}"
        for name, old in before.items()
        for key in old.keys() | after[name].keys()
        if old.get(key, old) is not after[name].get(key, old)
        and not isinstance(after[name].get(key), types.ModuleType)
    }

"""


def test_importing_slim_resnet_changes_nothing_global():
    found = run(
        WATCH
        + "listed = {m: dir(sys.modules[m]) for m in ('tensorflow', 'numpy', 'keras')}\n"
        + "import slim_resnet, slim_resnet.arch, slim_resnet.arch.parts\n"
        + "print(changes(), all(dir(sys.modules[m]) == names for m, names in listed.items()))"
    )
    assert found == "set() True"


def test_compat_adds_its_table_and_nothing_else():
    found = run(
        WATCH
        + "from slim_resnet import compat\n"
        + "added = changes()\n"
        + "print(added == {f'{m.module}.{m.name}' for m in compat.MOVED}, len(added))\n"
        + "compat.apply.cache_clear(); compat.apply()\n"
        + "print(changes() == added)"
    )
    assert found.split() == ["True", str(len(compat.MOVED)), "True"]


def test_every_name_that_tf_slim_reaches_for_is_there():
    """All of tf-slim's modules import; what they ask of other modules by name, these have."""
    missing, checked = [], 0
    root = pathlib.Path(slim.__file__).parent
    for path in sorted(root.rglob("*.py")):
        if path.name.endswith("_test.py"):
            continue
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        name = name.removesuffix(".__init__")
        module = importlib.import_module(name)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner = getattr(module, node.value.id, None)
                if isinstance(owner, ModuleType):
                    checked += 1
                    if not hasattr(owner, node.attr):
                        missing.append(f"{name}:{node.lineno}: {node.value.id}.{node.attr}")
    assert missing == []
    assert checked > 2000


def test_a_resource_variable_is_a_variable_again():
    with tf.Graph().as_default():
        variable = tf.get_variable("v", [2], use_resource=True)
        assert isinstance(variable, tf.Variable)
        assert isinstance(variable.assign_add([1.0, 1.0]), tf.Variable)
        assert not isinstance(tf.zeros([2]), tf.Variable)


def test_a_mended_function_stays_the_one_that_was_imported():
    found = run(
        "import tensorflow.compat.v1, tensorflow\n"
        "from slim_resnet import compat\n"
        "row = compat.MENDED_LINES[0]\n"
        "import importlib, inspect, traceback\n"
        "function = getattr(importlib.import_module(row.module), row.function)\n"
        "print(function is getattr(compat.slim, row.function), function.__doc__[:7])\n"
        "try: function('nowhere', {})\n"
        "except Exception as error:\n"
        "    frame = [f for f in traceback.extract_tb(error.__traceback__)"
        " if f.name == row.function][0]\n"
        "    print(frame.line)"
    )
    assert found.splitlines() == [
        "True Creates",
        "reader = tf.train.NewCheckpointReader(model_path)",  # errors point at tf-slim's own lines
    ]


def test_keras_3_stays_usable_beside_slim():
    assert (
        run(
            "import os; from slim_resnet.compat import slim, tf\n"
            "import keras; assert keras.__version__.startswith('3.')\n"
            "assert tf.keras is not None and 'TF_USE_LEGACY_KERAS' not in os.environ\n"
            "print(keras.layers.Dense(3)(keras.ops.ones((2, 4))).shape)"
        )
        == "(2, 3)"
    )


def test_what_cannot_be_mended_is_named():
    found = run(
        "from slim_resnet import compat\n"
        "compat.MOVED = (compat.MOVED[0]._replace(name='gone'),)\n"
        "compat.apply.cache_clear()\n"
        "try: compat.apply()\n"
        "except compat.CompatError as e: print(e)"
    )
    assert "framework.ops.gone" in found
    assert compat_versions_in(found)


def compat_versions_in(message: str) -> bool:
    return all(
        part in message for part in ("made for TensorFlow 2.21", "tensorflow 2.", "tf-slim 1.")
    )


def test_missing_framework_names_the_extra():
    found = run(
        "import sys; sys.modules['tensorflow'] = None\n"
        "from slim_resnet.frameworks import MissingFrameworkError\n"
        "try: import slim_resnet.resnet_v1\n"
        "except MissingFrameworkError as e: print(e)"
    )
    assert found == "this needs TensorFlow: pip install -e '.[tf]' in the folder of slim-resnet"


def test_start_up_chatter_is_dropped_and_errors_are_not():
    code = (
        "import os, sys\n"
        "from slim_resnet.frameworks import quiet_stderr\n"
        "with quiet_stderr():\n"
        "    os.write(2, b'I0000 00:00:1 1 port.cc:153] oneDNN custom operations are on.\\n')\n"
        "    os.write(2, b'a real message\\n')\n"
        "    print('from python', file=sys.stderr)\n"
        "os.write(2, b'after\\n')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr.splitlines() == ["a real message", "from python", "after"]


def test_a_process_that_lives_on_does_not_keep_its_parent_waiting():
    """As the helper of multiprocessing does, which inherits what stderr was when it began."""
    code = (
        "import os, subprocess\n"
        "from slim_resnet.frameworks import quiet_stderr\n"
        "with quiet_stderr():\n"
        "    child = subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL)\n"
        "    os.write(2, b'no end of line')\n"
        "print(child.pid)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    os.kill(int(found.stdout), signal.SIGKILL)
    assert (found.returncode, found.stderr) == (0, "no end of line")


def test_batch_norm_with_a_tensor_is_training():
    with tf.Graph().as_default(), tf.Session() as session:
        is_training = tf.placeholder(tf.bool, [])
        x = tf.constant(np.arange(24.0).reshape(2, 2, 2, 3), tf.float32)
        y = slim.batch_norm(x, is_training=is_training, decay=0.5)
        session.run(tf.global_variables_initializer())
        # moving mean 0 and variance 1 leave the input (but for epsilon 0.001)
        outputs = session.run(y, {is_training: False})
        np.testing.assert_allclose(
            outputs, np.arange(24.0).reshape(2, 2, 2, 3) / np.sqrt(1.001), rtol=1e-5
        )
        assert abs(session.run(y, {is_training: True}).mean()) < 1e-5


@pytest.mark.parametrize("name", ["learning", "optimize_loss"])
def test_training_functions_of_slim_work(name):
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.ones([4, 3])
        loss = tf.reduce_mean(tf.square(slim.fully_connected(x, 2, activation_fn=None) - 1.0))
        if name == "learning":
            step = slim.learning.create_train_op(
                loss, tf.train.GradientDescentOptimizer(0.1), clip_gradient_norm=1.0
            )
        else:
            step = slim.optimize_loss(
                loss,
                tf.train.get_or_create_global_step(),
                0.1,
                "SGD",
                clip_gradients=1.0,
            )
        session.run(tf.global_variables_initializer())
        first = session.run(loss)
        for _ in range(20):
            session.run(step)
        assert session.run(loss) < 0.5 * first
