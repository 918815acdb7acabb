"""Names of TensorFlow 1.15 outside tf.contrib, and of the TensorFlow before 1.0."""

from __future__ import annotations

from slim_resnet.legacy.tables.notation import answered

_V1 = "tensorflow.compat.v1"
_NO_SUCCESSOR = "there is no successor"


SUCCESSORS = {
    # What compat.v1 has only through tf_keras.
    "tf.keras": f"{_V1}.keras",
    "tf.layers": f"{_V1}.layers",
    "tf.nn.rnn_cell": f"{_V1}.nn.rnn_cell",
    "tf.estimator.ModeKeys": "tensorflow.python.saved_model.model_utils.mode_keys."
    "EstimatorModeKeys",
    **{
        name: f"slim_resnet.legacy.replacements.graph_import.{name.rpartition('.')[2]}"
        for name in ("tf.import_graph_def", "tf.train.import_meta_graph")
    },
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
