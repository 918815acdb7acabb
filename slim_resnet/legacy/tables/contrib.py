"""What of `tf.contrib` is elsewhere today: old dotted prefix -> dotted path of its successor.

A row covers everything below it, unless a longer one, here or in `contrib_removed`, says otherwise.
A path that begins with "tf.contrib." is looked up again: the same thing under its public name.
"""

from __future__ import annotations

from slim_resnet.legacy.tables.notation import moved

_V1 = "tensorflow.compat.v1"
_PYTHON = "tensorflow.python"
_REPLACEMENTS = "slim_resnet.legacy.replacements"


_OURS = ("resnet_utils", "resnet_v1", "resnet_v2")

_SLIM = {
    "tf.contrib.slim": "tf_slim",
    "tf.contrib.slim.python": "tf_slim",
    "tf.contrib.slim.nets": "tf_slim.nets",
    "tf.contrib.slim.python.slim": "tf_slim",
    "tf.contrib.slim.python.slim.nets": "tf_slim.nets",
    **{f"tf.contrib.slim.nets.{name}": f"slim_resnet.{name}" for name in _OURS},
    **{f"tf.contrib.slim.python.slim.nets.{name}": f"slim_resnet.{name}" for name in _OURS},
    **moved("tf.contrib.slim", "nest", f"{_PYTHON}.util"),
    **moved(
        "tf.contrib.slim",
        "bucketization_op normalization optimizers regularizers rev_block_lib",
        "tf_slim.layers",
    ),
    "tf.contrib.slim.zero_initializer": "tf.contrib.framework.zero_initializer",
}

_LAYER_MODULES = (
    "initializers layers normalization optimizers regularizers rev_block_lib summaries utils"
)

_LAYERS = {
    # Not tf_slim.layers: as an attribute of tf_slim that is the module tf_slim.layers.layers.
    "tf.contrib.layers": "tf_slim",
    "tf.contrib.layers.summaries": "tf_slim.layers.summaries",
    "tf.contrib.layers.python": "tf.contrib.layers",
    "tf.contrib.layers.python.layers": "tf.contrib.layers",
    **moved("tf.contrib.layers.python.layers", _LAYER_MODULES, "tf_slim.layers"),
    "tf.contrib.layers.python.ops": "tf.contrib.layers",
    "tf.contrib.layers.python.ops.bucketization_op": "tf_slim.layers.bucketization_op",
    "tf.contrib.layers.python.ops.sparse_ops": "tf_slim.layers.sparse_ops",
}

_FRAMEWORK = {
    "tf.contrib.framework": "tf_slim",
    "tf.contrib.framework.python": "tf.contrib.framework",
    "tf.contrib.framework.python.ops": "tf.contrib.framework",
    "tf.contrib.framework.python.ops.arg_scope": "tf_slim.ops.arg_scope.arg_scope",
    **moved(
        "tf.contrib.framework.python.ops.arg_scope",
        "add_arg_scope arg_scope arg_scope_func_key arg_scoped_arguments current_arg_scope "
        "has_arg_scope",
        "tf_slim.ops.arg_scope",
    ),
    "tf.contrib.framework.python.ops.ops": "tf_slim.ops.framework_ops",
    "tf.contrib.framework.python.ops.variables": "tf_slim.ops.variables",
    "tf.contrib.framework.python.ops.variables.zero_initializer": "tf.contrib.framework."
    "zero_initializer",
    "tf.contrib.framework.python.framework": "tf.contrib.framework",
    "tf.contrib.framework.python.framework.checkpoint_utils": "tf.contrib.framework",
    **{
        f"tf.contrib.framework.python.{module}": "tf.contrib.framework"
        for module in (
            "framework.graph_util",
            "framework.tensor_util",
            "ops.checkpoint_ops",
            "ops.script_ops",
            "ops.sort_ops",
        )
    },
    "tf.contrib.framework.nest": f"{_PYTHON}.util.nest",
    "tf.contrib.framework.nest.is_sequence": f"{_PYTHON}.util.nest.is_nested",
    **moved(
        "tf.contrib.framework",
        "TensorSpec argsort assert_same_float_dtype assert_scalar "
        "convert_to_tensor_or_sparse_tensor is_tensor py_func sort",
        _V1,
    ),
    **moved(
        "tf.contrib.framework",
        "init_from_checkpoint list_variables load_checkpoint load_variable",
        f"{_REPLACEMENTS}.contrib_framework",
    ),
    **moved(
        "tf.contrib.framework",
        "convolutional_delta_orthogonal convolutional_orthogonal_1d convolutional_orthogonal_2d "
        "convolutional_orthogonal_3d",
        f"{_PYTHON}.ops.init_ops",
    ),
    **moved(
        "tf.contrib.framework",
        "deprecated deprecated_arg_values deprecated_args",
        f"{_PYTHON}.util.deprecation",
    ),
    **moved(
        "tf.contrib.framework", "prepend_name_scope strip_name_scope", f"{_PYTHON}.framework.ops"
    ),
    **moved(
        "tf.contrib.framework",
        "smart_case smart_cond smart_constant_value",
        f"{_PYTHON}.framework.smart_cond",
    ),
    "tf.contrib.framework.BoundedTensorSpec": f"{_PYTHON}.framework.tensor_spec.BoundedTensorSpec",
    "tf.contrib.framework.RecordInput": f"{_PYTHON}.ops.data_flow_ops.RecordInput",
    "tf.contrib.framework.get_name_scope": "tf_slim.ops.framework_ops.get_name_scope",
}

