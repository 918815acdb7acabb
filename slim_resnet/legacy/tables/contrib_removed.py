"""What of `tf.contrib`, and of the estimators, is gone: old dotted prefix -> what to use instead.

A row covers everything below it, unless a longer one, here or in `contrib`, says otherwise.
"""

from __future__ import annotations

from slim_resnet.legacy.tables.notation import answered

_ESTIMATORS = (
    "estimators left with TensorFlow 2.16; use slim.learning.train, "
    "tf.train.MonitoredTrainingSession with the model_fn's graph, or tf.keras"
)
_ADDONS = "of TensorFlow Addons (unmaintained) was its successor; there is none in TensorFlow"
_PROBABILITY = "use TensorFlow Probability (tensorflow_probability)"
_FEATURE_COLUMNS = "use tf.feature_column with tf.compat.v1.feature_column.input_layer"
_OPTIMIZATION = "use the TensorFlow Model Optimization toolkit (tensorflow_model_optimization)"
_TPU_ESTIMATOR = f"TPUEstimator left with the estimators: {_ESTIMATORS}"
_EAGER = "use TensorFlow 2's eager execution, tf.GradientTape and tf.keras.Model"
_DATA = "use tf.data"
_DATASETS = "use tf.keras.datasets or tensorflow_datasets"
_CELLS = "use a cell of tf.nn.rnn_cell, or tf.keras.layers"
_NO_TOOL = "there is no successor"


def _all(names: str, remedy: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), remedy)


# What tf.contrib.slim, too, had from tf.contrib.layers.
_OF_LAYERS = {
    **_all(
        "bucketized_column check_feature_columns create_feature_spec_for_parsing "
        "crossed_column embedding_column feature_column infer_real_valued_columns "
        "input_from_feature_columns joint_weighted_sum_from_feature_columns "
        "make_place_holder_tensors_for_base_features multi_class_target one_hot_column "
        "parse_feature_columns_from_examples parse_feature_columns_from_sequence_examples "
        "real_valued_column regression_target scattered_embedding_column "
        "sequence_input_from_feature_columns shared_embedding_columns "
        "sparse_column_with_hash_bucket sparse_column_with_integerized_feature "
        "sparse_column_with_keys sparse_column_with_vocabulary_file transform_features "
        "weighted_sparse_column weighted_sum_from_feature_columns DataFrameColumn InputLayer "
        "ProblemType binary_svm_target fc fc_core feature_column_ops target_column "
        "get_default_binary_metrics_for_eval",
        _FEATURE_COLUMNS,
    ),
    **_all(
        "SPARSE_FEATURE_CROSS_DEFAULT_HASH_KEY sparse_feature_cross sparse_feature_cross_op "
        "gen_sparse_feature_cross_op",
        "use tf.sparse.cross_hashed",
    ),
    **_all(
        "bow_encoder embed_sequence encoders",
        "look the ids up with tf.nn.embedding_lookup in a variable made by tf.get_variable",
    ),
    **_all(
        "embedding_lookup_unique embedding_ops "
        "embedding_lookup_sparse_with_distributed_aggregation scattered_embedding_lookup "
        "scattered_embedding_lookup_sparse",
        "use tf.nn.embedding_lookup or tf.nn.embedding_lookup_sparse",
    ),
    "safe_embedding_lookup_sparse": "use tf.nn.safe_embedding_lookup_sparse",
}

_LAYERS = {
    f"{package}.{name}": remedy
    for package in ("tf.contrib.layers", "tf.contrib.slim")
    for name, remedy in _OF_LAYERS.items()
} | {
    "tf.contrib.layers.ops": "use the functions of tf.sparse",
    **answered(
        "tf.contrib.layers.python.ops.sparse_ops",
        "dense_to_sparse_tensor indicators_to_sparse_ids sparse_row_envelope",
        "use the functions of tf.sparse",
    ),
    **answered(
        "tf.contrib.layers",
        "deprecated deprecated_arg_values experimental",
        "it only marked functions: delete the decorator",
    ),
}

