"""Writers of converted models; every file is whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable

from slim_resnet.files import atomic_path, check_target
from slim_resnet.frameworks import require

from . import portable
from .checkpoint.writer import write_bundle
from .metadata import metadata
from .safetensors_file import write_safetensors
from .slim_checkpoint import SlimCheckpoint
from .targets import to_keras, to_torch, torch_views

Writer = Callable[[SlimCheckpoint], None]


def writer(target: str, path: str | os.PathLike) -> Writer:
    """The function that writes a checkpoint to `path`; what can fail early fails here.

    Args:
        target: one of `targets()`.
        path: what to write; its suffix chooses among the target's formats (`suffixes`). A `slim`
            checkpoint is named by its prefix, a `saved_model` by its folder.

    Returns:
        A function of a `SlimCheckpoint`.

    Raises:
        ValueError: an unknown target or suffix.
        OSError: the folder does not exist, or `path` is a folder.
    """
    path = os.fspath(path)
    known = suffixes(target)
    suffix = next((s for s in known if path.endswith(s)), None)
    if suffix is None:
        raise ValueError(f"{path}: a {target} file ends in {' or '.join(known)}")
    check_target(path)
    write = _WRITERS[target, suffix]

    def write_whole(ckpt: SlimCheckpoint) -> None:
        if not suffix:  # several files, or a folder: whole by its own means
            write(ckpt, path)
            return
        with atomic_path(path) as temporary:
            write(ckpt, os.fspath(temporary))

    return write_whole


def targets() -> tuple[str, ...]:
    """The names that `writer` knows."""
    return tuple(dict.fromkeys(name for name, _ in _WRITERS))


def suffixes(target: str) -> tuple[str, ...]:
    """The suffixes of a target's formats; "" where the name is the user's own.

    Raises:
        ValueError: an unknown target.
    """
    found = tuple(suffix for name, suffix in _WRITERS if name == target)
    if not found:
        raise ValueError(f"unknown target {target!r}: use {', '.join(targets())}")
    return found


def write_checkpoint(ckpt: SlimCheckpoint, prefix: str | os.PathLike) -> None:
    """Writes every variable of `ckpt` as a V2 checkpoint that a plain `Saver` restores.

    Args:
        ckpt: from `load_checkpoint`, `transcode` or `exchange.from_state`.
        prefix: the path of the checkpoint, without suffix.

    Raises:
        OSError: the folder does not exist, or the files cannot be written.
    """
    check_target(prefix)
    write_bundle(prefix, ckpt)


def _write_safetensors(ckpt: SlimCheckpoint, path: str) -> None:
    write_safetensors(torch_views(ckpt), path, {"format": "pt", **metadata(ckpt)})


def _write_pt(ckpt: SlimCheckpoint, path: str) -> None:
    torch = require("torch")
    torch.save({"metadata": metadata(ckpt), "state_dict": to_torch(ckpt).state_dict()}, path)


def _write_keras(ckpt: SlimCheckpoint, path: str) -> None:
    to_keras(ckpt).save(path)


def _write_keras_weights(ckpt: SlimCheckpoint, path: str) -> None:
    to_keras(ckpt).save_weights(path)


_WRITERS = {
    ("torch", ".safetensors"): _write_safetensors,
    ("torch", ".pt"): _write_pt,
    ("keras", ".keras"): _write_keras,
    ("keras", ".weights.h5"): _write_keras_weights,
    ("slim", ""): write_checkpoint,
    ("saved_model", ""): portable.write_saved_model,
    **portable.WRITERS,
}