_TRAINING = {
    "tf.contrib.training": "tf_slim.training.training",
    **moved(
        "tf.contrib.training",
        "StopAfterNEvalsHook SummaryAtEndHook checkpoints_iterator evaluate_once "
        "evaluate_repeatedly get_or_create_eval_step wait_for_new_checkpoint",
        "tf_slim.training.evaluation",
    ),
    **moved("tf.contrib.training", "HParams parse_values", f"{_REPLACEMENTS}.hparams"),
    "tf.contrib.training.python": "tf.contrib.training",
    "tf.contrib.training.python.training": "tf.contrib.training",
    **{
        f"tf.contrib.training.python.training.{module}": "tf.contrib.training"
        for module in (
            "bucket_ops",
            "device_setter",
            "evaluation",
            "feeding_queue_runner",
            "resample",
            "sampling_ops",
            "sequence_queueing_state_saver",
        )
    },
    "tf.contrib.training.python.training.hparam": f"{_REPLACEMENTS}.hparams",
    "tf.contrib.training.python.training.training": "tf_slim.training.training",
}

_LOSSES_AND_METRICS = {
    "tf.contrib.losses": "tf_slim.losses",
    "tf.contrib.losses.python": "tf_slim.losses",
    "tf.contrib.losses.python.losses": "tf_slim.losses",
    "tf.contrib.losses.python.losses.loss_ops": "tf_slim.losses.loss_ops",
    "tf.contrib.losses.python.metric_learning": "tf_slim.losses.metric_learning",
    "tf.contrib.losses.python.metric_learning.metric_loss_ops": "tf_slim.losses.metric_learning",
    "tf.contrib.metrics": "tf_slim.metrics",
    "tf.contrib.metrics.python": "tf.contrib.metrics",
    "tf.contrib.metrics.python.metrics": "tf.contrib.metrics",
    "tf.contrib.metrics.python.ops": "tf.contrib.metrics",
    "tf.contrib.metrics.confusion_matrix": f"{_V1}.confusion_matrix",
    "tf.contrib.metrics.python.ops.confusion_matrix_ops": "tf.contrib.metrics",
    "tf.contrib.metrics.python.ops.set_ops": "tf.contrib.metrics",
    **moved(
        "tf.contrib.metrics",
        "set_difference set_intersection set_size set_union",
        f"{_V1}.sets",
    ),
}

_RNN = {
    **moved(
        "tf.contrib.rnn",
        "BasicLSTMCell BasicRNNCell DeviceWrapper DropoutWrapper GRUCell LSTMCell LSTMStateTuple "
        "MultiRNNCell RNNCell ResidualWrapper",
        f"{_V1}.nn.rnn_cell",
    ),
    **moved(
        "tf.contrib.rnn", "static_bidirectional_rnn static_rnn static_state_saving_rnn", f"{_V1}.nn"
    ),
    "tf.contrib.rnn.python.ops": "tf.contrib.rnn",
    "tf.contrib.rnn.python.ops.core_rnn": "tf.contrib.rnn",
    "tf.contrib.rnn.python.ops.core_rnn_cell": "tf.contrib.rnn",
    "tf.contrib.rnn.python.ops.rnn_cell": "tf.contrib.rnn",
}