# Modules that tf.contrib.slim imported for itself and showed by accident.
_SLIM = {
    f"tf.contrib.slim.{name}": f"it was not slim's: import {home}"
    for name, home in {
        "abc": "abc",
        "checkpoint_utils": "tf.train (list_variables, load_variable, init_from_checkpoint)",
        "collections": "collections",
        "collections_abc": "collections.abc",
        "contrib_framework": "tf_slim",
        "contrib_sparse_ops": "tf_slim.layers.sparse_ops",
        "contrib_variables": "tf_slim.ops.variables",
        "deprecated": "tensorflow.python.util.deprecation",
        "deprecated_arg_values": "tensorflow.python.util.deprecation",
        "deprecation": "tensorflow.python.util.deprecation",
        "experimental": "nothing in its place: the decorator only marked functions",
        "functools": "functools",
        "loader": "tf.load_op_library",
        "logging": "tf.logging",
        "lookup": "tf.lookup",
        "loss_ops": "tf_slim.losses",
        "make_all": "tensorflow.python.util.all_util",
        "math": "math",
        "metric_ops": "tf_slim.metrics",
        "nn": "tf.nn",
        "nn_ops": "tensorflow.python.ops.nn_ops",
        "parsing_ops": "tf.io",
        "resource_loader": "tf.resource_loader",
        "resource_variable_ops": "tensorflow.python.ops.resource_variable_ops",
        "sparse_ops": "tf.sparse",
        "sparse_tensor": "tf.SparseTensor",
        "sparse_tensor_py": "tf.SparseTensor",
        "string_ops": "tf.strings",
        "tensor_shape": "tf.TensorShape",
        "variable_scope": "tf.variable_scope",
        "variables": "tf.Variable and slim.get_variables",
    }.items()
}

_FRAMEWORK = {
    "tf.contrib.framework.assert_scalar_int": "use tf.debugging.assert_scalar, assert_integer",
    **answered(
        "tf.contrib.framework",
        "fuse_op get_placeholders",
        "walk graph.as_graph_def() or graph.get_operations() by the op's type",
    ),
    "tf.contrib.framework.get_graph_from_inputs": "use the tensors' own .graph",
    **answered(
        "tf.contrib.framework",
        "load_and_remap_matrix_initializer load_embedding_initializer "
        "load_linear_multiclass_bias_initializer load_variable_slot_initializer",
        "read with tf.train.load_variable and pass the array as the initializer",
    ),
    "tf.contrib.framework.reduce_sum_n": "use tf.add_n of tf.reduce_sum",
    "tf.contrib.framework.remove_squeezable_dimensions": "use tf.squeeze",
    **answered("tf.contrib.framework", "with_same_shape with_shape", "use tf.ensure_shape"),
    "tf.contrib.framework.zero_initializer": "use variable.assign(tf.zeros_like(variable))",
    "tf.contrib.framework.ops": _NO_TOOL,
    "tf.contrib.framework.python.ops.audio_ops": "use tf.audio",
    **answered("tf.contrib.framework.python.ops", "prettyprint_ops print_op", "use tf.Print"),
    "tf.contrib.framework.experimental": "it only marked functions: delete the decorator",
}

_TRAINING = {
    **answered(
        "tf.contrib.training",
        "NextQueuedSequenceBatch SequenceQueueingStateSaver batch_sequences_with_states",
        "cut the sequences with tf.data and carry the state in variables",
    ),
    "tf.contrib.training.FeedingQueueRunner": "use tf.data.Dataset.from_generator",
    **answered(
        "tf.contrib.training",
        "GreedyLoadBalancingStrategy RandomStrategy byte_size_load_fn",
        "use the round robin of tf.train.replica_device_setter",
    ),
    **answered(
        "tf.contrib.training",
        "bucket bucket_by_sequence_length",
        "use tf.data.experimental.bucket_by_sequence_length",
    ),
    **answered(
        "tf.contrib.training",
        "rejection_sample resample_at_rate stratified_sample weighted_resample",
        "use tf.data.experimental.rejection_resample or sample_from_datasets",
    ),
    "tf.contrib.training.tuner": _ESTIMATORS,
    "tf.contrib.training.python.training.hparam_pb2": "write the values as JSON",
}

