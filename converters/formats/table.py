"""THE table of the formats that models are written in, and the look-ups in it."""

from __future__ import annotations

import os

from converters.formats import (
    array_formats,
    keras_formats,
    onnx_format,
    state_dicts,
    tensorflow_formats,
    torch_formats,
    torch_source,
)
from converters.formats.format import Format
from converters.models.resume import Recipe

FORMATS: tuple[Format, ...] = (
    *torch_formats.FORMATS,
    *keras_formats.FORMATS,
    *tensorflow_formats.FORMATS,
    *state_dicts.FORMATS,
    *onnx_format.FORMATS,
    *array_formats.FORMATS,
    *torch_source.FORMATS,
)


def targets() -> tuple[str, ...]:
    """What users call the formats, each once."""
    return tuple(dict.fromkeys(format.target for format in FORMATS))


def formats_of(target: str) -> tuple[Format, ...]:
    """The formats of a target, the usual one first.

    Raises:
        ValueError: an unknown target.
    """
    found = tuple(format for format in FORMATS if format.target == target)
    if not found:
        raise ValueError(f"unknown target {target!r}: use {', '.join(targets())}")
    return found


def suffixes(target: str) -> tuple[str, ...]:
    """The suffixes of a target's formats; "" where the name is the user's own.

    Raises:
        ValueError: an unknown target.
    """
    return tuple(format.suffix for format in formats_of(target))


def find_format(target: str, path: str) -> Format:
    """The one of the target's formats whose suffix `path` has.

    Raises:
        ValueError: an unknown target, or none of its suffixes.
    """
    known = formats_of(target)
    found = next((format for format in known if path.endswith(format.suffix)), None)
    if found is None:
        raise ValueError(f"{path}: a {target} file ends in {' or '.join(suffixes(target))}")
    return found


def usual_suffix(target: str, recipe: Recipe | None = None) -> str:
    """The suffix of a file that is named after its source; with a recipe, one with a place for it.

    Raises:
        ValueError: an unknown target.
    """
    known = formats_of(target)
    places = [format for format in known if format.place]
    return (places if recipe is not None and places else known)[0].suffix


def frozen_target(path: str | os.PathLike) -> str:
    """What freezing into `path` writes: "frozen", a GraphDef, or into a folder a "saved_model"."""
    freezes = [format for format in FORMATS if format.freezes]
    return next(f.target for f in freezes if os.fspath(path).endswith(f.suffix))