_DATA = {
    **moved(
        "tf.contrib.data",
        "AUTOTUNE Counter CsvDataset Optional RandomDataset Reducer SqlDataset TFRecordWriter "
        "bucket_by_sequence_length choose_from_datasets copy_to_device dense_to_sparse_batch "
        "enumerate_dataset get_next_as_optional get_single_element group_by_reducer "
        "group_by_window ignore_errors make_batched_features_dataset make_csv_dataset "
        "make_saveable_from_iterator map_and_batch parallel_interleave parse_example_dataset "
        "prefetch_to_device rejection_resample sample_from_datasets scan shuffle_and_repeat "
        "unbatch unique",
        f"{_V1}.data.experimental",
    ),
    # Moved to tf.data with TensorFlow 1.4; the names stayed in contrib until 1.5.
    **moved(
        "tf.contrib.data",
        "Dataset FixedLengthRecordDataset Iterator TFRecordDataset TextLineDataset",
        f"{_V1}.data",
    ),
    **moved(
        "tf.contrib.feature_column",
        "sequence_categorical_column_with_hash_bucket sequence_categorical_column_with_identity "
        "sequence_categorical_column_with_vocabulary_file "
        "sequence_categorical_column_with_vocabulary_list sequence_numeric_column",
        f"{_V1}.feature_column",
    ),
    **moved(
        "tf.contrib.lookup",
        "FastHashSpec HasherSpec IdTableWithHashBuckets InitializableLookupTableBase "
        "KeyValueTensorInitializer LookupInterface MutableHashTable StrongHashSpec "
        "TableInitializerBase TextFileIdTableInitializer TextFileIndex TextFileInitializer "
        "TextFileStringTableInitializer index_table_from_file index_to_string_table_from_file",
        f"{_PYTHON}.ops.lookup_ops",
    ),
    **moved(
        "tf.contrib.lookup",
        "HashTable index_table_from_tensor index_to_string_table_from_tensor",
        f"{_REPLACEMENTS}.contrib_lookup",
    ),
    "tf.contrib.lookup.lookup_ops": "tf.contrib.lookup",
    **moved("tf.contrib.proto", "decode_proto encode_proto", f"{_V1}.io"),
}

_NUMERIC = {
    **moved(
        "tf.contrib.distributions",
        "Bernoulli Beta Categorical Dirichlet DirichletMultinomial Distribution Exponential "
        "FULLY_REPARAMETERIZED Gamma Laplace Multinomial NOT_REPARAMETERIZED Normal RegisterKL "
        "ReparameterizationType StudentT Uniform kl_divergence",
        f"{_V1}.distributions",
    ),
    **moved(
        "tf.contrib.distributions",
        "fill_triangular fill_triangular_inverse matrix_diag_transform reduce_weighted_logsumexp "
        "softplus_inverse tridiag",
        f"{_PYTHON}.ops.distributions.util",
    ),
    **moved(
        "tf.contrib.image",
        "angles_to_projective_transforms compose_transforms flat_transforms_to_matrices "
        "matrices_to_flat_transforms rotate transform translate "
        "translations_to_projective_transforms",
        f"{_REPLACEMENTS}.image_ops",
    ),
    "tf.contrib.image.python.ops": "tf.contrib.image",
    "tf.contrib.image.python.ops.image_ops": "tf.contrib.image",
    "tf.contrib.nn.conv1d_transpose": f"{_V1}.nn.conv1d_transpose",
    "tf.contrib.nn.nth_element": f"{_PYTHON}.ops.nn_ops.nth_element",
    "tf.contrib.signal": f"{_V1}.signal",
    **moved(
        "tf.contrib.stateless",
        "stateless_multinomial stateless_random_normal stateless_random_uniform "
        "stateless_truncated_normal",
        f"{_PYTHON}.ops.stateless_random_ops",
    ),
}

