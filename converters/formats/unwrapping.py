"""Other libraries' weights out of what people put around them: dictionaries, prefixes, a head.

The reader of a file (`files.torch_files`) gives what lies in several dictionaries with their keys
before the names: "model/module.conv1.weight". Here a network is found below any such prefix, by
the weight that every network has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from converters.files import CheckpointError, WeightsFile
from converters.formats.library_names import NAMES, Names

_MOST_LISTED = 4
_SEPARATORS = ("", ".", "/")


def unwrapped(
    file: WeightsFile, column: str, prefix: str | None = None, ignore: str | None = None
) -> WeightsFile:
    """The file with the names of a column of `naming.table`; its notes tell what was undone.

    Args:
        file: under its own names.
        column: a key of `NAMES`, or another, whose names nothing is put around.
        prefix: of the names of the network that is wanted; None: there is one.
        ignore: a regular expression of weights that do not matter.

    Raises:
        CheckpointError: there are several networks, none below `prefix`, or a head of several
            layers.
        ValueError: `prefix` or `ignore` makes no sense here.
    """
    names = NAMES.get(column)
    if names is None and prefix is not None:
        raise ValueError(f"--prefix {prefix}: names of {column} have none")
    if names is not None:
        file = _below(file, _prefix(file, names, prefix))
    if ignore is not None:
        file = _without(file, _pattern(ignore))
    return file if names is None else _one_head(file, names)


def keras_names(file: WeightsFile) -> WeightsFile:
    """An HDF5 file of Keras's, named LAYER/WEIGHT.

    Its groups are layers, and below each are its weights by their own paths; of a model in a
    model, those end in LAYER/WEIGHT again.
    """
    top = "model_weights/"  # of a whole model's file, beside the optimizer's
    whole = any(name.startswith(top) for name in file)
    groups: dict[str, list[str]] = {}
    for name in file:
        if not whole or name.startswith(top):
            groups.setdefault(name.removeprefix(top).partition("/")[0], []).append(name)
    origins: dict[str, str] = {}
    for layer, paths in groups.items():
        parts = [path.split("/") for path in paths]
        is_model = len({part[-1] for part in parts}) < len(paths)
        for path, part in zip(paths, parts, strict=True):
            origins[f"{part[-2] if is_model else layer}/{part[-1]}"] = path
    if len(origins) < sum(map(len, groups.values())):
        raise CheckpointError(
            f"{file.path}: two weights in it have one name: save the model as .keras"
        )
    return file.renamed(origins, {})


def _prefix(file: WeightsFile, names: Names, asked: str | None) -> str:
    """What the names of the network's weights begin with."""
    found = [
        name.removesuffix(names.first)
        for name in file
        if name.endswith(names.first) and name.removesuffix(names.first)[-1:] in _SEPARATORS
    ]
    if asked is not None:
        chosen = [each for each in found if each in [asked + end for end in _SEPARATORS]]
        if not chosen:
            there = [each for each in found if each]
            told = f"there are {_listed(there)}" if there else "its names have none: leave it out"
            raise CheckpointError(f"{file.path}: no network below --prefix {asked!r}: {told}")
        return chosen[0]
    if len(found) > 1:
        choices = " or ".join(f"--prefix {each!r}" for each in found)
        raise CheckpointError(
            f"{file.path}: holds {len(found)} networks, and nothing tells which is meant: choose "
            f"one with {choices}"
        )
    return found[0] if found else ""


def _below(file: WeightsFile, prefix: str) -> WeightsFile:
    """The weights below a prefix, without it."""
    if not prefix:
        return file
    inside = {name.removeprefix(prefix): name for name in file if name.startswith(prefix)}
    outside = tuple(name for name in file if not name.startswith(prefix))
    notes = [f"its weights are taken by their names without {prefix!r}"]
    if outside:
        notes.append(f"{len(outside)} arrays beside {prefix!r} are left out: {_listed(outside)}")
    return file.renamed(inside, {}, notes=tuple(notes), dropped=outside)


def _without(file: WeightsFile, pattern: re.Pattern[str]) -> WeightsFile:
    ignored = tuple(name for name in file if pattern.search(name))
    told = f"{len(ignored)} arrays are ignored, as you said: {_listed(ignored)}"
    if not ignored:
        told = f"--ignore {pattern.pattern} fits no array"
    kept = {name: name for name in file if name not in ignored}
    return file.renamed(kept, {}, notes=(told,), dropped=ignored)


def _one_head(file: WeightsFile, names: Names) -> WeightsFile:
    """The last layer by its own name, where it is one of a Sequential."""
    layers = {
        name.removeprefix(names.head).rpartition(".")[0]
        for name in file
        if names.head.endswith(".") and name.startswith(names.head)
    }
    if layers <= {""}:
        return file
    head = names.head.rstrip(".")
    (layer, *others) = sorted(f"{names.head}{layer}".rstrip(".") for layer in layers)
    weights = f"{layer}.weight"
    if others or weights not in file or len(file.shape(weights)) != 2:
        raise CheckpointError(
            f"{file.path}: its {head} is not one linear layer ({', '.join([layer, *others])}), "
            rf"which is all that the network has there: leave it out with --ignore '^{head}\.', "
            "and what is written ends in the features that it takes"
        )
    note = (
        f"{layer} is taken as {head}; what else its Sequential has (Dropout, say) has no weights "
        "and is not converted"
    )
    origins = {name.replace(f"{layer}.", names.head, 1): name for name in file}
    return file.renamed(origins, {}, notes=(note,))


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"--ignore {text}: no regular expression: {error}") from error


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _MOST_LISTED
    return ", ".join(names[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
