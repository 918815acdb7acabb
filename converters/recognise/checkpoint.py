"""A slim checkpoint that knows which network it holds."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from converters.files import CheckpointError, WeightsFile, open_weights
from converters.graphs import GraphFacts, graph_facts
from converters.recognise.detection import Detected, auxiliary_kind, detect
from converters.recognise.forms import merge
from converters.recognise.recorded import recorded_arch
from converters.recognise.rules import apply_rules, read_rules
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import Variable

WEIGHTS = ("model", "ema")


class SlimCheckpoint(Mapping[str, np.ndarray]):
    """Every variable of a checkpoint by its full name, read when asked for, and what they are.

    Args:
        file: where the variables come from.
        arch: the network that is in it.
        scope: its variable scope.
        weights: one of `WEIGHTS`: what `stored`, and so every conversion, takes.
        facts: what the graph says that belongs to it, None where there is none.
        library: whose model the weights were trained in, a key of `exchange.LIBRARIES`, or "slim".
        notes: what a user should know of how it was read, a sentence each.

    Attributes:
        file: the `WeightsFile` behind it.
        arch: the network it holds, an `Arch`.
        scope: the network's variable scope, "" when there is none.
        auxiliary: kind -> names of the variables that training left beside the network's own:
            optimizer slots, moving averages and so on.
        unknown: names of variables that are neither the network's nor of a known kind.
    """

    def __init__(
        self,
        file: WeightsFile,
        arch: Arch,
        scope: str,
        weights: str = "model",
        *,
        facts: GraphFacts | None = None,
        library: str = "slim",
        notes: Iterable[str] = (),
    ):
        if weights not in WEIGHTS:
            raise ValueError(f"unknown weights {weights!r}: use {' or '.join(WEIGHTS)}")
        self.file = file
        self.averaged = weights == "ema"
        self.arch = arch
        self.scope = scope
        self.facts = facts
        self.library = library
        self.notes = list(notes)
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

    @property
    def weights_nbytes(self) -> int:
        """Bytes of the network's own variables."""
        return sum(
            math.prod(variable.shape) * self.file.dtype(self._stored_name(variable)).itemsize
            for variable in self.arch.variables
        )

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

    def left_out(self) -> list[tuple[str, list[str]]]:
        """What no conversion takes along: (kind, names), the kinds of `AUXILIARY` first.

        Variables that are neither the network's nor of a known kind are "unknown variables"; with
        the moving averages as weights, what they stand in for is "replaced by moving averages".
        What rules drop is named as the file has it.
        """
        stored = {self._stored_name(variable) for variable in self.arch.variables}
        model = [self.full_name(variable.name) for variable in self.arch.variables]
        kinds = {
            **self.auxiliary,
            "replaced by moving averages": model,
            "unknown variables": self.unknown,
            "dropped by the rules": list(self.file.dropped),
        }
        left = {kind: [n for n in names if n not in stored] for kind, names in kinds.items()}
        return [(kind, names) for kind, names in left.items() if names]

    def check_sums(self) -> None:
        """Checks the stored checksums of every variable, where the format has any.

        Raises:
            CheckpointError: naming the first variable whose bytes do not match.
        """
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
    rules: str | os.PathLike | None = None,
) -> SlimCheckpoint:
    """Opens the weights of a slim ResNet or ResNeXt; needs no framework.

    Where the graph is at hand (a `.meta` beside the checkpoint, a frozen graph, a SavedModel),
    strides, padding, epsilon and output_stride are read from it; otherwise they are what the file
    says of itself (HDF5 of this project's), or slim's.

    Args:
        path: a TensorFlow 1.x checkpoint: its prefix (`model.ckpt-60`), one of its files, or a
            folder that holds `checkpoint`; or a frozen graph (`.pb`, `.pbtxt`), a SavedModel, or a
            dump of slim's variables (`.npz`, HDF5). With `rules`, any file that holds weights.
        arch: the network it must hold, a name of the registry or an `Arch`; None: found from the
            variables, whatever their widths. `NAME:FORM` or `NAME:UNIT` chooses where several fit.
        scope: the network's variable scope; None: found.
        convention: "slim" or "torchvision"; None: the graph's, or slim's where there is no graph,
            as weights do not tell. What is given here goes before the graph, with a note.
        step: which checkpoint of a folder; None: its latest.
        weights: "model", or "ema" for the moving averages that training kept of them.
        rules: a file that makes slim's names of the checkpoint's own; see docs/rules.md.

    Returns:
        A mapping from variable names to arrays, with `arch`, `scope`, `num_classes`, `global_step`,
        and `notes` for the user.

    Raises:
        CheckpointError: it is missing, broken, or of another network, or of several; or its graph
            does something that no `Arch` describes.
        ValueError: `arch`, `convention`, `weights` or the file of rules makes no sense.
    """
    file = _open(path, step, rules)
    notes = list(file.notes)
    shapes = {name: file.shape(name) for name in file}
    expected = _recorded(file) if arch is None else arch
    try:
        found = detect(shapes, file.path, arch=expected, scope=scope, convention=convention)
    except CheckpointError as error:
        raise CheckpointError("; ".join([str(error), *notes])) from error
    asked = convention is not None or isinstance(arch, Arch)
    exact, facts, remarks = _with_graph(file, found, asked)
    notes += [*found.notes, *remarks]
    return SlimCheckpoint(file, exact, found.scope, weights, facts=facts, notes=notes)


