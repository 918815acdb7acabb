"""tf-slim works again, and nothing else changes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest


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


def test_apply_is_idempotent_and_adds_only_what_is_missing():
    found = run(
        "from tensorflow.python.ops import variable_scope, control_flow_ops, array_ops, variables\n"
        "from tensorflow.python.framework import ops\n"
        "modules = (variable_scope, control_flow_ops, array_ops, variables, ops)\n"
        "before = [dict(vars(m)) for m in modules]\n"
        "from slim_resnet import compat\n"
        "after = [dict(vars(m)) for m in modules]\n"
        "print(all(a[k] is v for b, a in zip(before, after) for k, v in b.items()))\n"
        "added = {m.__name__ + '.' + k for m, b, a in zip(modules, before, after)"
        " for k in a.keys() - b.keys()}\n"
        "print(added <= {m.module + '.' + m.name for m in compat.MOVED})\n"
        "compat.apply.cache_clear(); compat.apply()\n"
        "print([dict(vars(m)) for m in modules] == after)"
    )
    assert found.split() == ["True", "True", "True"]


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
        "try: compat._restore_name(compat.Moved('tensorflow.python.ops.array_ops', 'gone',"
        " 'tensorflow.python.ops.array_ops_stack', 'test'))\n"
        "except compat.CompatError as e: print(e)"
    )
    assert "array_ops.gone" in found
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
    assert found == "this needs TensorFlow: pip install 'slim-resnet[tf]'"


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


def test_batch_norm_with_a_tensor_is_training():
    from slim_resnet.compat import slim, tf

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
    from slim_resnet.compat import slim, tf

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
