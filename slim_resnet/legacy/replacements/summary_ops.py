"""`tf.contrib.deprecated`: the summaries of before 1.0, whose tags are not the ops' names."""

from __future__ import annotations

from tensorflow.python.ops import gen_logging_ops

from slim_resnet.compat import tf


def scalar_summary(tags, values, collections=None, name: str | None = None):
    """A summary of scalars: a tag for each value, of the same shape."""
    with tf.name_scope(name, "ScalarSummary", [tags, values]) as scope:
        made = gen_logging_ops.scalar_summary(tags=tags, values=values, name=scope)
    return _collected(made, collections)


def histogram_summary(tag, values, collections=None, name: str | None = None):
    """A summary of how values are distributed."""
    with tf.name_scope(name, "HistogramSummary", [tag, values]) as scope:
        made = gen_logging_ops.histogram_summary(tag=tag, values=values, name=scope)
    return _collected(made, collections)


def image_summary(tag, tensor, max_images: int = 3, collections=None, name: str | None = None):
    """A summary of images: [N, H, W, 1, 3 or 4], uint8 or float32."""
    with tf.name_scope(name, "ImageSummary", [tag, tensor]) as scope:
        made = gen_logging_ops.image_summary(
            tag=tag, tensor=tensor, max_images=max_images, name=scope
        )
    return _collected(made, collections)


def audio_summary(tag, tensor, sample_rate, max_outputs: int = 3, collections=None, name=None):
    """A summary of sounds: [N, frames] or [N, frames, channels], float32 in [-1, 1]."""
    with tf.name_scope(name, "AudioSummary", [tag, tensor]) as scope:
        made = gen_logging_ops.audio_summary_v2(
            tag=tag, tensor=tensor, sample_rate=sample_rate, max_outputs=max_outputs, name=scope
        )
    return _collected(made, collections)


def _collected(summary, collections):
    for collection in [tf.GraphKeys.SUMMARIES] if collections is None else collections:
        tf.add_to_collection(collection, summary)
    return summary
