"""The few functions of tflearn that TF1 scripts borrow, for where tflearn is not installed.

Only what makes no variables but `is_training`, which comes with the import. Names, defaults and
name scopes are those of tflearn 0.3; anything else of it raises and says so.
"""

from __future__ import annotations

import numpy as np

from slim_resnet.compat import tf


def global_avg_pool(incoming, name: str = "GlobalAvgPool"):
    """The mean over height and width: [N, H, W, C] -> [N, C]."""
    _check_rank(incoming, name)
    with tf.name_scope(name):
        return tf.reduce_mean(incoming, [1, 2])


def global_max_pool(incoming, name: str = "GlobalMaxPool"):
    """The maximum over height and width: [N, H, W, C] -> [N, C]."""
    _check_rank(incoming, name)
    with tf.name_scope(name):
        return tf.reduce_max(incoming, [1, 2])


def avg_pool_2d(incoming, kernel_size, strides=None, padding="same", name="AvgPool2D"):
    """Average pooling of [N, H, W, C]; `strides` defaults to `kernel_size`."""
    return _pool(tf.nn.avg_pool, incoming, kernel_size, strides, padding, name)


def max_pool_2d(incoming, kernel_size, strides=None, padding="same", name="MaxPool2D"):
    """Max pooling of [N, H, W, C]; `strides` defaults to `kernel_size`."""
    return _pool(tf.nn.max_pool, incoming, kernel_size, strides, padding, name)


def flatten(incoming, name: str = "Flatten"):
    """[N, ...] -> [N, features], whose number must be known."""
    features = int(np.prod(incoming.shape.as_list()[1:]))
    with tf.name_scope(name):
        return tf.reshape(incoming, [-1, features])


def leaky_relu(x, alpha: float = 0.1, name: str = "LeakyReLU"):
    """max(x, 0) + alpha * min(x, 0); tflearn's alpha is 0.1."""
    with tf.name_scope(name):
        return tf.nn.relu(x) - alpha * tf.nn.relu(-x)


def init_training_mode() -> None:
    """Makes the graph's variable `is_training`, and the ops that set it, if it has none.

    The real tflearn does so as it is imported, and so every checkpoint of its scripts has it.
    """
    if tf.executing_eagerly() or tf.get_collection("is_training"):
        return
    mode = tf.get_variable(
        "is_training", [], tf.bool, tf.constant_initializer(False), trainable=False
    )
    tf.add_to_collection("is_training", mode)
    for value in (True, False):
        tf.add_to_collection("is_training_ops", tf.assign(mode, value))


relu = tf.nn.relu
sigmoid = tf.nn.sigmoid
softmax = tf.nn.softmax
tanh = tf.tanh


def to_categorical(y, nb_classes=None) -> np.ndarray:
    """Labels as rows of a one-hot matrix, float64."""
    y = np.asarray(y, dtype="int32").reshape(-1)
    return np.eye(nb_classes or int(y.max()) + 1)[y]


def shuffle(*arrs) -> tuple:
    """The arrays, all in the same new random order."""
    arrs = [np.asarray(array) for array in arrs]
    order = np.random.permutation(len(arrs[0]))
    return tuple(array[order] for array in arrs)


def _check_rank(incoming, name: str) -> None:
    rank = incoming.shape.ndims
    if rank != 4:
        raise ValueError(f"tflearn's {name} takes a tensor of rank 4, not {rank}")


def _pool(function, incoming, kernel_size, strides, padding, name):
    _check_rank(incoming, name)
    kernel = _window(kernel_size)
    steps = kernel if strides is None else _window(strides)
    with tf.name_scope(name):
        return function(incoming, kernel, steps, padding.upper())


def _window(size) -> list[int]:
    if isinstance(size, int):
        return [1, size, size, 1]
    size = list(size)
    return size if len(size) == 4 else [1, *size, 1]


init_training_mode()
