"""Read TensorFlow 1.x checkpoints, V1 and V2, with nothing but NumPy.

weights = open_checkpoint("model.ckpt-60")
weights["resnet_v1_50/conv1/weights"]  # read-only array [7, 7, 3, 64]
"""

from __future__ import annotations

import os

from converters.files.checkpoint.bundle import open_bundle
from converters.files.checkpoint.state import missing, resolve, v1_files
from converters.files.checkpoint.v1 import open_v1
from converters.files.errors import CheckpointError
from converters.files.tensorfile import TensorFile

__all__ = ["CheckpointError", "TensorFile", "open_checkpoint"]


def open_checkpoint(
    path: str | os.PathLike[str], *, step: int | None = None, verify: bool = False
) -> TensorFile:
    """Open a TensorFlow checkpoint; its values are read when asked for.

    Every file must be there and as long as its variables need, so a checkpoint that was cut short
    is found here. A V1 file and any index are always checked against their checksums, as they are
    read; the data of V2 only by `verify`.

    Args:
        path: a prefix ("model.ckpt-60"), any file of a checkpoint (.index, .meta, a data shard,
            a V1 file or shard), or a folder with a `checkpoint` file, or that file. A path in it
            that belongs to another machine is looked for in the folder, by its last part.
        step: which checkpoint of the folder to open ("model.ckpt-STEP"), instead of its latest.
        verify: whether to check the checksums of all values now.

    Returns:
        The mapping of variable names to arrays.

    Raises:
        CheckpointError: if there is no such checkpoint or it is damaged. It names the file, the
            variable if one is concerned, and the remedy.
    """
    prefix = resolve(os.fsdecode(path), step)
    if os.path.isfile(prefix + ".index"):
        weights = open_bundle(prefix)
    else:
        stem, files = v1_files(prefix)
        if not files:
            raise missing(prefix)
        weights = open_v1(stem, files)
    if verify:
        weights.verify()
    return weights
