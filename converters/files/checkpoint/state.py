"""From what a caller names (a folder, a `checkpoint` file, any file of a checkpoint) to files.

Source: TensorFlow's `python/training/checkpoint_state.proto` and
`python/checkpoint/checkpoint_management.py`.
"""

from __future__ import annotations

import os
import re
from difflib import get_close_matches

from converters.files.errors import CheckpointError, Malformed, blame
from converters.files.escapes import unescape
from converters.files.memory_maps import mapped
from converters.files.wire import decode

_STATE_NAME = "checkpoint"
_MAX_STATE_SIZE = 1 << 24  # bytes; it is a few lines of text
_MAX_LISTED = 5

_COMPANION = re.compile(r"\.(?:index|meta|data-\d{5}-of-\d{5})$")
# A shard of a V1 checkpoint; the name that Saver returns for all of them has question marks.
_V1_SHARD = re.compile(r"(?<!\.data)-(?:\d{5}|\?{5})-of-(\d{5})$")

_STATE_PATH = re.compile(
    rb"""(?<!\w)model_checkpoint_path[ \t]*:[ \t]*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
)
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:|\w+://")  # on any machine: C:\..., gs://...


def resolve(path: str, step: int | None) -> str:
    """The prefix (or V1 file) of the checkpoint that `path` and `step` mean.

    Raises:
        CheckpointError: if the folder or its `checkpoint` file does not tell.
    """
    folder, name = os.path.split(path)
    if os.path.isdir(path):
        folder = path
    elif name != _STATE_NAME or not os.path.isfile(path):
        if step is not None:
            raise CheckpointError(f"{path}: only a folder has steps; give the folder, or no step.")
        return _COMPANION.sub("", path)
    return _prefix_in_state(folder) if step is None else _prefix_of_step(folder, step)


def v1_files(prefix: str) -> tuple[str, list[str]]:
    """The V1 checkpoint at `prefix`: its name without a shard's number, and its files, if any.

    Raises:
        CheckpointError: if shards of several checkpoints go by that name.
    """
    stem = _V1_SHARD.sub("", prefix)
    if stem == prefix and os.path.isfile(prefix):
        return prefix, [prefix]
    counts = set(_V1_SHARD.findall(prefix)) or {
        count
        for name in _listdir(os.path.dirname(stem))
        if _V1_SHARD.sub("", name) == os.path.basename(stem)
        for count in _V1_SHARD.findall(name)
    }
    if len(counts) > 1:
        raise CheckpointError(
            f"{stem}: it was saved with {' and with '.join(sorted(counts))} shards; "
            "give one of the shards instead of the prefix."
        )
    return stem, [f"{stem}-{n:05d}-of-{count}" for count in counts for n in range(int(count))]


def missing(prefix: str) -> CheckpointError:
    """The error for a prefix without files: what was looked for, and what there is instead."""
    folder, name = os.path.split(prefix)
    data = sorted(n for n in _listdir(folder) if n.startswith(f"{name}.data-"))
    if data:
        return CheckpointError(
            f"{prefix}.index: it is missing, and without it nothing tells what lies in {data[0]}: "
            "copy it from where the checkpoint was saved."
        )
    if os.path.isdir(f"{prefix}_temp_") or any(
        n.startswith(f"{name}_temp_") for n in _listdir(folder)
    ):
        return CheckpointError(
            f"{prefix}: the saving was interrupted before its parts (in {name}_temp_...) were "
            "merged: take an earlier checkpoint."
        )
    return CheckpointError(
        f"{prefix}: there is no such checkpoint: looked for {prefix}.index (V2), {prefix} and "
        f"{prefix}-00000-of-0000N (V1); {_similar(*os.path.split(prefix))}."
    )


def _prefix_in_state(folder: str) -> str:
    """The latest checkpoint by the `checkpoint` file of `folder`, a CheckpointState as text."""
    path = os.path.join(folder, _STATE_NAME)
    if not os.path.isfile(path):
        raise CheckpointError(
            f"{path}: the folder has no such file to say which checkpoint is the latest; "
            f"{_similar(folder)}."
        )
    with blame(path):
        data = mapped(path)
        if len(data) > _MAX_STATE_SIZE:
            raise Malformed("it is too large for the list of checkpoints TensorFlow writes")
        match = _STATE_PATH.search(data)
        if match is None:
            raise Malformed("it names no model_checkpoint_path", "give a checkpoint's own prefix")
        return os.path.join(folder, _inside(folder, decode(unescape(match[1][1:-1]))))


def _prefix_of_step(folder: str, step: int) -> str:
    """The checkpoint of `folder` with the number `step`."""
    names = [name for name in _prefixes(folder) if name.endswith(f"-{step}")]
    if len(names) != 1:
        count = len(names) or "no"
        raise CheckpointError(
            f"{folder}: it has {count} checkpoints of step {step}; {_similar(folder)}."
        )
    return os.path.join(folder, names[0])


def _inside(folder: str, path: str) -> str:
    """`path` of a `checkpoint` file, relative to `folder`, out of which it must not lead."""
    steps = re.split(r"[/\\]", path)
    if ".." in steps or not steps[-1]:
        raise Malformed(
            f"its model_checkpoint_path {path!r} does not name a checkpoint inside the folder",
            "correct it, or give the checkpoint's own prefix",
        )
    path = path.removeprefix(os.path.join(os.path.abspath(folder), ""))
    return steps[-1] if _ABSOLUTE.match(path) else path  # a path of another machine: its last part


def _prefixes(folder: str) -> list[str]:
    """What looks like a checkpoint's prefix or V1 file in `folder`, sorted."""
    names = _listdir(folder)
    v2 = {name.removesuffix(".index") for name in names if name.endswith(".index")}
    v1 = {_V1_SHARD.sub("", name) for name in names if "ckpt" in name or _V1_SHARD.search(name)}
    return sorted(v2 | {name for name in v1 if not _COMPANION.search(name)})


def _similar(folder: str, name: str = "") -> str:
    """A clause that says which checkpoints `folder` holds, those most like `name` first."""
    names = _prefixes(folder)
    shown = get_close_matches(name, names, _MAX_LISTED, 0) if name else names[-_MAX_LISTED:]
    if not shown:
        return f"the folder {folder or os.curdir} holds no checkpoint, so check the path"
    return f"give one of those the folder {folder or os.curdir} holds: {', '.join(shown)}"


def _listdir(folder: str) -> list[str]:
    try:
        return os.listdir(folder or os.curdir)
    except (OSError, ValueError):  # ValueError: a NUL character in the name
        return []
