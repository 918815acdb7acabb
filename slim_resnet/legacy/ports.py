"""Heirs whose parameters have other names than contrib's, under the old names."""

from __future__ import annotations

import functools

from tensorflow.python.ops import lookup_ops

from slim_resnet.compat import tf


def _renamed(function, **today: str):
    """`function`, taking the keywords that are the keys of `today`."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **{today.get(name, name): kwargs[name] for name in kwargs})

    return wrapper


init_from_checkpoint = _renamed(tf.train.init_from_checkpoint, checkpoint_dir="ckpt_dir_or_file")
list_variables = _renamed(tf.train.list_variables, checkpoint_dir="ckpt_dir_or_file")
load_checkpoint = _renamed(tf.train.load_checkpoint, filepattern="ckpt_dir_or_file")
load_variable = _renamed(tf.train.load_variable, checkpoint_dir="ckpt_dir_or_file")
index_table_from_tensor = _renamed(lookup_ops.index_table_from_tensor, mapping="vocabulary_list")
index_to_string_table_from_tensor = _renamed(
    lookup_ops.index_to_string_table_from_tensor, mapping="vocabulary_list"
)


def HashTable(initializer, default_value, shared_name=None, name=None):  # noqa: N802
    """`tf.lookup.StaticHashTable` with contrib's third parameter, which must be left out."""
    if shared_name is not None:
        raise NotImplementedError(
            "tf.contrib.lookup.HashTable: today's tables have no shared_name; leave it out"
        )
    return tf.lookup.StaticHashTable(initializer, default_value, name=name)