_RNN = {
    "tf.contrib.rnn": _CELLS,
    **answered(
        "tf.contrib.rnn",
        "LSTMBlockCell LSTMBlockFusedCell LSTMBlockWrapper",
        "tf.nn.rnn_cell.BasicLSTMCell computes the same from the same kernel and bias",
    ),
    **answered(
        "tf.contrib.rnn",
        "Conv1DLSTMCell Conv2DLSTMCell Conv3DLSTMCell ConvLSTMCell",
        "use tf.keras.layers.ConvLSTM2D",
    ),
    **answered("tf.contrib.rnn", "GRUBlockCell GRUBlockCellV2", "use tf.nn.rnn_cell.GRUCell"),
    **answered(
        "tf.contrib.rnn",
        "InputProjectionWrapper OutputProjectionWrapper",
        "put a tf.layers.dense before or after the RNN",
    ),
    "tf.contrib.rnn.EmbeddingWrapper": "embed the inputs with tf.nn.embedding_lookup first",
    **answered(
        "tf.contrib.rnn",
        "stack_bidirectional_dynamic_rnn stack_bidirectional_rnn",
        "call tf.nn.bidirectional_dynamic_rnn once a layer and concatenate its outputs",
    ),
    "tf.contrib.rnn.best_effort_input_batch_size": "use tf.shape(inputs)[0]",
    "tf.contrib.rnn.transpose_batch_time": "use tf.transpose(x, [1, 0, 2])",
    "tf.contrib.cudnn_rnn": "tf.keras.layers.LSTM and GRU run on cuDNN by themselves",
    "tf.contrib.grid_rnn": _CELLS,
    "tf.contrib.recurrent": _CELLS,
    "tf.contrib.legacy_seq2seq": "use tf.nn.dynamic_rnn with tf.nn.rnn_cell, or tf.keras",
    "tf.contrib.seq2seq": f"tfa.seq2seq {_ADDONS}; tf.nn.raw_rnn builds a decoder",
    "tf.contrib.seq2seq.sequence_loss": "weight tf.nn.sparse_softmax_cross_entropy_with_logits "
    "by the mask and average",
    "tf.contrib.seq2seq.gather_tree": f"tfa.seq2seq.gather_tree {_ADDONS}",
    "tf.contrib.seq2seq.tile_batch": "use tf.repeat(tensor, multiplier, axis=0)",
}

_DATA_REMEDIES = {
    "tf.contrib.data": _DATA,
    **answered(
        "tf.contrib.data",
        "batch_and_drop_remainder padded_batch_and_drop_remainder",
        "use Dataset.batch or padded_batch with drop_remainder=True",
    ),
    "tf.contrib.data.CheckpointInputPipelineHook": "save the iterator with tf.train.Checkpoint",
    "tf.contrib.data.LMDBDataset": "use tensorflow_io.IODataset.from_lmdb",
    "tf.contrib.data.assert_element_shape": "use Dataset.map with tf.ensure_shape",
    "tf.contrib.data.read_batch_features": "use tf.data.experimental.make_batched_features_dataset",
    "tf.contrib.data.reduce_dataset": "use Dataset.reduce",
    "tf.contrib.data.sliding_window_batch": "use Dataset.window",
    "tf.contrib.data.sloppy_interleave": "use Dataset.interleave, deterministic=False",
    **answered(
        "tf.data.experimental",
        "CheckpointInputPipelineHook MapVectorizationOptions StatsAggregator StatsOptions "
        "bytes_produced_stats latency_stats",
        "it left tf.data with TensorFlow 2.5; profile the pipeline with tf.profiler",
    ),
    "tf.contrib.feature_column": "use tf.feature_column",
    "tf.contrib.feature_column.sequence_input_layer": "use tf.keras with tf.data",
    "tf.contrib.input_pipeline": _DATA,
    "tf.contrib.lookup": "use tf.lookup",
    "tf.contrib.lookup.MutableDenseHashTable": "use tf.lookup.experimental.DenseHashTable "
    "(another signature: value_dtype, default_value, empty_key and deleted_key are required)",
    **answered(
        "tf.contrib.lookup",
        "index_to_string string_to_index",
        "build a tf.lookup.StaticHashTable and call its lookup",
    ),
    **answered(
        "tf.contrib.lookup",
        "string_to_index_table_from_file string_to_index_table_from_tensor",
        "use tf.contrib.lookup.index_table_from_file or index_table_from_tensor",
    ),
    "tf.contrib.staging": "use tf.raw_ops.Stage",
}

