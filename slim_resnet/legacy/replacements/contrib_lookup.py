"""`tf.contrib.lookup`'s tables, whose parameters have other names today."""

from __future__ import annotations

from tensorflow.python.ops import lookup_ops

from slim_resnet.compat import tf
from slim_resnet.legacy.replacements.keywords import renamed

index_table_from_tensor = renamed(lookup_ops.index_table_from_tensor, mapping="vocabulary_list")
index_to_string_table_from_tensor = renamed(
    lookup_ops.index_to_string_table_from_tensor, mapping="vocabulary_list"
)


def HashTable(initializer, default_value, shared_name=None, name=None):  # noqa: N802
    """`tf.lookup.StaticHashTable` with contrib's third parameter, which must be left out."""
    if shared_name is not None:
        raise NotImplementedError(
            "tf.contrib.lookup.HashTable: today's tables have no shared_name; leave it out"
        )
    return tf.lookup.StaticHashTable(initializer, default_value, name=name)
