"""State dicts of other libraries' models: torchvision's and timm's."""

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
            f"{library} has no model of {ckpt.describe()}{why}: use --to torch, which takes it "
            "whole"
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


FORMATS = tuple(
    Format(
        library,
        suffix,
        partial(write, library=library),
        check=partial(_check, library=library),
        runner=library,
        library=library,
    )
    for library in ("torchvision", "timm")
    for suffix, write in ((".safetensors", _write_safetensors), (".pth", _write_pth))
)