_ESTIMATOR = {
    name: _ESTIMATORS
    for name in (
        "tf.estimator",
        "tf.python.estimator",
        "tf.contrib.boosted_trees",
        "tf.contrib.estimator",
        "tf.contrib.factorization",
        "tf.contrib.kernel_methods",
        "tf.contrib.learn",
        "tf.contrib.linear_optimizer",
        "tf.contrib.predictor",
        "tf.contrib.timeseries",
    )
} | {
    "tf.contrib.predictor.from_saved_model": "use tf.saved_model.loader.load and session.run",
    "tf.contrib.learn.ModeKeys": "use tf.estimator.ModeKeys, whose PREDICT is this one's INFER",
    "tf.contrib.learn.datasets": _DATASETS,
    "tf.contrib.learn.python.learn.datasets": _DATASETS,
    "tf.contrib.learn.io": _DATA,
    "tf.contrib.learn.preprocessing": "use tf.keras.preprocessing.text.Tokenizer",
    "tf.contrib.hooks": "use the hooks of tf.train",
    "tf.contrib.decision_trees": "use TensorFlow Decision Forests (tensorflow_decision_forests)",
    "tf.contrib.tensor_forest": "use TensorFlow Decision Forests (tensorflow_decision_forests)",
    "tf.contrib.session_bundle": "use tf.saved_model",
    **answered(
        "tf.contrib.tpu",
        "AsyncCheckpointSaverHook InputPipelineConfig RunConfig TPUConfig TPUEstimator "
        "TPUEstimatorSpec export_estimator_savedmodel",
        _TPU_ESTIMATOR,
    ),
}

_NUMERIC = {
    "tf.contrib.bayesflow": _PROBABILITY,
    "tf.contrib.constrained_optimization": "use tensorflow_constrained_optimization (TFCO)",
    "tf.contrib.crf": f"tfa.text.crf_log_likelihood, crf_decode {_ADDONS}",
    "tf.contrib.distributions": _PROBABILITY,
    "tf.contrib.gan": "use TF-GAN (tensorflow_gan)",
    "tf.contrib.image": f"tfa.image {_ADDONS}",
    "tf.contrib.integrate": "use scipy.integrate or tfp.math.ode of TensorFlow Probability",
    "tf.contrib.labeled_tensor": "name the axes with xarray, outside the graph",
    "tf.contrib.nearest_neighbor": _NO_TOOL,
    "tf.contrib.nn": "use tf.nn",
    "tf.contrib.nn.alpha_dropout": "use tf.keras.layers.AlphaDropout",
    "tf.contrib.nn.deprecated_flipped_sigmoid_cross_entropy_with_logits": "use tf.nn."
    "sigmoid_cross_entropy_with_logits with labels= and logits= by name",
    "tf.contrib.nn.deprecated_flipped_softmax_cross_entropy_with_logits": "use tf.nn."
    "softmax_cross_entropy_with_logits with labels= and logits= by name",
    "tf.contrib.nn.deprecated_flipped_sparse_softmax_cross_entropy_with_logits": "use tf.nn."
    "sparse_softmax_cross_entropy_with_logits with labels= and logits= by name",
    "tf.contrib.nn.rank_sampled_softmax_loss": "use tf.nn.sampled_softmax_loss",
    "tf.contrib.nn.sampled_sparse_softmax_loss": "use tf.nn.sampled_softmax_loss",
    "tf.contrib.nn.scaled_softplus": "write it: alpha * tf.nn.softplus(x / alpha)",
    "tf.contrib.fused_conv": "use tf.nn.conv2d, tf.nn.bias_add and tf.nn.relu",
    "tf.contrib.opt": "use the optimizers of tf.train or tf.keras.optimizers",
    **answered(
        "tf.contrib.opt",
        "AdamWOptimizer DecoupledWeightDecayExtension MomentumWOptimizer "
        "extend_with_decoupled_weight_decay",
        "use tf.keras.optimizers.AdamW, or assign the decay to the weights after the step",
    ),
    "tf.contrib.opt.AdaMaxOptimizer": "use tf.keras.optimizers.Adamax",
    "tf.contrib.opt.NadamOptimizer": "use tf.keras.optimizers.Nadam",
    "tf.contrib.opt.MovingAverageOptimizer": "use tf.train.ExponentialMovingAverage",
    **answered(
        "tf.contrib.opt",
        "ExternalOptimizerInterface ScipyOptimizerInterface",
        "call scipy.optimize.minimize with a session's loss and gradients",
    ),
    "tf.contrib.optimizer_v2": "use the optimizers of tf.train",
    "tf.contrib.periodic_resample": "use tf.nn.depth_to_space or space_to_depth",
    "tf.contrib.reduce_slice_ops": "use tf.math.segment_sum and its like",
    "tf.contrib.resampler": f"tfa.image.resampler {_ADDONS}; tf.gather_nd does it by hand",
    "tf.contrib.solvers": "use tf.linalg or scipy.sparse.linalg",
    "tf.contrib.sparsemax": f"tfa.activations.sparsemax {_ADDONS}",
    "tf.contrib.specs": "write the layers out with slim",
    "tf.contrib.stateless": "use tf.random.stateless_uniform and its like",
}

