"""From one form of a ResNeXt unit to another: a whole checkpoint, bit for bit."""

from __future__ import annotations

from functools import partial

import numpy as np

from converters.files import WeightsFile
from converters.recognise.detection import PER_VARIABLE
from converters.recognise.forms import merge, split
from converters.recognise.recognised import Recognised


def transcode(ckpt: Recognised, form: str) -> Recognised:
    """Rewrites a checkpoint from one form of its ResNeXt units to another.

    Batch norms, and what training keeps for every variable (Momentum slots, moving averages), are
    rewritten with the weights; other variables are kept. Zero-debias helpers, which belong to
    single batch norms, are left out. Forward and back again gives the same bits.

    Args:
        ckpt: from `load_checkpoint`.
        form: "grouped", "concat" or "branches".

    Returns:
        A checkpoint in memory, for `to_torch`, `verify` or `formats.write_checkpoint`. The CIFAR
        script's variables, which have no scope, get the scope "resnext_cifar" in the grouped form
        and lose it on the way back.

    Raises:
        ValueError: there is no such form, or not of this network.
        CheckpointError: a weight holds NaN or infinity, or is missing.
    """
    old, new = ckpt.arch, ckpt.arch.replace(form=form)
    scope = ckpt.scope
    if old.has_script_names != new.has_script_names and scope in ("", new.family):
        scope = "" if new.has_script_names else new.family
    model = Recognised(ckpt.file, old, ckpt.scope)  # averages, if asked for, are slots here
    values = _prefixed(scope, split(new, merge(old, model.stored())))
    for name in (*ckpt.auxiliary.get("training state", ()), *ckpt.unknown):
        if ckpt.file.dtype(name).hasobject:  # strings: the object graph of a TF 2 checkpoint
            continue
        values[name] = ckpt[name]
    for slot in _slots(ckpt):
        stored = {
            v.name: ckpt[f"{ckpt.full_name(v.name)}/{slot}"]
            for v in old.variables
            if f"{ckpt.full_name(v.name)}/{slot}" in ckpt
        }
        moved = split(new, merge(old, stored))
        values.update(_prefixed(scope, {f"{name}/{slot}": v for name, v in moved.items()}))
    return Recognised(
        WeightsFile.of_arrays(ckpt.path, values),
        new,
        scope,
        "ema" if ckpt.averaged else "model",
        facts=ckpt.facts and ckpt.facts.renamed(partial(_moved, old=ckpt.scope, new=scope)),
        library=ckpt.library,
        notes=ckpt.notes,
    )


def _moved(name: str, old: str, new: str) -> str:
    """A variable's name with its network's scope changed; others keep theirs."""
    if old and not name.startswith(f"{old}/"):
        return name
    return _in(new, name[len(old) + 1 :] if old else name)


def _slots(ckpt: Recognised) -> list[str]:
    """The names of what training keeps for every variable, e.g. "Momentum"."""
    names = (n for kind in PER_VARIABLE for n in ckpt.auxiliary.get(kind, ()))
    return sorted({name.rpartition("/")[2] for name in names})


def _prefixed(scope: str, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {_in(scope, name): value for name, value in values.items()}


def _in(scope: str, name: str) -> str:
    return f"{scope}/{name}" if scope else name
