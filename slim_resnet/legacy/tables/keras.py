"""Keras of 2016-2019: `import keras`, Keras 1's arguments, the inside of Keras 2."""

from __future__ import annotations

_V1 = "tensorflow.compat.v1"
_KERAS_1 = "slim_resnet.legacy.replacements.keras1"

# What `tensorflow.compat.v1` takes from Keras. With Keras 3 these names raise; tf_keras has them.
LEGACY_KERAS = {
    f"{_V1}.keras": "tf_keras.api._v1.keras",
    f"{_V1}.layers": "tf_keras.api._v1.keras.__internal__.legacy.layers",
    f"{_V1}.nn.rnn_cell": "tf_keras.api._v1.keras.__internal__.legacy.rnn_cell",
}

# Keras 2 took Keras 1's arguments until tf_keras; `import keras` of a script gets them back.
SUCCESSORS = {
    f"keras.{module}{name}": f"{_KERAS_1}.{name}"
    for modules, names in {
        (
            "layers.",
            "layers.convolutional.",
            "layers.core.",
            "layers.normalization.",
            "layers.pooling.",
        ): "AtrousConvolution2D AveragePooling2D BatchNormalization Conv2D Convolution2D Dense "
        "Dropout MaxPooling2D",
        ("backend.",): "image_dim_ordering set_image_dim_ordering",
        ("layers.",): "merge",
        ("", "models.", "engine.", "engine.training."): "Model",
        ("", "models."): "Sequential",
    }.items()
    for module in modules
    for name in names.split()
}

SUCCESSORS |= {
    "keras.initializations": f"{_V1}.keras.initializers",
    "keras.objectives": f"{_V1}.keras.losses",
}

# The inside of Keras 2 before it was tf_keras's: `from keras.layers.merge import add`.
_KERAS_LAYERS = (
    "advanced_activations convolutional core embeddings local merge noise normalization pooling "
    "recurrent wrappers"
)
SUCCESSORS |= {f"tf.keras.layers.{name}": f"{_V1}.keras.layers" for name in _KERAS_LAYERS.split()}
SUCCESSORS |= {
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
SUCCESSORS |= {
    "tf.compat.v2.keras": "tf_keras.api._v2.keras",
    "tf.keras.applications.imagenet_utils._obtain_input_shape": "tf_keras.src.applications."
    "imagenet_utils.obtain_input_shape",
    "tf.keras.backend.tensorflow_backend": f"{_V1}.keras.backend",
    "tf.keras.backend.tf": _V1,
    "tf.keras.utils.generic_utils": "tf_keras.src.utils.generic_utils",
    "tf.keras.utils.generic_utils.get_custom_objects": f"{_V1}.keras.utils.get_custom_objects",
    "tf.keras.utils.visualize_util.plot": f"{_V1}.keras.utils.plot_model",
    "tf.keras.utils.layer_utils": "tf_keras.src.utils.layer_utils",
    **{
        f"tf.keras.utils.{module}convert_all_kernels_in_model": f"{_KERAS_1}."
        "convert_all_kernels_in_model"
        for module in ("", "layer_utils.")
    },
}
