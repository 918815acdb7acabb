"""The moving statistics of batch norms, as a training left them."""

from __future__ import annotations

import numpy as np

from converters.recognise.recognised import Recognised

NEVER_MOVED = (
    "Every moving mean is 0 and every moving variance 1, as they are initialised: no training ran "
    "tf.GraphKeys.UPDATE_OPS, so what inference computes is not what training saw."
)


def were_never_moved(ckpt: Recognised) -> bool:
    """Whether a network's moving statistics, if it has any, are what they are initialised with."""
    names = [
        name
        for name, is_trainable in ckpt.model_variables.items()
        if not is_trainable and name in ckpt and len(ckpt.file.shape(name)) == 1
    ]
    return bool(names) and all(np.isin(ckpt[name], (0, 1)).all() for name in names)
