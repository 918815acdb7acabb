"""Finding the checkpoint to go on from, whatever state a killed process left."""

from __future__ import annotations

import os
import pathlib
import re

from slim_resnet.compat import tf

BASENAME = "model.ckpt"
_INDEX = re.compile(rf"^{re.escape(BASENAME)}-(\d+)\.index$")
# What a killed Saver leaves: the names under which it writes before it renames.
_PARTIAL = re.compile(rf"^{re.escape(BASENAME)}-\d+\..*tempstate|^{re.escape(BASENAME)}-\d+_temp")


def checkpoints(folder: str | os.PathLike) -> dict[int, str]:
    """Step -> prefix of the checkpoints in a folder, the oldest first; whole or not."""
    found = {}
    for path in pathlib.Path(folder).iterdir():
        match = _INDEX.match(path.name)
        if match:
            found[int(match[1])] = str(path.with_suffix(""))
    return dict(sorted(found.items()))


def is_whole(prefix: str) -> bool:
    """Whether every variable can be read and matches its checksum."""
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except Exception:  # the reader has a different one for each way to be broken
        return False
    return True


def prepare(folder: str | os.PathLike) -> tuple[int | None, list[str], list[str]]:
    """Has the file `checkpoint` name the last whole checkpoint, and clears away what is partial.

    Args:
        folder: the training's folder.

    Returns:
        step: of the last whole checkpoint, None when there is none.
        kept: the prefixes up to it, the oldest first.
        broken: the prefixes after it, whose files are renamed to begin with "broken-".
    """
    folder = pathlib.Path(folder)
    for path in folder.iterdir():
        if _PARTIAL.match(path.name) and path.is_file():
            path.unlink()
    found = checkpoints(folder)
    broken = []
    while found and not is_whole(found[max(found)]):
        broken.append(found.pop(max(found)))
    for prefix in broken:
        _set_aside(folder, pathlib.Path(prefix).name)
    kept = list(found.values())
    if kept:
        tf.train.update_checkpoint_state(
            str(folder), kept[-1], [os.path.basename(prefix) for prefix in kept]
        )
    elif (folder / "checkpoint").exists():
        (folder / "checkpoint").unlink()
    return (max(found) if found else None), kept, broken


def _set_aside(folder: pathlib.Path, name: str) -> None:
    for path in list(folder.iterdir()):
        if path.name.startswith(f"{name}."):
            path.rename(folder / f"broken-{path.name}")
