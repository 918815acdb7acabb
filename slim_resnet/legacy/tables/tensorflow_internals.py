"""What scripts import from inside TensorFlow (`tensorflow.python...`), and what moved there since.

Rows as in `contrib`; only what scripts are known to take. What tf-slim needs,
`slim_resnet.compat` mends.
"""

from __future__ import annotations

from slim_resnet.legacy.tables.notation import moved

_V1 = "tensorflow.compat.v1"
_PYTHON = "tensorflow.python"


SUCCESSORS = {
    **moved(
        "tf.python.framework.ops",
        "IndexedSlicesValue convert_n_to_tensor_or_indexed_slices "
        "convert_to_tensor_or_indexed_slices",
        f"{_PYTHON}.framework.indexed_slices",
    ),
    **moved("tf.python.framework.ops", "default_session", f"{_PYTHON}.framework.stack"),
    **moved(
        "tf.python.framework.ops",
        "register_tensor_conversion_function",
        f"{_PYTHON}.framework.tensor_conversion_registry",
    ),
    **moved(
        "tf.python.framework.graph_util", "convert_variables_to_constants", f"{_V1}.graph_util"
    ),
    **moved(
        "tf.python.framework.graph_util_impl", "convert_variables_to_constants", f"{_V1}.graph_util"
    ),
    **moved(
        "tf.python.ops.nn",
        "bidirectional_dynamic_rnn dynamic_rnn raw_rnn static_rnn static_state_saving_rnn",
        f"{_V1}.nn",
    ),
    **moved("tf.python.layers.layers", "BatchNormalization batch_normalization", f"{_V1}.layers"),
    **moved("tf.python.ops.math_ops", "bessel_i0e bessel_i1e", f"{_V1}.math"),
    **moved("tf.python.ops.random_ops", "random_crop", f"{_V1}.image"),
    **moved("tf.python.ops.variables", "is_variable_initialized", _V1),
    **moved("tf.python.ops.variables", "RefVariable", f"{_PYTHON}.ops.ref_variable"),
    "tf.python.ops.rnn_cell": f"{_V1}.nn.rnn_cell",
    "tf.python.data.util.nest.is_sequence": f"{_PYTHON}.data.util.nest.is_nested",
    "tf.python.util.nest.is_sequence": f"{_PYTHON}.util.nest.is_nested",
    "tf.python.training.training_ops": f"{_PYTHON}.ops.gen_training_ops",
    "tf.python.keras": "tf_keras.src",
    "tf.python.pywrap_tensorflow.NewCheckpointReader": f"{_V1}.train.NewCheckpointReader",
}


# Private attributes that subclasses of scripts use: module, class, old name, name today.
ATTRIBUTES = (
    ("tf_keras.src.layers.convolutional.base_conv", "Conv", "_convolution_op", "convolution_op"),
)

REMEDIES = {
    "tf.python.pywrap_tensorflow": "it was TensorFlow's own C API and has no public successor",
}