def _open(
    path: str | os.PathLike, step: int | None, rules: str | os.PathLike | None
) -> WeightsFile:
    given = read_rules(rules) if rules is not None else None
    file = open_weights(path, step=step)
    if given is not None:
        return apply_rules(file, given)
    if file.format in _FOREIGN:
        raise CheckpointError(
            f"{file.path}: its weights have another library's names: say --from "
            f"{_FOREIGN[file.format]} (converters.library_files.load_weights), or write --rules "
            "for names of your own"
        )
    return file


def _recorded(file: WeightsFile) -> Arch | None:
    """The architecture that an HDF5 file says it holds, None where there is none."""
    if file.format != "hdf5" or file.origins:
        return None
    return recorded_arch(file.path, file.metadata, len(file))


def _with_graph(
    file: WeightsFile, found: Detected, asked: bool
) -> tuple[Arch, GraphFacts | None, list[str]]:
    """The network with what the graph beside the weights says of it, that graph, and notes.

    `asked`: the user said how the network computes; then the graph only gives rise to notes.
    """
    try:
        facts = _facts(file)
        exact = facts.apply(found.arch, scope=found.scope) if facts else found.arch
    except CheckpointError as error:
        if not asked:
            raise
        return found.arch, None, [f"the graph was not used, as you said what it computes: {error}"]
    if not asked or facts is None:
        return exact, facts, []
    return found.arch, facts, _contradictions(facts.path, exact, found.arch)


def _facts(file: WeightsFile) -> GraphFacts | None:
    """What the graph beside the weights says, under slim's names."""
    graph = file.graph()
    if graph is None:
        return None
    names = {origin: name for name, origin in file.origins.items()}
    return graph_facts(graph).renamed(lambda name: names.get(name, name))


def _contradictions(path: str, graph: Arch, asked: Arch) -> list[str]:
    """What two networks of the same weights compute in different ways, as notes."""
    moved = asked.replace(convention=graph.convention)  # the strides go with the convention
    fields = {
        "convention": (graph.convention, asked.convention),
        "strides": ([s.stride for s in graph.stages], [s.stride for s in moved.stages]),
        "output_stride": (graph.output_stride, asked.output_stride),
        "batch norm epsilon": (graph.batch_norm_epsilon, asked.batch_norm_epsilon),
    }
    return [
        f"{path}: the graph has {field} {theirs}, but {ours} was asked for and is taken"
        for field, (theirs, ours) in fields.items()
        if theirs != ours
    ]
