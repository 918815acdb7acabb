"""A checkpoint written in one of the formats; what can fail early fails before the work."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from converters.formats.format import Format, Options
from converters.formats.table import FORMATS, find_format
from converters.models.resume import Recipe
from converters.recognise.recognised import Recognised
from slim_resnet.files import check_target


@dataclass(frozen=True)
class Writer:
    """Writes checkpoints to a path; made by `writer`.

    Attributes:
        format: the row of the table.
        path: what it writes.
        options: what was asked for besides.
    """

    format: Format
    path: str
    options: Options

    def __call__(self, ckpt: Recognised) -> None:
        """Writes the checkpoint, whole or not at all.

        Raises:
            CheckpointError: a weight holds NaN or infinity, or `left_out` raises it.
            OSError: it cannot be written.
        """
        with self.hidden(ckpt):
            pass

    @contextlib.contextmanager
    def hidden(self, ckpt: Recognised) -> Iterator[str]:
        """Writes the checkpoint to a hidden path, which it yields.

        When the block ends it is published under its name; after an error nothing is left.

        Raises:
            CheckpointError, OSError: as calling it.
        """
        with self.format.hidden(self.path) as path:
            self.format.write(ckpt, os.fspath(path), self.options)
            yield os.fspath(path)

    def left_out(self, ckpt: Recognised) -> list[tuple[str, list[str]]]:
        """The variables of the checkpoint that will not be written: (kind, names).

        Raises:
            CheckpointError: the optimizer is to go along, and the checkpoint has none that can.
            ValueError: the format cannot hold the checkpoint's network.
        """
        self.format.check(ckpt, self.options)
        place = self.format.place
        wanted = place is not None and (place.always or self.options.recipe is not None)
        taken = place.taken(ckpt) if wanted else set()
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
        A function of a `Recognised`.

    Raises:
        ValueError: an unknown target or suffix, or one that has no place for an optimizer, or
            whose batch norms cannot be folded.
        OSError: the folder does not exist, or `path` is a folder.
    """
    path, options = os.fspath(path), Options(recipe, fold)
    format = format_for(target, path, options)
    check_target(path)
    return Writer(format, path, options)


def format_for(target: str, path: str, options: Options) -> Format:
    """The format of a path, able to do what the options ask for.

    Raises:
        ValueError: as `writer`.
    """
    format = find_format(target, path)
    if options.fold and not format.foldable:
        foldable = ", ".join(f.target for f in FORMATS if f.foldable)
        raise ValueError(f"{path}: batch norms are folded for these targets only: {foldable}")
    if options.recipe is None:
        return format
    if format.place is None:
        places = ", ".join(
            f"{f.target} ({f.suffix})" if f.suffix else f.target for f in FORMATS if f.place
        )
        raise ValueError(
            f"{path}: such a file has no place for an optimizer; these targets have: {places}"
        )
    if format.place.needs_rate and options.recipe.learning_rate is None:
        raise ValueError(
            f"{path}: a checkpoint does not tell the learning rate at which its training goes on: "
            "say --learning-rate"
        )
    return format
