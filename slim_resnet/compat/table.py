"""What TensorFlow and NumPy changed under tf-slim 1.1.0, as data: one row for each repair."""

from __future__ import annotations

from typing import NamedTuple


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


class Subclass(NamedTuple):
    """Instances of `member_module.member` are instances of `module.name` again."""

    module: str
    name: str
    member_module: str
    member: str
    reason: str


class GraphThread(NamedTuple):
    """Threads of class `module.name` run in graph mode, which new threads have no longer."""

    module: str
    name: str
    reason: str


class MendedLine(NamedTuple):
    """In the source of `module.function`, which is tf-slim's, `old` reads `new`."""

    module: str
    function: str
    old: str
    new: str
    reason: str


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

# Classes whose instances were instances of another until TensorFlow moved its classes about.
SUBCLASSES = (
    Subclass(
        _OPS + "variable_v1",
        "VariableV1",
        _OPS + "resource_variable_ops",
        "BaseResourceVariable",
        "isinstance(v, tf.Variable), true of resource variables in TensorFlow 1.15; metrics.count",
    ),
)

# Threads that only know sessions. TensorFlow 2 starts every thread in eager mode, also those that a
# Supervisor starts, which itself refuses to run in eager mode.
_SUPERVISOR = "tensorflow.python.training.supervisor"
GRAPH_THREADS = (
    GraphThread(_SUPERVISOR, "SVStepCounterThread", "learning.train: reads the global step"),
    GraphThread(_SUPERVISOR, "SVTimerCheckpointThread", "learning.train: saves checkpoints"),
)

# Lines of tf-slim's own that NumPy 2 refuses.
MENDED_LINES = (
    MendedLine(
        "tf_slim.ops.variables",
        "assign_from_checkpoint",
        "slice_value = ckpt_value[slice_dims]",
        "slice_value = ckpt_value[tuple(slice_dims)]",
        "partitioned variables: an index of slices is a tuple since NumPy 1.23, no longer a list",
    ),
)
