"""Small graphs, compared in their canonical forms."""

from __future__ import annotations

from slim_resnet.compat import tf
from slim_resnet.regression.canonical import canonicalize
from slim_resnet.regression.graph_diff import compare


def build(function, shape=(None, None, None, 3)):
    """A graph that holds `function` of the placeholder "images", and the op at its end."""
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, shape, name="images")
        result = function(images)
        return graph, (tf.add(*result) if isinstance(result, list) else result).op


def differences(now, then, **kwargs):
    """The differences between two functions of images, as text."""
    forms = [canonicalize(graph, {"net": op}) for graph, op in (build(now, **kwargs), build(then))]
    return [str(difference) for difference in compare(*forms)]
