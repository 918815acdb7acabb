"""TensorFlow 1.x checkpoints, V1 and V2, read with nothing but NumPy.

weights = open_checkpoint("model.ckpt-60")
weights["resnet_v1_50/conv1/weights"]  # read-only array [7, 7, 3, 64]
"""

from __future__ import annotations

import os

from converters.files.checkpoint.bundle import open_bundle
from converters.files.checkpoint.pieces import Variable
from converters.files.checkpoint.state import missing, resolve, v1_files
from converters.files.checkpoint.v1 import open_v1
from converters.files.errors import CheckpointError
from converters.files.graph_files import read_graph, read_meta
from converters.files.graphdef import Graph
from converters.files.weights_file import WeightsFile

__all__ = ["CheckpointError", "open_checkpoint"]

_META = ".meta"
_TEXT = "graph.pbtxt"
_MOST_LISTED = 3


def open_checkpoint(
    path: str | os.PathLike[str], *, step: int | None = None, verify: bool = False
) -> WeightsFile:
    """Opens a TensorFlow checkpoint; its values are read when asked for.

    Every file must be there and as long as its variables need, so a checkpoint that was cut short
    is found here. A V1 file and any index are always checked against their checksums, as they are
    read; the data of V2 only by `verify`. Arrays of a V2 checkpoint are views of the file (and so
    may be unaligned), but for partitioned variables, bfloat16 and big-endian values.

    Args:
        path: a prefix ("model.ckpt-60"), any file of a checkpoint (.index, .meta, a data shard,
            a V1 file or shard), or a folder with a `checkpoint` file, or that file. A path in it
            that belongs to another machine is looked for in the folder, by its last part.
        step: which checkpoint of the folder to open ("model.ckpt-STEP"), instead of its latest.
        verify: whether to check the checksums of all values now.

    Returns:
        The variables by name; `graph` reads the `.meta` or `graph.pbtxt` beside them.

    Raises:
        CheckpointError: if there is no such checkpoint or it is damaged. It names the file, the
            variable if one is concerned, and the remedy.
    """
    prefix = resolve(os.fsdecode(path), step)
    if os.path.isfile(prefix + ".index"):
        stem, format = prefix, "tf-v2"
        files, variables = open_bundle(prefix)
    else:
        stem, format = v1_files(prefix)[0], "tf-v1"
        files = tuple(v1_files(prefix)[1])
        if not files:
            raise missing(prefix)
        variables = open_v1(stem, list(files))
    entries = {name: variable.entry() for name, variable in variables.items()}
    weights = WeightsFile(
        stem, format, files, entries, graph=lambda: graph_beside(stem), notes=_notes(variables)
    )
    if verify:
        weights.verify()
    return weights


def graph_beside(stem: str) -> Graph | None:
    """The graph in the `.meta` that a Saver left beside a checkpoint, None where there is none.

    Without a `.meta` it is that of `graph.pbtxt`, which Supervisors, MonitoredSessions and
    Estimators leave in the folder of a training.

    Raises:
        CheckpointError: it is damaged.
    """
    if os.path.isfile(stem + _META):
        return read_meta(stem + _META)
    text = os.path.join(os.path.dirname(stem), _TEXT)
    return read_graph(text) if os.path.isfile(text) else None


def _notes(variables: dict[str, Variable]) -> tuple[str, ...]:
    damaged = [name for name, variable in variables.items() if variable.damage]
    if not damaged:
        return ()
    listed = ", ".join(damaged[:_MOST_LISTED]) + (", ..." if damaged[_MOST_LISTED:] else "")
    return (
        f"{len(damaged)} variables were written incompletely and cannot be read: {listed} "
        f"({variables[damaged[0]].damage})",
    )