_SYSTEM = {
    **moved("tf.contrib.autograph", "to_code to_graph", f"{_V1}.autograph"),
    **moved(
        "tf.contrib.autograph",
        "Feature do_not_convert set_loop_options",
        f"{_V1}.autograph.experimental",
    ),
    "tf.contrib.batching.batch_function": f"{_V1}.nondifferentiable_batch_function",
    **moved("tf.contrib.checkpoint", "CheckpointManager", f"{_V1}.train"),
    **moved(
        "tf.contrib.cluster_resolver",
        "ClusterResolver GCEClusterResolver KubernetesClusterResolver SimpleClusterResolver "
        "SlurmClusterResolver TFConfigClusterResolver TPUClusterResolver",
        f"{_V1}.distribute.cluster_resolver",
    ),
    "tf.contrib.cluster_resolver.UnionClusterResolver": f"{_PYTHON}.distribute.cluster_resolver."
    "cluster_resolver.UnionClusterResolver",
    "tf.contrib.compiler.jit.experimental_jit_scope": f"{_V1}.xla.experimental.jit_scope",
    "tf.contrib.compiler.xla.compile": f"{_V1}.xla.experimental.compile",
    **moved(
        "tf.contrib.distribute",
        "CrossDeviceOps MirroredStrategy OneDeviceStrategy ReplicaContext get_loss_reduction "
        "get_replica_context get_strategy has_strategy in_cross_replica_context",
        f"{_V1}.distribute",
    ),
    **moved(
        "tf.contrib.eager",
        "GradientTape TensorSpec custom_gradient enable_eager_execution "
        "executing_eagerly function make_template py_func",
        _V1,
    ),
    **moved(
        "tf.contrib.deprecated",
        "audio_summary histogram_summary image_summary scalar_summary",
        f"{_REPLACEMENTS}.summary_ops",
    ),
    **{
        f"tf.contrib.deprecated.{old}": f"{_V1}.summary.{new}"
        for old, new in {"merge_all_summaries": "merge_all", "merge_summary": "merge"}.items()
    },
    "tf.contrib.eager.Variable": f"{_PYTHON}.ops.resource_variable_ops.ResourceVariable",
    "tf.contrib.keras": f"{_V1}.keras",
    "tf.contrib.keras.api.keras": f"{_V1}.keras",
    "tf.contrib.staging.StagingArea": f"{_PYTHON}.ops.data_flow_ops.StagingArea",
    **moved(
        "tf.contrib.summary",
        "SummaryWriter always_record_summaries audio create_file_writer "
        "create_summary_file_writer eval_dir flush generic histogram image import_event "
        "initialize never_record_summaries record_summaries_every_n_global_steps scalar "
        "should_record_summaries summary_writer_initializer_op",
        f"{_PYTHON}.ops.summary_ops_v2",
    ),
    **moved(
        "tf.contrib.tpu",
        "CrossShardOptimizer batch_parallel bfloat16_scope core cross_replica_sum "
        "initialize_system outside_compilation replicate rewrite shard shutdown_system",
        f"{_V1}.tpu",
    ),
    **moved("tf.contrib.util", "make_ndarray make_tensor_proto", _V1),
    "tf.contrib.util.constant_value": f"{_V1}.get_static_value",
    **moved(
        "tf.contrib.util",
        "ops_used_by_graph_def stripped_op_list_for_graph",
        f"{_PYTHON}.framework.meta_graph",
    ),
}

# Where a successor is not quite contrib's: what to mind.
DIFFERENCES = {
    "tf.contrib.autograph.set_loop_options": "back_prop is gone",
    "tf.contrib.autograph.to_code": "pass what follows recursive by keyword",
    "tf.contrib.autograph.to_graph": "pass what follows recursive by keyword",
    "tf.contrib.cluster_resolver.SlurmClusterResolver": "gpus_per_node and gpus_per_task, once 1, "
    "are now found",
    "tf.contrib.distribute.MirroredStrategy": "name the devices instead of num_gpus",
    "tf.contrib.eager.py_func": "pass name by keyword",
    "tf.contrib.lookup.HashTable": "no shared_name",
    "tf.contrib.slim.nets.inception_v3.inception_v3": "pass scope by keyword",
    "tf.contrib.slim.python.slim.nets.inception_v3.inception_v3": "pass scope by keyword",
    "tf.contrib.training.HParams": "no protocol buffers",
}

SUCCESSORS = {
    **_SLIM, **_LAYERS, **_FRAMEWORK, **_TRAINING, **_LOSSES_AND_METRICS, **_RNN, **_DATA,
    **_NUMERIC, **_SYSTEM,
}  # fmt: skip
