"""What scripts import from inside TensorFlow and Keras, and what moved there since.

Rows as in `heirs` and `remedies`; only what scripts are known to take. What tf-slim needs,
`slim_resnet.compat` mends.
"""

from __future__ import annotations

from slim_resnet.legacy.rows import moved

_V1 = "tensorflow.compat.v1"
_PYTHON = "tensorflow.python"


HEIRS = {
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

# The inside of Keras 2 before it was tf_keras's: `from keras.layers.merge import add`.
_KERAS_LAYERS = (
    "advanced_activations convolutional core embeddings local merge noise normalization pooling "
    "recurrent wrappers"
)
HEIRS |= {f"tf.keras.layers.{name}": f"{_V1}.keras.layers" for name in _KERAS_LAYERS.split()}
HEIRS |= {
    f"tf.keras.{module}.{name}": f"{_V1}.keras.{home}{name}"
    for module in ("engine", "engine.base_layer", "engine.topology", "engine.training")
    for name, home in {
        "Input": "",
        "InputLayer": "layers.",
        "InputSpec": "layers.",
        "Layer": "layers.",
        "Model": "",
        "get_source_inputs": "utils.",
    }.items()
}
HEIRS |= {
    "tf.keras.applications.imagenet_utils._obtain_input_shape": "tf_keras.src.applications."
    "imagenet_utils.obtain_input_shape",
    "tf.keras.backend.tensorflow_backend": f"{_V1}.keras.backend",
    "tf.keras.backend.tf": _V1,
    "tf.keras.utils.generic_utils": "tf_keras.src.utils.generic_utils",
    "tf.keras.utils.generic_utils.get_custom_objects": f"{_V1}.keras.utils.get_custom_objects",
    "tf.keras.utils.visualize_util.plot": f"{_V1}.keras.utils.plot_model",
    "tf.keras.utils.layer_utils": "tf_keras.src.utils.layer_utils",
    "tf.keras.utils.layer_utils.convert_all_kernels_in_model": "slim_resnet.legacy.keras1."
    "convert_all_kernels_in_model",
}

REMEDIES = {
    "tf.python.pywrap_tensorflow": "it was TensorFlow's own C API and has no public successor",
}
