"""tf-slim 1.1.0's own tests, as data: how many there are, which lines are mended, what fails."""

from __future__ import annotations

from typing import NamedTuple


class Mend(NamedTuple):
    """In test file `file`, `old` (`times` in all) reads `new` in the copy that is run.

    `numpy` is the first version of NumPy that needs it; (0, 0): all do.
    """

    file: str
    old: str
    new: str
    reason: str
    times: int = 1
    numpy: tuple[int, int] = (0, 0)


class Size(NamedTuple):
    """A test file holds `tests`; `skipped` of them skip themselves (no GPU; `test_session`)."""

    tests: int
    skipped: int


_SCALAR = "NumPy 2 makes no int of an array with one element"
_GONE = "gone from NumPy"


def _scalar_label(file: str) -> Mend:
    old, new = "int(2 * self._labels[i] +", "int(2 * self._labels[i].item() +"
    return Mend(file, old, new, _SCALAR, times=2, numpy=(2, 4))


# Each for the test's own code: none touches what is tested or weakens an assertion.
MENDS = (
    _scalar_label("learning_test.py"),
    _scalar_label("training/evaluation_test.py"),
    _scalar_label("training/training_test.py"),
    Mend(
        "data/tfexample_decoder_test.py",
        "image.tostring()",
        "image.tobytes()",
        f"ndarray.tostring is {_GONE}",
        numpy=(2, 3),
    ),
    Mend(
        "evaluation_test.py",
        "from nose.tools import nottest\n",
        "nottest = lambda function: function\n",
        "nose, which marked a helper as no test, does not run on Python 3.10 or later",
    ),
    Mend(
        "evaluation_test.py",
        "DumpingDebugHook(dumping_root, log_usage=False)",
        "DumpingDebugHook(dumping_root)",
        "TensorFlow's debug hook, which the test only passes along, lost this argument",
    ),
    Mend(
        "layers/sparse_ops_test.py",
        "np.object)",
        "object)",
        f"np.object is {_GONE}",
        times=2,
        numpy=(1, 24),
    ),
    Mend(
        "layers/sparse_ops_test.py",
        "dtype, np.bool)",
        "dtype, bool)",
        "NumPy 1.24 to 1.26 had no np.bool",
        numpy=(1, 24),
    ),
    Mend(
        "losses/metric_learning_test.py",
        ".astype(np.float)",
        ".astype(float)",
        f"np.float is {_GONE}",
        numpy=(1, 24),
    ),
    Mend(
        "metrics/classification_test.py",
        "assertAlmostEqual(2 * 0.5 * 1 / (1 + 0.5), f1.eval())",
        "assertAlmostEqual(2 * 0.5 * 1 / (1 + 0.5), float(f1.eval()))",
        "NumPy 2 rounds the difference to float32; the value, 0.66666663, is TensorFlow 1.15's",
        numpy=(2, 0),
    ),
    Mend(
        "metrics/metric_ops_large_test.py",
        "np.product(",
        "np.prod(",
        f"np.product is {_GONE}",
        numpy=(2, 0),
    ),
    Mend(
        "ops/variables_test.py",
        "def testVariableWithReplicaDeviceSetter(self):\n    with self.cached_session():",
        "def testVariableWithReplicaDeviceSetter(self):\n"
        "    with self.cached_session(use_gpu=False):",
        "cached_session put ops on /cpu:0 unless asked; its default is now use_gpu=True",
    ),
)

# Test -> why it fails. One that passes after all is an error, too.
EXPECTED_FAILURES = {
    "tf_slim.layers.layers_test.DropoutTest.testCreateDropout": (
        "asks for the name of the op that tf.nn.dropout ends in: Mul in TensorFlow 1.15, SelectV2 "
        "today; what it computes is the same"
    ),
}

SIZES = {
    "data/dataset_data_provider_test.py": Size(4, 1),
    "data/parallel_reader_test.py": Size(10, 3),
    "data/prefetch_queue_test.py": Size(7, 1),
    "data/tfexample_decoder_test.py": Size(40, 1),
    "evaluation_test.py": Size(10, 2),
    "layers/initializers_test.py": Size(23, 2),
    "layers/layers_test.py": Size(356, 30),
    "layers/normalization_test.py": Size(43, 2),
    "layers/optimizers_test.py": Size(26, 2),
    "layers/regularizers_test.py": Size(12, 1),
    "layers/rev_block_lib_test.py": Size(15, 2),
    "layers/sparse_ops_test.py": Size(26, 3),
    "layers/summaries_test.py": Size(7, 1),
    "layers/utils_test.py": Size(30, 6),
    "learning_test.py": Size(38, 0),
    "losses/loss_ops_test.py": Size(120, 11),
    "losses/metric_learning_test.py": Size(14, 6),
    "metrics/classification_test.py": Size(21, 2),
    "metrics/histogram_ops_test.py": Size(11, 2),
    "metrics/metric_ops_large_test.py": Size(2, 1),
    "metrics/metric_ops_test.py": Size(431, 44),
    "nets/alexnet_test.py": Size(8, 1),
    "nets/inception_v1_test.py": Size(12, 1),
    "nets/inception_v2_test.py": Size(15, 1),
    "nets/inception_v3_test.py": Size(16, 1),
    "nets/overfeat_test.py": Size(8, 1),
    "nets/resnet_v1_test.py": Size(17, 2),
    "nets/resnet_v2_test.py": Size(17, 2),
    "nets/vgg_test.py": Size(24, 3),
    "ops/arg_scope_test.py": Size(21, 1),
    "ops/framework_ops_test.py": Size(5, 1),
    "ops/variables_test.py": Size(104, 15),
    "summaries_test.py": Size(5, 1),
    "training/evaluation_test.py": Size(18, 4),
    "training/training_test.py": Size(19, 4),
}
