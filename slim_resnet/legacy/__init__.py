"""TensorFlow 1.x scripts as they are: the API of 1.15, `tf.contrib` too, on today's TensorFlow.

From a shell::

    python -m slim_resnet.legacy train.py --batch_size 8

In a notebook, before its first `import tensorflow`::

    from slim_resnet import legacy
    legacy.install()          # or: with legacy.install(): ...
    ...
    legacy.uninstall()

What it cannot reach: processes that a script starts anew (`multiprocessing` with spawn), and
`importlib.import_module("tensorflow")`, which brings today's; of contrib it brings the old.
"""

from __future__ import annotations

from slim_resnet.legacy.tables.symbols import Symbol, lookup

__all__ = ["Symbol", "install", "lookup", "uninstall"]


def install(packages: tuple[str, ...] = ()):
    """Has the `import` statements of your own code bring TensorFlow 1, until `uninstall`.

    Your own code is what lies outside the installed packages: notebook cells, scripts and the
    modules beside them. To it `import tensorflow` is the API of 1.15 with `tf.contrib`, `import
    keras` is tf_keras, and NumPy has its legacy names. TensorFlow itself is switched to its v1
    behaviour for the whole process: graphs and sessions, reference variables, `==` of tensors by
    identity, control flow v1, as `tf.disable_v2_behavior` has it.

    Args:
        packages: installed packages whose code is TensorFlow 1 code, too. tflearn always is.

    Returns:
        A context manager that uninstalls at its end; it may be ignored.

    Raises:
        MissingFrameworkError: TensorFlow, tf_keras or tf-slim is not installed.
    """
    from slim_resnet.legacy.running.installation import install

    return install(packages)


def uninstall() -> None:
    """Undoes `install`; without one it does nothing.

    What was imported meanwhile stays as it is in your own names; new imports bring today's modules.
    TensorFlow gets back the behaviour that it had. If that was eager, the default graph is dropped.

    Raises:
        RuntimeError: called inside a graph's `as_default()`; nothing is undone.
    """
    from slim_resnet.legacy.running.installation import uninstall

    uninstall()
