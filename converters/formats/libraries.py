"""Weights of PyTorch and Keras models as slim checkpoints, and back, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from converters.files import CheckpointError, WeightsFile
from converters.formats.library_table import LIBRARIES, Library
from converters.models.naming import Transform, Weight, table
from converters.recognise.forms import split
from converters.recognise.recognised import Recognised
from slim_resnet import arch as arch_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.facts import TOLD
from slim_resnet.arch.parts import nominal_epsilon

State = Mapping[str, np.ndarray]


# What torch counts in a batch norm; no result depends on it and slim has no such variable.
_COUNTER = ".num_batches_tracked"

_FROM_OURS = {
    "torch": "for weights of our own, or of another class with such names, use --from torch and "
    "tell the rest with --convention and --network",
    "keras": "for weights of our own model use --from keras",
}
_TO_OURS = {
    "torch": "use the target 'torch' (--to torch), our module, which loads without this project as "
    ".pt2",
    "keras": "use the target 'keras' (--to keras), a model of Keras's own layers",
}


def from_state(
    arch: Arch, state: State, source: str, scope: str | None = None, *, path: str | None = None
) -> Recognised:
    """A slim checkpoint with the weights of another library's model.

    Args:
        arch: the network, in its convention and with its number of classes.
        state: name of a weight in the source -> float32 array; its batch norms' counters are left
            out with a note, see `left_out`. The arrays are not copied.
        source: a key of `LIBRARIES`.
        scope: the variable scope to put the network into; None: the one that its graph opens.
        path: where `state` was read from, for errors.

    Returns:
        A checkpoint in memory, for everything that takes one, `formats.write_checkpoint` included.

    Raises:
        CheckpointError: a weight is missing, unknown, or of another shape or type.
        ValueError: `source` is unknown, or its models compute otherwise than `arch`.
    """
    library = _library(source)
    path = path or f"weights of {source}"
    check_source(arch, source)
    rows = {library.name(row): row for row in table(arch)}
    counters = set(left_out(state))
    arrays = {name: value for name, value in state.items() if name not in counters}
    _check_names(path, arch, rows, arrays)
    weights = {}
    for name, row in rows.items():
        transform = library.transform(row)
        _check_array(f"{path}: {name}", arrays[name], transform, row)
        weights[row.slim] = transform.inverse(arrays[name])
    if scope is None:
        scope = "" if arch.has_script_names else arch.name
    prefix = f"{scope}/" if scope else ""
    values = {f"{prefix}{name}": value for name, value in split(arch, weights).items()}
    notes = []
    if counters:
        notes.append(
            f"{len(counters)} counters of batches (*{_COUNTER}) left out: slim has none, and no "
            "result depends on them"
        )
    return Recognised(WeightsFile.of_arrays(path, values), arch, scope, library=source, notes=notes)


def to_state(ckpt: Recognised, target: str) -> dict[str, np.ndarray]:
    """The reverse of `from_state`: the checkpoint's weights as the target names and lays them out.

    Args:
        ckpt: from `load_checkpoint` or `from_state`, in any form.
        target: a key of `LIBRARIES`.

    Returns:
        name -> contiguous array. A `load_state_dict` of torch takes it as it is.

    Raises:
        CheckpointError: a weight holds NaN or infinity.
        ValueError: `target` is unknown, or has no model that computes what the checkpoint's does.
    """
    library = _library(target)
    check_arch(ckpt.arch, target)
    weights = ckpt.weights()
    return {
        library.name(row): np.ascontiguousarray(library.transform(row)(weights[row.slim]))
        for row in table(ckpt.arch)
    }


def left_out(state: Iterable[str]) -> list[str]:
    """The names in `state` that `from_state` leaves out: torch's counters of batches."""
    return [name for name in state if name.endswith(_COUNTER)]


def model_name(arch: Arch, library: str) -> str | None:
    """The library's model that has the weights of `arch`, or None.

    Args:
        arch: any architecture; its form, number of classes and batch norm decay do not matter, nor
            what the library's models compute otherwise than slim's (`check_arch` compares it).
        library: a key of `LIBRARIES` that has models.
    """
    of = LIBRARIES[library]
    for name, model in of.models.items():
        if _same(of.retold(arch), of.own(arch_lib.get(name))):
            return model
    return None


def _same(arch: Arch, known: Arch) -> bool:
    """Whether `arch` computes what `known` does, whatever its name and number of classes."""
    same = arch.grouped.replace(
        name=known.name,
        num_classes=known.num_classes,
        batch_norm_decay=known.batch_norm_decay,
        # The clamp moves outputs by less than float32 can tell.
        batch_norm_epsilon=nominal_epsilon(arch.batch_norm_epsilon, known.batch_norm_epsilon),
    )
    return same == known


