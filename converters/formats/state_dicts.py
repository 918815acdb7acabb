"""Weights for other libraries' own classes: torchvision's, timm's and `keras.applications`'."""

from __future__ import annotations

from functools import partial

from safetensors.numpy import save_file

from converters.formats import libraries
from converters.formats.file_metadata import metadata
from converters.formats.format import Format, Options
from converters.recognise.recognised import Recognised
from slim_resnet.frameworks import require


def _check(ckpt: Recognised, options: Options, library: str) -> None:
    if ckpt.network is not None:
        why = f" ({ckpt.beyond})" if ckpt.beyond else ""
        raise ValueError(
            f"{library} has no model of {ckpt.describe()}{why}: use --to "
            f"{libraries.LIBRARIES[library].framework}, which takes it whole"
        )
    libraries.check_model(ckpt, library)


def _write_safetensors(ckpt: Recognised, path: str, options: Options, library: str) -> None:
    state = libraries.to_state(ckpt, library)
    save_file(state, path, metadata={"format": "pt", **metadata(ckpt)})


def _write_pth(ckpt: Recognised, path: str, options: Options, library: str) -> None:
    """A plain state dict of `torch.save`, which `load_state_dict` takes as it is."""
    torch = require("torch")
    state = libraries.to_state(ckpt, library)
    torch.save({name: torch.tensor(value) for name, value in state.items()}, path)


def _write_applications(ckpt: Recognised, path: str, options: Options) -> None:
    """What `load_weights` of the model that `keras.applications` builds takes."""
    keras = require("keras")
    name, classes = "keras_applications", ckpt.num_classes
    state = libraries.to_state(ckpt, name)
    build = getattr(keras.applications, libraries.model_name(ckpt.arch, name))
    model = build(weights=None, include_top=classes is not None, classes=classes or 1)
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(state.pop(f"{layer.name}/{variable.name}"))
    if state:
        raise ValueError(f"{path}: no layer of {model.name} takes {', '.join(state)}")
    model.save_weights(path)


_SUFFIXES = {".safetensors": _write_safetensors, ".pth": _write_pth, ".pt": _write_pth}

FORMATS = (
    *(
        Format(
            library,
            suffix,
            partial(write, library=library),
            check=partial(_check, library=library),
            runner=library,
            library=library,
        )
        for library in ("torchvision", "timm")
        for suffix, write in _SUFFIXES.items()
    ),
    Format(
        "keras_applications",
        ".weights.h5",
        _write_applications,
        check=partial(_check, library="keras_applications"),
        runner="keras_applications",
        model="keras",
        library="keras_applications",
    ),
)
