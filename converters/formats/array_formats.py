"""Slim's variables as plain arrays: HDF5 and NumPy's `.npz`."""

from __future__ import annotations

import numpy as np

from converters.files.metadata_keys import ARCH_KEY
from converters.formats.format import Format, Options, Place
from converters.recognise.assumptions import metadata
from converters.recognise.checkpoint import SlimCheckpoint

_TRAINING = ("optimizer slots", "training state")


def write_hdf5(ckpt: SlimCheckpoint, path: str, options: Options) -> None:
    """Slim's variables in HDF5: a group a scope, a dataset a variable; attributes say what it is.

    The network's own variables, in the form (`Arch.form`) that the checkpoint has. Slots of the
    optimizer have no place here: their names would lie below datasets.
    """
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs.update({**metadata(ckpt), ARCH_KEY: ckpt.arch.to_json()})
        for name, value in ckpt.stored().items():
            file.create_dataset(ckpt.full_name(name), data=value, dtype=np.float32)


def write_npz(ckpt: SlimCheckpoint, path: str, options: Options) -> None:
    """Slim's variables as `np.savez` writes them, by their full names.

    The network's own variables, in the form that the checkpoint has; with a recipe also the slots
    of the optimizer and the training's state.
    """
    arrays = {ckpt.full_name(name): value for name, value in ckpt.stored().items()}
    besides = sorted(_training(ckpt)) if options.recipe is not None else ()
    with open(path, "wb") as file:
        np.savez(file, **arrays, **{name: ckpt[name] for name in besides})


def _training(ckpt: SlimCheckpoint) -> set[str]:
    """The variables of training, whatever its optimizer was."""
    return {name for kind in _TRAINING for name in ckpt.auxiliary.get(kind, ())}


FORMATS = (
    Format("hdf5", ".h5", write_hdf5, model="slim"),
    Format("npz", ".npz", write_npz, model="slim", place=Place(_training)),
)
