"""Writers of converted models; every file is whole or not there."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from converters.files.checkpoint.writer import write_bundle
from converters.files.keras_weights import KERAS_METADATA
from converters.formats import libraries as exchange
from converters.formats import portable
from converters.formats.safetensors_file import write_safetensors
from converters.models import resume
from converters.models.resume import Recipe
from converters.models.targets import to_keras, to_torch, torch_views
from converters.recognise.assumptions import metadata
from converters.recognise.checkpoint import SlimCheckpoint
from slim_resnet.files import atomic_path, check_target
from slim_resnet.frameworks import require


@dataclass(frozen=True)
class Writer:
    """Writes checkpoints to a path; made by `writer`.

    Attributes:
        target: one of `targets()`.
        path: what it writes.
        suffix: the format, one of `suffixes(target)`.
        recipe: with which the optimizer goes along; None: it does not.
        fold: whether batch norms go into the convolutions before them.
    """

    target: str
    path: str
    suffix: str
    recipe: Recipe | None = None
    fold: bool = False

    def __call__(self, ckpt: SlimCheckpoint) -> None:
        """Writes the checkpoint, whole or not at all.

        Raises:
            CheckpointError: a weight holds NaN or infinity, or `left_out` raises it.
            OSError: it cannot be written.
        """
        write = _WRITERS[self.target, self.suffix]
        options = {"recipe": self.recipe, "fold": self.fold}
        options = {name: value for name, value in options.items() if value}
        if not self.suffix:  # several files, or a folder: whole by its own means
            write(ckpt, self.path, **options)
            return
        with atomic_path(self.path) as temporary:
            write(ckpt, os.fspath(temporary), **options)

    def left_out(self, ckpt: SlimCheckpoint) -> list[tuple[str, list[str]]]:
        """The variables of the checkpoint that will not be written: (kind, names).

        Raises:
            CheckpointError: the optimizer is to go along, and the checkpoint has none that can.
            ValueError: the target is another library, and has no model that computes the same.
        """
        if self.target in exchange.LIBRARIES:
            exchange.check_model(ckpt.arch, self.target)
        taken = set()
        if self.recipe is not None or self.target == "slim":  # which holds all of training anyway
            taken = _WITH_OPTIMIZER[self.target, self.suffix].taken(ckpt)
        kept = [(kind, [n for n in names if n not in taken]) for kind, names in ckpt.left_out()]
        return [(kind, names) for kind, names in kept if names]


def writer(
    target: str, path: str | os.PathLike, recipe: Recipe | None = None, *, fold: bool = False
) -> Writer:
    """The function that writes a checkpoint to `path`; what can fail early fails here.

    Args:
        target: one of `targets()`.
        path: what to write; its suffix chooses among the target's formats (`suffixes`). A `slim`
            checkpoint is named by its prefix, a `saved_model` by its folder.
        recipe: how training goes on, so that the optimizer goes along; None: it stays behind.
        fold: whether batch norms go into the convolutions before them: of TensorFlow 1's targets.

    Returns:
        A function of a `SlimCheckpoint`.

    Raises:
        ValueError: an unknown target or suffix, or one that has no place for an optimizer, or
            whose batch norms cannot be folded.
        OSError: the folder does not exist, or `path` is a folder.
    """
    path = os.fspath(path)
    suffix = suffix_of(target, path, recipe, fold=fold)
    check_target(path)
    return Writer(target, path, suffix, recipe, fold)


def suffix_of(target: str, path: str, recipe: Recipe | None = None, *, fold: bool = False) -> str:
    """The one of the target's suffixes that `path` has.

    Raises:
        ValueError: as `writer`.
    """
    known = suffixes(target)
    suffix = next((s for s in known if path.endswith(s)), None)
    if suffix is None:
        raise ValueError(f"{path}: a {target} file ends in {' or '.join(known)}")
    if fold and target not in _FOLDABLE:
        raise ValueError(
            f"{path}: batch norms are folded for these targets only: {', '.join(_FOLDABLE)}"
        )
    if recipe is None:
        return suffix
    if (target, suffix) not in _WITH_OPTIMIZER:
        places = ", ".join(f"{t} ({s})" if s else t for t, s in _WITH_OPTIMIZER)
        raise ValueError(
            f"{path}: such a file has no place for an optimizer; these targets have: {places}"
        )
    if _WITH_OPTIMIZER[target, suffix].needs_rate and recipe.learning_rate is None:
        raise ValueError(
            f"{path}: a checkpoint does not tell the learning rate at which its training goes on: "
            "say --learning-rate"
        )
    return suffix


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


def usual_suffix(target: str, recipe: Recipe | None = None) -> str:
    """The suffix of a file that is named after its source; with a recipe, one with a place for it.

    Raises:
        ValueError: an unknown target.
    """
    known = suffixes(target)
    places = [s for s in known if (target, s) in _WITH_OPTIMIZER]
    return (places if recipe is not None and places else known)[0]


def frozen_target(path: str | os.PathLike) -> str:
    """What freezing into `path` writes: "frozen", a GraphDef, or into a folder a "saved_model"."""
    return "frozen" if os.fspath(path).endswith(suffixes("frozen")) else "saved_model"


def write_checkpoint(ckpt: SlimCheckpoint, prefix: str | os.PathLike) -> None:
    """Writes every variable of `ckpt` as a V2 checkpoint that a plain `Saver` restores.

    With the moving averages as weights, the network's variables hold those. Strings, such as the
    object graph that TensorFlow 2 puts into a checkpoint, are left out.

    Args:
        ckpt: from `load_checkpoint`, `transcode` or `exchange.from_state`.
        prefix: the path of the checkpoint, without suffix.

    Raises:
        CheckpointError: a weight holds NaN or infinity.
        OSError: the folder does not exist, or the files cannot be written.
    """
    check_target(prefix)
    write_bundle(prefix, _Everything(ckpt))


class _Everything(Mapping[str, np.ndarray]):
    """The variables of a checkpoint that can be written, read when asked for."""

    def __init__(self, ckpt: SlimCheckpoint):
        self._ckpt = ckpt
        self._names = [name for name in ckpt if not ckpt.file.dtype(name).hasobject]
        averages = ckpt.stored() if ckpt.averaged else {}
        self._averages = {ckpt.full_name(name): value for name, value in averages.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        return self._averages[name] if name in self._averages else self._ckpt[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _write_slim(ckpt: SlimCheckpoint, prefix: str, recipe: Recipe | None = None) -> None:
    write_checkpoint(ckpt, prefix)  # the optimizer is in it anyway


def _write_safetensors(ckpt: SlimCheckpoint, path: str) -> None:
    write_safetensors(torch_views(ckpt), path, {"format": "pt", **metadata(ckpt)})


def _write_pt(ckpt: SlimCheckpoint, path: str, recipe: Recipe | None = None) -> None:
    torch = require("torch")
    net = to_torch(ckpt)
    saved = {"metadata": metadata(ckpt), "state_dict": net.state_dict()}
    if recipe is not None:
        saved["optimizer"] = resume.torch_optimizer(ckpt, net, recipe).state_dict()
        saved["global_step"] = ckpt.global_step
    torch.save(saved, path)


def _write_keras(ckpt: SlimCheckpoint, path: str, recipe: Recipe | None = None) -> None:
    model = to_keras(ckpt)
    if recipe is not None:
        resume.compile_keras(ckpt, model, recipe)
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:  # Keras looks at its own members only
        archive.writestr(KERAS_METADATA, json.dumps(metadata(ckpt)))


def _write_keras_weights(ckpt: SlimCheckpoint, path: str) -> None:
    to_keras(ckpt).save_weights(path)


def _write_npz(ckpt: SlimCheckpoint, path: str, recipe: Recipe | None = None) -> None:
    portable.write_npz(ckpt, path, () if recipe is None else sorted(_training(ckpt)))


_WRITERS = {
    ("torch", ".safetensors"): _write_safetensors,
    ("torch", ".pt"): _write_pt,
    ("keras", ".keras"): _write_keras,
    ("keras", ".weights.h5"): _write_keras_weights,
    ("slim", ""): _write_slim,
    ("saved_model", ""): portable.write_saved_model,
    **portable.WRITERS,
    ("npz", ".npz"): _write_npz,
}


def _training(ckpt: SlimCheckpoint) -> set[str]:
    """The variables of training, whatever its optimizer was."""
    kinds = ("optimizer slots", "training state")
    return {name for kind in kinds for name in ckpt.auxiliary.get(kind, ())}


def _everything(ckpt: SlimCheckpoint) -> set[str]:
    """All variables but those that their moving averages replace."""
    model = {ckpt.full_name(variable.name) for variable in ckpt.arch.variables}
    return set(_Everything(ckpt)) - (model if ckpt.averaged else set())


@dataclass(frozen=True)
class _Place:
    """A place for an optimizer: which variables go there, and whether it needs a learning rate."""

    taken: Callable[[SlimCheckpoint], set[str]]
    needs_rate: bool


_FOLDABLE = ("frozen", "saved_model")

_WITH_OPTIMIZER = {
    ("torch", ".pt"): _Place(resume.carried, needs_rate=True),
    ("keras", ".keras"): _Place(resume.carried, needs_rate=True),
    ("npz", ".npz"): _Place(_training, needs_rate=False),
    ("slim", ""): _Place(_everything, needs_rate=False),
}
