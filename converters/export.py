"""Writers of converted models; every file is whole or not there."""

from __future__ import annotations

import os
from collections.abc import Callable

from safetensors.numpy import save_file

from slim_resnet.files import atomic_path, check_target
from slim_resnet.frameworks import require

from .checkpoint.writer import write_bundle
from .slim_checkpoint import SlimCheckpoint
from .targets import to_keras, to_torch, torch_state

# Key of the metadata under which a torch file carries its architecture.
ARCH_KEY = "slim_resnet.arch"

Writer = Callable[[SlimCheckpoint], None]


def writer(target: str, path: str | os.PathLike) -> Writer:
    """The function that writes a checkpoint to `path`; what can fail early fails here.

    Args:
        target: "torch" (`.safetensors` or `.pt`) or "keras" (`.keras`, or the weights alone as
            `.weights.h5`).
        path: the file to write; its suffix chooses the format.

    Returns:
        A function of a `SlimCheckpoint`.

    Raises:
        ValueError: an unknown target or suffix.
        OSError: the folder does not exist, or `path` is a folder.
    """
    path = os.fspath(path)
    suffixes = {suffix: write for (name, suffix), write in _WRITERS.items() if name == target}
    if not suffixes:
        raise ValueError(f"unknown target {target!r}: use {', '.join(targets())}")
    write = next((w for suffix, w in suffixes.items() if path.endswith(suffix)), None)
    if write is None:
        raise ValueError(f"{path}: a {target} file ends in {' or '.join(suffixes)}")
    check_target(path)

    def write_whole(ckpt: SlimCheckpoint) -> None:
        with atomic_path(path) as temporary:
            write(ckpt, os.fspath(temporary))

    return write_whole


def write_checkpoint(ckpt: SlimCheckpoint, prefix: str | os.PathLike) -> None:
    """Writes every variable of `ckpt` as a V2 checkpoint that a plain `Saver` restores.

    Args:
        ckpt: from `load_checkpoint` or `transcode`.
        prefix: the path of the checkpoint, without suffix.

    Raises:
        OSError: the folder does not exist, or the files cannot be written.
    """
    check_target(prefix)
    write_bundle(prefix, ckpt)


def targets() -> tuple[str, ...]:
    """The names that `writer` knows."""
    return tuple(dict.fromkeys(name for name, _ in _WRITERS))


def metadata(ckpt: SlimCheckpoint) -> dict[str, str]:
    """What a converted file says of itself."""
    found = {ARCH_KEY: ckpt.arch.grouped.to_json(), "source": os.path.basename(ckpt.path)}
    if ckpt.global_step is not None:
        found["global_step"] = str(ckpt.global_step)
    return found


def _write_safetensors(ckpt: SlimCheckpoint, path: str) -> None:
    save_file(torch_state(ckpt), path, metadata={"format": "pt", **metadata(ckpt)})


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
}