_SYSTEM = {
    "tf.contrib.all_reduce": "use tf.distribute",
    "tf.contrib.autograph": "use tf.autograph",
    "tf.contrib.batching": "use tf.nondifferentiable_batch_function",
    "tf.contrib.bigtable": "use tensorflow_io",
    "tf.contrib.checkpoint": "use tf.train.Checkpoint",
    "tf.contrib.cloud": "use tensorflow_io",
    "tf.contrib.cluster_resolver": "use tf.distribute.cluster_resolver",
    "tf.contrib.compiler": "use tf.xla.experimental",
    "tf.contrib.copy_graph": "use tf.import_graph_def with input_map",
    "tf.contrib.deprecated": "use tf.summary",
    "tf.contrib.nccl": "use tf.distribute.NcclAllReduce, or tf.raw_ops.NcclAllReduce",
    "tf.contrib.distribute": "use tf.distribute",
    **answered(
        "tf.contrib.distribute",
        "CollectiveAllReduceStrategy ParameterServerStrategy",
        "use tf.distribute.experimental.MultiWorkerMirroredStrategy or ParameterServerStrategy; "
        "their constructors differ",
    ),
    "tf.contrib.eager": _EAGER,
    "tf.contrib.ffmpeg": "use tf.audio.decode_wav, or tensorflow_io's decoders",
    "tf.contrib.graph_editor": "use tf.import_graph_def with input_map",
    "tf.contrib.hadoop": "use tensorflow_io",
    "tf.contrib.ignite": "use tensorflow_io",
    "tf.contrib.kafka": "use tensorflow_io",
    "tf.contrib.kinesis": "use tensorflow_io",
    "tf.contrib.libsvm": "use tensorflow_io",
    "tf.contrib.memory_stats": "use tf.config.experimental.get_memory_info, outside the graph",
    "tf.contrib.meta_graph_transform": "use tf.graph_util",
    "tf.contrib.mixed_precision": "use tf.mixed_precision with tf.keras, or scale the loss",
    "tf.contrib.model_pruning": _OPTIMIZATION,
    "tf.contrib.proto": "use tf.io.decode_proto and encode_proto",
    "tf.contrib.quantization": "use tf.quantization",
    "tf.contrib.quantize": _OPTIMIZATION,
    "tf.contrib.receptive_field": "use the receptive_field package of Google Research",
    "tf.contrib.remote_fused_graph": _NO_TOOL,
    "tf.contrib.rpc": "use grpc from Python",
    "tf.contrib.saved_model": "use tf.keras.models.save_model and load_model",
    "tf.contrib.stat_summarizer": "use tf.profiler",
    "tf.contrib.summary": "use tf.summary",
    "tf.contrib.summary.graph": "use tf.summary.FileWriter(...).add_graph",
    "tf.contrib.tensorboard": "use tensorboard.plugins.projector of the tensorboard package, whose "
    "visualize_embeddings wants the log folder",
    "tf.contrib.tensorrt": "use tf.experimental.tensorrt",
    "tf.contrib.testing": "read the events with tf.train.summary_iterator",
    "tf.contrib.text": "use tensorflow_text",
    "tf.contrib.tfprof": "use tf.profiler",
    "tf.contrib.tpu": "use tf.distribute.TPUStrategy or tf.tpu",
    "tf.contrib.util": "use tf.load_op_library and tf.io",
    "tf.contrib": "there was no such part of TensorFlow 1.15",
}

REMEDIES = {
    **_LAYERS, **_SLIM, **_FRAMEWORK, **_TRAINING, **_RNN, **_DATA_REMEDIES, **_ESTIMATOR,
    **_NUMERIC, **_SYSTEM,
}  # fmt: skip
