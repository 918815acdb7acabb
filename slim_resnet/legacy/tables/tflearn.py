"""tflearn: its functions that are in `slim_resnet.legacy.replacements.tflearn`."""

from __future__ import annotations

from slim_resnet.legacy.tables.notation import moved

_TFLEARN = "slim_resnet.legacy.replacements.tflearn"

SUCCESSORS = {
    **{
        f"tflearn.{module}{name}": f"{_TFLEARN}.{name}"
        for name, modules in {
            "avg_pool_2d": ("", "layers.conv."),
            "flatten": ("", "layers.core."),
            "global_avg_pool": ("", "layers.conv."),
            "global_max_pool": ("", "layers.conv."),
            "max_pool_2d": ("", "layers.conv."),
        }.items()
        for module in modules
    },
    "tflearn.config.init_training_mode": f"{_TFLEARN}.init_training_mode",
    **moved("tflearn.activations", "leaky_relu relu sigmoid softmax tanh", _TFLEARN),
    **moved("tflearn.data_utils", "shuffle to_categorical", _TFLEARN),
}

REMEDIES = {
    "tflearn": "tflearn is not installed, and of it only a few functions without variables are "
    "here (see slim_resnet.legacy.replacements.tflearn); use tf.layers",
}
