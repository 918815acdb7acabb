"""Files of PyTorch and Keras weights, read as slim checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from converters.files import CheckpointError, WeightsFile, open_weights
from converters.files.metadata_keys import ARCH_KEY, KERAS_CONFIG_KEY
from converters.formats import keras_config
from converters.formats.libraries import from_state, named
from converters.formats.library_names import NAMES, read_arch
from converters.formats.library_table import LIBRARIES, Library
from converters.formats.unwrapping import keras_names, unwrapped
from converters.models.naming import table
from converters.recognise.recognised import Recognised
from converters.recognise.recorded import recorded_arch
from converters.recognise.rules import Rules, apply_rules
from converters.recognise.rules_file import read_scheme
from slim_resnet import arch as arch_lib
from slim_resnet.arch import assumptions, with_facts
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import CUSTOM

Arrays = dict[str, np.ndarray]

_APPLICATIONS = "keras_applications"
# What no file of weights tells, and antialiased networks (AvgPool, BlurPool) have.
_NOTHING_ELSE = "no pooling or other layer without weights beside these"
# The library's framework -> the formats of its files, as `open_weights` calls them.
_FORMATS = {"torch": ("safetensors", "torch"), "keras": ("keras", "hdf5")}


@dataclass(frozen=True)
class _Told:
    """What a user says of the network: `load_weights` explains the names."""

    arch: str | Arch | None
    convention: str | None
    facts: Mapping[str, object]


def load_weights(
    path: str | os.PathLike,
    source: str,
    *,
    arch: str | Arch | None = None,
    convention: str | None = None,
    scope: str | None = None,
    prefix: str | None = None,
    rules: str | os.PathLike | None = None,
    ignore: str | None = None,
    facts: Mapping[str, object] | None = None,
) -> Recognised:
    """Opens the weights of a PyTorch or Keras model as a slim checkpoint.

    Args:
        path: what torch.save wrote of a PyTorch model's state dict, or of dictionaries with one
            (`.pt`, `.pth`, `.pth.tar`, `.bin`), or its `.safetensors`; `.keras`, `.weights.h5` or
            `.h5` of our Keras model or of `keras.applications`'. Nothing is unpickled but tensors,
            and neither framework is needed.
        source: a key of `exchange.LIBRARIES`. "keras" is "keras_applications" where names say so.
        arch: the network, a name of the registry (its number of classes is the file's) or an
            `Arch`; None: what the file says of itself, as files written by this project do, or
            what its names and shapes tell.
        convention: "slim" or "torchvision"; None: what the file says, else the source's.
        scope: the variable scope to put the network into; None: the one that its graph opens.
        prefix: what the names of its weights begin with, where there are several networks.
        rules: a file that makes the source's names of the file's own; see docs/rules.md.
        ignore: a regular expression of weights that do not matter.
        facts: what else weights do not tell, as `slim_resnet.arch.with_facts` takes it.

    Returns:
        The checkpoint, in memory. Weights in half precision are in float32, with a note.

    Raises:
        CheckpointError: the file is missing, broken, holds other weights or several networks, or
            does not tell which network's they are where `arch` does not either.
        ValueError: an unknown name or fact, or a network that the source does not have.
    """
    path = os.fspath(path)
    if source not in LIBRARIES:
        raise ValueError(f"unknown source {source!r}: use {', '.join(LIBRARIES)}")
    file = _opened(path, source)
    given = None if rules is None else read_scheme(rules)
    if given is not None:
        file = _by_rules(file, given.rules)
    source, notes = _library(source, file)
    library = LIBRARIES[source]
    file = unwrapped(file, library.column, prefix, ignore)
    state, halves = _arrays(file)
    told = _Told(arch, convention, {**(given.rules.network if given else {}), **(facts or {})})
    found = _network(file, state, source, told)
    made = from_state(found, state, source, scope, path=path)
    made.notes[:0] = [*file.notes, *notes, *halves]
    if source == _APPLICATIONS:
        _check_applications(made, file)
    # A class of the same names and shapes may compute otherwise: timm's resnetaa50 pools more.
    elif ARCH_KEY not in file.metadata and (library.models is None or arch is None):
        whose = f"{source}'s own class" if library.models else _NOTHING_ELSE
        made.assumed = (whose, *(words for _, words in assumptions(found)))
    return made


def _opened(path: str, source: str) -> WeightsFile:
    """The file, which has to be one of the source's framework."""
    formats = _FORMATS[LIBRARIES[source].framework]
    if not os.path.exists(path):
        raise CheckpointError(f"{path}: no such file")
    try:
        file = open_weights(path)
        if file.format not in formats:
            raise CheckpointError(f"{path}: it is of the format {file.format}.")
        return keras_names(file) if file.format == "hdf5" else file
    except CheckpointError as error:
        reason = str(error).removeprefix(path).lstrip(":, ")
        raise CheckpointError(f"{path}: cannot be read as weights: {reason}") from error


def _by_rules(file: WeightsFile, rules: Rules) -> WeightsFile:
    """The file under the source's names, in whose layouts it is already."""
    laid_out = [rule.number for rule in rules.rules if rule.layout]
    if laid_out or rules.scope:
        what = f"the layout of rule {laid_out[0]}" if laid_out else f"the scope {rules.scope!r}"
        raise ValueError(
            f"{rules.path}: {what} is for rules that make slim's names: with --from, rules make "
            "the names of that library, and arrays lie as it has them"
        )
    return apply_rules(file, rules)


def _library(source: str, file: WeightsFile) -> tuple[str, tuple[str, ...]]:
    """Whose names they are, and a note where that is not what was said."""
    if source == "keras" and NAMES[_APPLICATIONS].first in file:
        return _APPLICATIONS, ("its layers have the names of keras.applications' ResNets",)
    return source, ()


def _arrays(file: WeightsFile) -> tuple[Arrays, tuple[str, ...]]:
    """Every array, half precision as float32, and a note on those."""
    try:
        # Copies: a mapped file could change after it was checked.
        state = {name: np.array(value) for name, value in file.items()}
    except CheckpointError as error:
        reason = str(error).removeprefix(file.path).lstrip(":, ")
        raise CheckpointError(f"{file.path}: cannot be read as weights: {reason}") from error
    halves = [name for name, value in state.items() if value.dtype == np.float16]
    for name in halves:
        state[name] = state[name].astype(np.float32)
    if not halves:
        return state, ()
    return state, (f"{len(halves)} arrays are float16, taken as float32: the same numbers",)


def _network(file: WeightsFile, state: Arrays, source: str, told: _Told) -> Arch:
    """The network: as the user says, as the file says, or as its names and shapes tell."""
    library = LIBRARIES[source]
    recorded = recorded_arch(file.path, file.metadata, len(state))
    convention = told.convention
    if isinstance(told.arch, str):
        found = library.own(_with_classes(arch_lib.get(told.arch), state, library))
    elif told.arch is not None or recorded is not None:
        found = told.arch or recorded
    elif library.models or (convention and library.column in NAMES):
        shapes = {name: value.shape for name, value in state.items()}
        found = read_arch(file.path, shapes, library)
    else:
        also = ", or say its --convention" if library.column in NAMES else ""
        raise CheckpointError(
            f"{file.path}: does not say which network it holds: name its --arch{also}"
        )
    if convention is None:
        convention = recorded.convention if recorded else library.convention
    if convention not in (None, CUSTOM):
        found = found.replace(convention=convention)
    return named(with_facts(found, told.facts), source)


def _with_classes(arch: Arch, state: Arrays, library: Library) -> Arch:
    """`arch` with the number of classes of `state`."""
    (row,) = [row for row in table(arch) if row.slim == "logits/weights"]
    weights = state.get(library.name(row))
    if weights is None:
        return arch.replace(num_classes=None)
    return arch.replace(num_classes=library.transform(row).inverse(weights).shape[-1])


def _check_applications(ckpt: Recognised, file: WeightsFile) -> None:
    """What a Keras model computes, where its file tells that; else it is assumed, and said."""
    config = file.metadata.get(KERAS_CONFIG_KEY)
    if config is None:
        ckpt.assumed = tuple(words for _, words in assumptions(ckpt.arch))
        ckpt.notes.append(
            "the file holds weights alone: it is taken for a network that keras.applications builds"
        )
        activation = "softmax"
    else:
        keras_config.check_config(file.path, config, ckpt.arch)
        activation = keras_config.last_activation(file.path, config)
    if ckpt.num_classes is None:
        ckpt.notes.append(
            "it has no layer 'predictions': what is written ends in the averages of the last "
            "feature map over all positions (pooling='avg')"
        )
    elif activation not in (None, "linear"):
        ckpt.notes.append(
            f"what is written gives logits, the values before the {activation} of 'predictions'"
        )
