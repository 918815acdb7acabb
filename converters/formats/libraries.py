"""Weights of PyTorch and Keras models as slim checkpoints, and back, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from converters.files import CheckpointError, WeightsFile
from converters.models.naming import Transform, Weight, table
from converters.recognise.forms import split
from converters.recognise.recognised import Recognised
from slim_resnet import arch as arch_lib
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import CUSTOM, nominal_epsilon

State = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Library:
    """Where weights come from or go to.

    Attributes:
        column: the column of `naming.table` with its names and layouts, "torch" or "keras".
        models: name in our registry -> the library's model of that network, whose strides and root
            pool are those of the convention `torchvision`; None: our own models, of any network.
    """

    column: str
    models: Mapping[str, str] | None = None

    @property
    def convention(self) -> str | None:
        """The convention of its models; None: either."""
        return "torchvision" if self.models else None

    def name(self, row: Weight) -> str:
        return getattr(row, self.column)

    def transform(self, row: Weight) -> Transform:
        return getattr(row, f"to_{self.column}")


_TORCHVISION = {
    "resnet_v1_18": "resnet18",
    "resnet_v1_34": "resnet34",
    "resnet_v1_50": "resnet50",
    "resnet_v1_101": "resnet101",
    "resnet_v1_152": "resnet152",
    "resnext_v1_50": "resnext50_32x4d",
    "resnext_v1_101_32x8d": "resnext101_32x8d",
    "resnext_v1_101_64x4d": "resnext101_64x4d",
}
# timm's models of these networks add modules without parameters only (act1, aa, drop_block, ...):
# their weights have torchvision's names.
_TIMM = _TORCHVISION | {"resnet_v1_200": "resnet200", "resnext_v1_101": "resnext101_32x4d"}

LIBRARIES = {
    "torch": Library("torch"),
    "torchvision": Library("torch", _TORCHVISION),
    "timm": Library("torch", _TIMM),
    "keras": Library("keras"),
}

# What torch counts in a batch norm; no result depends on it and slim has no such variable.
_COUNTER = ".num_batches_tracked"

_FROM_OURS = "for weights of our own module use the source 'torch' (--from torch)"
_TO_OURS = (
    "use the target 'torch' (--to torch), our module, which loads without this project as .pt2"
)


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
        ValueError: `source` is unknown, or has no model that computes what `arch` does.
    """
    library = _library(source)
    path = path or f"weights of {source}"
    check_arch(arch, source, _FROM_OURS)
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
    """The library's model of the network of `arch`, in either convention, or None.

    Args:
        arch: any architecture; its form, number of classes and batch norm decay do not matter.
        library: a key of `LIBRARIES` that has models.
    """
    if arch.convention == CUSTOM:
        return None
    for name, model in LIBRARIES[library].models.items():
        known = arch_lib.get(name, convention=arch.convention)
        same = arch.grouped.replace(
            name=name,
            num_classes=known.num_classes,
            batch_norm_decay=known.batch_norm_decay,
            # The clamp moves outputs by less than float32 can tell.
            batch_norm_epsilon=nominal_epsilon(arch.batch_norm_epsilon, known.batch_norm_epsilon),
        )
        if same == known:
            return model
    return None


def check_arch(arch: Arch, name: str, remedy: str = _TO_OURS) -> None:
    """Raises ValueError unless the library computes with its weights what `arch` does.

    Args:
        arch: any architecture.
        name: a key of `LIBRARIES`.
        remedy: what the error says one can do instead.
    """
    models = LIBRARIES[name].models
    if models is None:
        return
    model = model_name(arch, name)
    if model is None:
        raise ValueError(
            f"{name} has no model of {arch.name} ({arch.describe()}), only of "
            f"{', '.join(models)}: {remedy}"
        )
    if arch.convention != LIBRARIES[name].convention:
        raise ValueError(
            f"{arch.name} is in the convention 'slim' (stride in a block's last unit, SAME root "
            f"pool), and {name}'s {model} would compute something else with the same weights: "
            f"{remedy}, or, if they were trained that way, say --convention torchvision"
        )


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
        raise CheckpointError(
            f"{path}: these are not the weights of {arch.name} ({arch.describe()}): it "
            f"{' and '.join(parts)}; name the right --arch and --from"
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
