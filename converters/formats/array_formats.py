"""Slim's variables as plain arrays: HDF5 and NumPy's `.npz`."""

from __future__ import annotations

import numpy as np

from converters.files.metadata_keys import ARCH_KEY, MODULES_KEY, NETWORK_KEY
from converters.formats.file_metadata import metadata
from converters.formats.format import Format, Options, Place
from converters.recognise.recognised import Recognised

_TRAINING = ("optimizer slots", "training state")


def write_hdf5(ckpt: Recognised, path: str, options: Options) -> None:
    """Slim's variables in HDF5: a group a scope, a dataset a variable; attributes say what it is.

    The network's own variables, in the form (`Arch.form`) that the checkpoint has. Slots of the
    optimizer have no place here: their names would lie below datasets.
    """
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs.update(_metadata(ckpt))
        for name, value in ckpt.model_arrays().items():
            file.create_dataset(name, data=value, dtype=value.dtype)


def _metadata(ckpt: Recognised) -> dict[str, str]:
    """As everywhere, but an architecture in the form in which it is stored here."""
    if ckpt.network is None:
        return {**metadata(ckpt), ARCH_KEY: ckpt.arch.to_json()}
    too_large = {NETWORK_KEY, MODULES_KEY}  # for an attribute
    return {key: value for key, value in metadata(ckpt).items() if key not in too_large}


def write_npz(ckpt: Recognised, path: str, options: Options) -> None:
    """Slim's variables as `np.savez` writes them, by their full names.

    The network's own variables, in the form that the checkpoint has; with a recipe also the slots
    of the optimizer and the training's state.
    """
    arrays = ckpt.model_arrays()
    besides = sorted(_training(ckpt)) if options.recipe is not None else ()
    with open(path, "wb") as file:
        np.savez(file, **arrays, **{name: ckpt[name] for name in besides})


def _training(ckpt: Recognised) -> set[str]:
    """The variables of training, whatever its optimizer was."""
    return {name for kind in _TRAINING for name in ckpt.auxiliary.get(kind, ())}


FORMATS = (
    Format("hdf5", ".h5", write_hdf5, runner="hdf5", model="slim"),
    Format("npz", ".npz", write_npz, runner="npz", model="slim", place=Place(_training)),
)
