"""tf-slim 1.1.0 whole again on today's TensorFlow.

tf-slim 1.1.0 reaches into `tensorflow.python`, where names have moved since. `MOVED` lists each
one: where tf-slim looks for it, where it lives now, and who needs it. `apply()` puts back what is
missing and nothing else; nothing else in this project patches anything.

Modules that build slim graphs take both libraries from here, so that the repair comes first::

    from slim_resnet.compat import slim, tf
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from types import ModuleType
from typing import NamedTuple

from slim_resnet.frameworks import require

MADE_FOR = "TensorFlow 2.21 and tf-slim 1.1.0"


class CompatError(ImportError):
    """This TensorFlow or tf-slim is one that the table below cannot mend."""


class Moved(NamedTuple):
    """`module.name`, where tf-slim looks, is `home.name` today; `reason` says who needs it."""

    module: str
    name: str
    home: str
    reason: str
    renamed: str | None = None

    @property
    def home_name(self) -> str:
        return self.renamed or self.name


_OPS = "tensorflow.python.ops."

MOVED = (
    Moved(
        "tensorflow.python.framework.ops",
        "Tensor",
        "tensorflow.python.framework.tensor",
        "isinstance checks in layers.utils (batch norm with a tensor is_training), learning",
    ),
    Moved(
        "tensorflow.python.framework.ops",
        "IndexedSlices",
        "tensorflow.python.framework.indexed_slices",
        "gradient clipping and multipliers in learning, training, optimize_loss",
    ),
    Moved(
        _OPS + "array_ops",
        "stack",
        _OPS + "array_ops_stack",
        "layers (spatial_softmax, images_to_sequence), metrics, tfexample_decoder",
    ),
    Moved(_OPS + "array_ops", "unstack", _OPS + "array_ops_stack", "layers.spatial_softmax"),
    Moved(
        _OPS + "control_flow_ops",
        "cond",
        _OPS + "cond",
        "layers.utils.smart_cond (batch norm with a tensor is_training), metrics",
    ),
    Moved(
        _OPS + "control_flow_ops",
        "case",
        _OPS + "control_flow_case",
        "tfexample_decoder.Image (jpeg, png or raw)",
    ),
    Moved(
        _OPS + "control_flow_ops", "Assert", _OPS + "control_flow_assert", "metrics.histogram_ops"
    ),
    Moved(_OPS + "control_flow_ops", "while_loop", _OPS + "while_loop", "losses.metric_learning"),
    Moved(
        _OPS + "variables",
        "VariableV1",
        _OPS + "variable_v1",
        "isinstance checks in code and tests of the tf.contrib era",
    ),
    Moved(
        _OPS + "variable_scope",
        "variable",
        _OPS + "variable_v1",
        "slim.global_variable and slim.local_variable",
        renamed="VariableV1",
    ),
    Moved(
        _OPS + "variable_scope",
        "enable_resource_variables",
        _OPS + "resource_variables_toggle",
        "code that switches between ref and resource variables",
    ),
    Moved(
        _OPS + "variable_scope",
        "disable_resource_variables",
        _OPS + "resource_variables_toggle",
        "likewise",
    ),
    Moved(
        _OPS + "variable_scope",
        "resource_variables_enabled",
        _OPS + "resource_variables_toggle",
        "likewise",
    ),
)

# A whole module that moved: tensorflow.python.layers.normalization, and with it slim.batch_norm,
# loads its classes lazily from the first name; tf_keras keeps them under the second.
MOVED_MODULES = (
    ("tf_keras.legacy_tf_layers", "tf_keras.src.legacy_tf_layers"),
    ("tf_keras.legacy_tf_layers.normalization", "tf_keras.src.legacy_tf_layers.normalization"),
)


@functools.cache
def apply() -> tuple[ModuleType, ModuleType]:
    """Restores what tf-slim 1.1.0 misses, once.

    Returns:
        `tensorflow.compat.v1` and `tf_slim`, imported and usable.

    Raises:
        MissingFrameworkError: TensorFlow, tf_keras or tf-slim is not installed.
        CompatError: a name is missing here and not where this table expects it either.
    """
    tf = require("tensorflow.compat.v1")
    require("tf_keras")
    for old, new in MOVED_MODULES:
        _restore_module(old, new)
    for moved in MOVED:
        _restore_name(moved)
    return tf, require("tf_slim")


@contextlib.contextmanager
def identity_equality():
    """Has `==` of tensors and variables mean identity, as it did when legacy code was written.

    Building a deep net is twice as fast that way, too: slim looks variables up in lists.
    """
    with tf.Graph().as_default():
        probe = tf.zeros([])
        elementwise = (probe == probe) is not True
    tf.disable_tensor_equality()
    try:
        yield
    finally:
        if elementwise:
            tf.enable_tensor_equality()


def _restore_module(old: str, new: str) -> None:
    try:
        importlib.import_module(old)
    except ModuleNotFoundError:
        module = _import_home(new, what=old)
        parent, _, name = old.rpartition(".")
        sys.modules[old] = module
        setattr(sys.modules[parent], name, module)


def _restore_name(moved: Moved) -> None:
    module = _import_home(moved.module, what=moved.name)
    if hasattr(module, moved.name):
        return
    home = _import_home(moved.home, what=f"{moved.module}.{moved.name}")
    if not hasattr(home, moved.home_name):
        raise _cannot_mend(f"{moved.module}.{moved.name}", moved.home)
    setattr(module, moved.name, getattr(home, moved.home_name))


def _import_home(name: str, *, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _cannot_mend(what, name) from error


def _cannot_mend(what: str, home: str) -> CompatError:
    from importlib.metadata import PackageNotFoundError, version

    def found(distribution: str) -> str:
        try:
            return f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            return f"{distribution} of unknown version"

    return CompatError(
        f"tf-slim needs {what}, which is not in {home}: "
        f"slim_resnet.compat was made for {MADE_FOR}, "
        f"found {found('tensorflow')}, {found('tf_keras')} and {found('tf-slim')}; "
        "install the versions that 'slim-resnet[tf]' pins"
    )


tf, slim = apply()
