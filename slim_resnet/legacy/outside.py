"""Names that are not under tf.contrib: the rest of TensorFlow 1.15, tflearn, Keras 1, Python 3.7.

Rows as in `heirs` and `remedies`.
"""

from __future__ import annotations

from slim_resnet.legacy.rows import answered, moved

_V1 = "tensorflow.compat.v1"
_COMPANIONS = "slim_resnet.legacy.companions"
_KERAS_1 = "slim_resnet.legacy.keras1"
_NO_SUCCESSOR = "there is no successor"


_TFLEARN = {
    **{
        f"tflearn.{module}{name}": f"{_COMPANIONS}.{name}"
        for name, modules in {
            "avg_pool_2d": ("", "layers.conv."),
            "flatten": ("", "layers.core."),
            "global_avg_pool": ("", "layers.conv."),
            "global_max_pool": ("", "layers.conv."),
            "max_pool_2d": ("", "layers.conv."),
        }.items()
        for module in modules
    },
    **moved("tflearn.activations", "leaky_relu relu sigmoid softmax tanh", _COMPANIONS),
    **moved("tflearn.data_utils", "shuffle to_categorical", _COMPANIONS),
}

# Keras 2 took Keras 1's arguments until tf_keras; `import keras` of a script gets them back.
_KERAS = {
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

_KERAS |= {
    "keras.initializations": f"{_V1}.keras.initializers",
    "keras.objectives": f"{_V1}.keras.losses",
}

# Modules of Python that had more in the Python 3.7 of TensorFlow 1.15.
PYTHON_MODULES = ("collections", "fractions", "inspect", "time")
_PYTHON = {
    **moved(
        "collections",
        "AsyncGenerator AsyncIterable AsyncIterator Awaitable Callable Collection Container "
        "Coroutine Generator Hashable ItemsView Iterable Iterator KeysView Mapping MappingView "
        "MutableMapping MutableSequence MutableSet Reversible Sequence Set Sized ValuesView",
        "collections.abc",
    ),
    "fractions.gcd": "math.gcd",
    "inspect.getargspec": "slim_resnet.legacy.python_names.getargspec",
    "time.clock": "time.process_time",
}

HEIRS = {
    **_TFLEARN,
    **_KERAS,
    **_PYTHON,
    # What compat.v1 has only through tf_keras.
    "tf.keras": f"{_V1}.keras",
    "tf.keras.utils.convert_all_kernels_in_model": f"{_KERAS_1}.convert_all_kernels_in_model",
    "tf.layers": f"{_V1}.layers",
    "tf.nn.rnn_cell": f"{_V1}.nn.rnn_cell",
    "tf.estimator.ModeKeys": "tensorflow.python.saved_model.model_utils.mode_keys."
    "EstimatorModeKeys",
    "tf.pywrap_tensorflow.NewCheckpointReader": f"{_V1}.train.NewCheckpointReader",
}

# Names of 2016, which TensorFlow 1.0 renamed.
_BEFORE_1_0 = {
    f"tf.{old}": f"TensorFlow 1.0 renamed it: use tf.{new}"
    for old, new in {
        "batch_matmul": "matmul",
        "histogram_summary": "summary.histogram",
        "image_summary": "summary.image",
        "merge_all_summaries": "summary.merge_all",
        "merge_summary": "summary.merge",
        "mul": "multiply",
        "neg": "negative",
        "nn.rnn": "nn.static_rnn",
        "pack": "stack",
        "scalar_summary": "summary.scalar",
        "select": "where",
        "sub": "subtract",
        "train.SummaryWriter": "summary.FileWriter",
        "unpack": "unstack",
    }.items()
}

REMEDIES = {
    **_BEFORE_1_0,
    "tflearn": "tflearn is not installed, and of it only a few functions without variables are "
    "here (see slim_resnet.legacy.companions); use tf.layers",
    "tf.examples": "the tutorials left with TensorFlow 2; for MNIST use "
    "tf.keras.datasets.mnist or tensorflow_datasets",
    **answered(
        "tf.keras.experimental",
        "LinearCosineDecay NoisyLinearCosineDecay",
        "use tf.train.linear_cosine_decay or noisy_linear_cosine_decay",
    ),
    "tf.keras.experimental.PeepholeLSTMCell": "use tf.nn.rnn_cell.LSTMCell(use_peepholes=True)",
    **answered(
        "tf.keras.experimental",
        "export_saved_model load_from_saved_model",
        "use tf.keras.models.save_model and load_model",
    ),
    "tf.keras.experimental.terminate_keras_multiprocessing_pools": _NO_SUCCESSOR,
    "tf.keras.mixed_precision.experimental": "use tf.keras.mixed_precision",
    "tf.keras.utils.HDF5Matrix": "read the file with h5py or tensorflow_io",
    "tf.keras.utils.multi_gpu_model": "use tf.distribute.MirroredStrategy",
    **answered("tf.keras", "wrappers wrappers.scikit_learn", "use the scikeras package"),
    **answered("tf.contrib.keras", "wrappers", "use the scikeras package"),
    "tf.contrib.keras.api": "use tf.keras",
    "tf.config.experimental_list_devices": "use tf.config.list_logical_devices",
    "tf.lite.experimental.get_potentially_supported_ops": "convert and read the error",
    "tf.lite.experimental.nn": "use tf.keras.layers.LSTM, which TFLite fuses",
    "tf.pywrap_tensorflow": "it was TensorFlow's own C API and has no public successor",
    "tf.raw_ops.CompareAndBitpack": _NO_SUCCESSOR,
    **{
        f"tf.raw_ops.{verb}TPUEmbedding{optimizer}ParametersGradAccumDebug": _NO_SUCCESSOR
        for verb in ("Load", "Retrieve")
        for optimizer in (
            "ADAM Adadelta Adagrad FTRL Momentum ProximalAdagrad RMSProp".split()  # noqa: SIM905
        )
    },
    **answered(
        "tf.tpu.experimental",
        "AdagradParameters AdamParameters StochasticGradientDescentParameters",
        "use tf.tpu.experimental.embedding",
    ),
}
