"""What Keras 3 opens: `.keras` and `.weights.h5`."""

from __future__ import annotations

import json
import zipfile

from converters.files.metadata_keys import KERAS_METADATA
from converters.formats.file_metadata import metadata
from converters.formats.format import Format, Options, Place
from converters.models import resume
from converters.models.targets import to_keras
from converters.recognise.recognised import Recognised


def write_keras(ckpt: Recognised, path: str, options: Options) -> None:
    """A model of built-in layers, compiled where there is a recipe; our metadata are a member."""
    model = to_keras(ckpt)
    if options.recipe is not None:
        resume.compile_keras(ckpt, model, options.recipe)
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:  # Keras looks at its own members only
        archive.writestr(KERAS_METADATA, json.dumps(metadata(ckpt)))


def write_keras_weights(ckpt: Recognised, path: str, options: Options) -> None:
    """The weights of that model alone."""
    to_keras(ckpt).save_weights(path)


FORMATS = (
    Format(
        "keras",
        ".keras",
        write_keras,
        runner="keras",
        model="keras",
        place=Place(resume.carried, needs_rate=True),
    ),
    Format("keras", ".weights.h5", write_keras_weights, runner="keras-weights", model="keras"),
)
