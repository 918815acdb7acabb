"""A slim checkpoint that knows which network it holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import numpy as np

from slim_resnet.network import Arch
from slim_resnet.spec import Variable

from .checkpoint import CheckpointError, TensorFile
from .detect import auxiliary_kind, detect
from .forms import merge
from .sources import SourceFile, graph_facts, graph_for, open_source

WEIGHTS = ("model", "ema")


class ArrayFile(dict[str, np.ndarray]):
    """Arrays in memory with the interface of a `TensorFile`; `path` says where they came from."""

    def __init__(self, path: str, arrays: Mapping[str, np.ndarray]):
        super().__init__(arrays)
        self.path = path

    def shape(self, name: str) -> tuple[int, ...]:
        return self[name].shape

    def dtype(self, name: str) -> np.dtype:
        return self[name].dtype


class SlimCheckpoint(Mapping[str, np.ndarray]):
    """Every variable of a checkpoint by its full name, read when asked for, and what they are.

    Args:
        file: where the variables come from.
        arch: the network that is in it.
        scope: its variable scope.
        weights: one of `WEIGHTS`: what `stored`, and so every conversion, takes.

    Attributes:
        file: the `TensorFile`, `SourceFile` or `ArrayFile` behind it.
        arch: the network it holds, an `Arch`.
        scope: the network's variable scope, "" when there is none.
        auxiliary: kind -> names of the variables that training left beside the network's own:
            optimizer slots, moving averages and so on.
        unknown: names of variables that are neither the network's nor of a known kind.
    """

    def __init__(
        self,
        file: TensorFile | SourceFile | ArrayFile,
        arch: Arch,
        scope: str,
        weights: str = "model",
    ):
        if weights not in WEIGHTS:
            raise ValueError(f"unknown weights {weights!r}: use {' or '.join(WEIGHTS)}")
        self.file = file
        self.averaged = weights == "ema"
        self.arch = arch
        self.scope = scope
        self.auxiliary: dict[str, list[str]] = {}
        self.unknown: list[str] = []
        model = {self.full_name(variable.name) for variable in arch.variables}
        for name in file:
            if name in model:
                continue
            kind = auxiliary_kind(name)
            if kind is None:
                self.unknown.append(name)
            else:
                self.auxiliary.setdefault(kind, []).append(name)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.file[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.file)

    def __len__(self) -> int:
        return len(self.file)

    def __repr__(self) -> str:
        return f"<SlimCheckpoint {self.path!r}: {self.arch.describe()}, scope {self.scope!r}>"

    @property
    def path(self) -> str:
        return self.file.path

    @property
    def num_classes(self) -> int | None:
        return self.arch.num_classes

    @property
    def global_step(self) -> int | None:
        """The training step, None when the checkpoint does not tell."""
        names = [n for n in self.auxiliary.get("training state", ()) if n.endswith("global_step")]
        return int(self.file[names[0]]) if names and self.file.shape(names[0]) == () else None

    def full_name(self, name: str) -> str:
        """A name below the network's scope -> the name in the checkpoint."""
        return f"{self.scope}/{name}" if self.scope else name

    def stored(self) -> dict[str, np.ndarray]:
        """The network's own variables as they are in the file, by their names below its scope.

        Raises:
            CheckpointError: a weight holds NaN or infinity, or has no moving average where those
                were asked for; the message names it.
        """
        found = {}
        for variable in self.arch.variables:
            name = self._stored_name(variable)
            found[variable.name] = self.file[name]
            _check_finite(self.path, name, found[variable.name])
        return found

    def check_sums(self) -> None:
        """Checks the stored checksums of every variable, where the format has any.

        Raises:
            CheckpointError: naming the first variable whose bytes do not match.
        """
        if isinstance(self.file, TensorFile):
            self.file.verify()

    def _stored_name(self, variable: Variable) -> str:
        name = self.full_name(variable.name)
        average = f"{name}/ExponentialMovingAverage"
        if not self.averaged or (average not in self.file and not variable.trainable):
            return name  # batch norm statistics are averages already; many trainings keep no second
        if average not in self.file:
            raise CheckpointError(
                f"{self.path}: no moving average of {name}: leave --weights ema out"
            )
        return average

    def weights(self) -> dict[str, np.ndarray]:
        """The network's weights in the grouped form, by slim's names, in slim's order.

        Raises:
            CheckpointError: as `stored`.
        """
        return merge(self.arch, self.stored())


def _check_finite(path: str, name: str, value: np.ndarray) -> None:
    finite = np.isfinite(value)
    if not finite.all():
        raise CheckpointError(
            f"{path}: {name} holds {value.size - int(finite.sum())} values that are NaN or "
            "infinite: take an earlier checkpoint of this training"
        )


# Formats that hold weights under another library's names.
_FOREIGN = {
    "torch": "torch or torchvision",
    "safetensors": "torch or torchvision",
    "keras": "keras",
}


def load_checkpoint(
    path: str | os.PathLike,
    *,
    arch: str | Arch | None = None,
    scope: str | None = None,
    convention: str | None = None,
    step: int | None = None,
    weights: str = "model",
) -> SlimCheckpoint:
    """Opens the weights of a slim ResNet or ResNeXt; needs no framework.

    Where the graph is at hand (a `.meta` beside the checkpoint, a frozen graph, a SavedModel),
    strides, padding, epsilon and output_stride are read from it; otherwise they are slim's.

    Args:
        path: a TensorFlow 1.x checkpoint: its prefix (`model.ckpt-60`), one of its files, or a
            folder that holds `checkpoint`; or a frozen graph (`.pb`, `.pbtxt`), a SavedModel, or a
            dump of slim's variables (`.npz`, HDF5).
        arch: the network it must hold, a name of the registry or an `Arch`; None: found from the
            variables, whatever their widths.
        scope: the network's variable scope; None: found.
        convention: "slim" or "torchvision"; None: the graph's, or slim's where there is no graph,
            as weights do not tell. What is given here goes before the graph.
        step: which checkpoint of a folder; None: its latest.
        weights: "model", or "ema" for the moving averages that training kept of them.

    Returns:
        A mapping from variable names to arrays, with `arch`, `scope`, `num_classes`, `global_step`.

    Raises:
        CheckpointError: it is missing, broken, or of another network; or its graph does something
            that no `Arch` describes.
        ValueError: `arch`, `convention` or `weights` is unknown.
    """
    file = open_source(path, step=step)
    if file.format in _FOREIGN:
        raise CheckpointError(
            f"{file.path}: its weights have another library's names: say --from "
            f"{_FOREIGN[file.format]} (converters.exchange_files.load_weights)"
        )
    shapes = {name: file.shape(name) for name in file}
    found = detect(shapes, file.path, arch=arch, scope=scope, convention=convention)
    exact = found.arch
    graph = (
        graph_for(path, step=step) if convention is None and not isinstance(arch, Arch) else None
    )
    if graph is not None:
        exact = graph_facts(graph).apply(found.arch, scope=found.scope)
    return SlimCheckpoint(file, exact, found.scope, weights)
