"""A `Network` as a TensorFlow 1 graph for inference, with variables as the checkpoint names them.

Every layer is one operation under the name that the user's graph gave it; what it needs besides
lies below that name. A plain `Saver` restores the user's checkpoint. No operation is newer than
TensorFlow 1.15 (`slim_resnet.tf115` takes care of attributes), and all of them run on a CPU.

`build` adds the network to the default graph, `session` gives one with the weights in it; `frozen`
and `write_saved_model` write it.
"""

from converters.models.network_tf.building import Built, build
from converters.models.network_tf.exports import frozen, write_saved_model
from converters.models.network_tf.sessions import session

__all__ = ["Built", "build", "frozen", "session", "write_saved_model"]