def named(arch: Arch, library: str) -> Arch:
    """`arch` under the name that our registry has for such a model of the library, if it has."""
    of = LIBRARIES[library]
    found = (name for name in of.models or () if _same(arch, of.own(arch_lib.get(name))))
    return arch.replace(name=next(found, arch.name))


def check_source(arch: Arch, name: str) -> None:
    """Raises ValueError unless weights of `arch` can be those of a model of the library.

    Args:
        arch: any architecture; other than in `check_arch` its blocks may have any number of units
            and any width, which the library's class takes, too.
        name: a key of `LIBRARIES`.
    """
    of = LIBRARIES[name]
    for known in map(arch_lib.get, of.models or ()):
        own = of.own(known)
        if own.unit == arch.unit and _layout(own) == _layout(arch):
            own = own.replace(
                family=arch.family,
                stages=arch.stages,
                cardinality=arch.cardinality,
                input_channels=arch.input_channels,
            )
            if _same(arch, own):
                return
    check_arch(arch, name, _FROM_OURS[of.framework])


def _layout(arch: Arch) -> list[tuple[int, tuple[int, ...], bool]]:
    """What of its blocks is not their number of units, nor a width."""
    return [(stage.stride, stage.unit_rates, stage.se_depth is None) for stage in arch.stages]


def check_arch(arch: Arch, name: str, remedy: str | None = None) -> None:
    """Raises ValueError unless the library computes with its weights what `arch` does.

    Args:
        arch: any architecture.
        name: a key of `LIBRARIES`.
        remedy: what the error says one can do instead; None: another target.
    """
    library = LIBRARIES[name]
    if library.models is None:
        return
    remedy = remedy or _TO_OURS[library.framework]
    model = model_name(arch, name)
    if model is None:
        raise ValueError(
            f"{name} has no model of {arch.name} ({arch.describe()}), only of "
            f"{', '.join(library.models)}: {remedy}"
        )
    if not _same(arch, library.own(arch)):
        has = "is in the convention 'slim' (stride in a block's last unit, SAME root pool)"
        if arch.convention != "slim":
            has = f"is {arch.describe()}"
        raise ValueError(
            f"{arch.name} {has}, and {name}'s {model} would compute something else with the same "
            f"weights: "
            f"{remedy}, or, if they were trained that way, say {_saying(library, arch)}"
        )


def _saying(library: Library, arch: Arch) -> str:
    """The options that tell the facts in which `arch` differs from the library's models."""
    if library.convention:
        return f"--convention {library.convention}"
    facts = library.facts[arch.family].items()
    said = (f"{k}={v}" for k, v in facts if k in TOLD and getattr(arch, k) != v)
    return " ".join(f"--network {fact}" for fact in said)


def check_model(ckpt: Recognised, library: str) -> None:
    """`check_arch` of a checkpoint's network."""
    check_arch(ckpt.arch, library)


def _library(name: str) -> Library:
    if name not in LIBRARIES:
        raise ValueError(f"unknown library {name!r}: use {', '.join(LIBRARIES)}")
    return LIBRARIES[name]


def _check_names(path: str, arch: Arch, expected: Iterable[str], found: Iterable[str]) -> None:
    """Both have the same names."""
    expected, found = dict.fromkeys(expected), dict.fromkeys(found)
    differences = {
        "lacks": [name for name in expected if name not in found],
        "has besides": [name for name in found if name not in expected],
    }
    parts = [f"{what} {_some(names)}" for what, names in differences.items() if names]
    if parts:
        more = (
            ", or, for what does not matter, --ignore REGEX" if differences["has besides"] else ""
        )
        raise CheckpointError(
            f"{path}: these are not the weights of {arch.name} ({arch.describe()}): it "
            f"{' and '.join(parts)}; name the right --arch and --from{more}"
        )


def _some(names: list[str], limit: int = 4) -> str:
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def _check_array(name: str, array: np.ndarray, transform: Transform, row: Weight) -> None:
    """`array` is what `transform` makes of slim's variable."""
    # A view of one zero: it has the shape and takes no memory.
    shape = transform(np.broadcast_to(np.float32(0), row.shape)).shape
    if array.shape != shape:
        raise CheckpointError(
            f"{name} has shape {list(array.shape)} where {list(shape)} is due: name the right "
            "--arch"
        )
    if array.dtype != np.float32:
        raise CheckpointError(
            f"{name} is {array.dtype}, and slim's variables are float32: convert the model to "
            "float32 first, so that the loss of digits is your decision"
        )
