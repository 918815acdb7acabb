"""`Recognised`: the variables of a file, and the network that was recognised in them."""

from __future__ import annotations

import functools
import math
import os
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from converters.files import CheckpointError, WeightsFile
from converters.files.graphdef import Graph
from converters.graphs import GraphFacts
from converters.graphs.network import Network
from converters.recognise.detection import auxiliary_kind
from converters.recognise.forms import merge
from converters.recognise.matching import Match
from converters.recognise.scheme import Scheme
from slim_resnet.arch import Arch

WEIGHTS = ("model", "ema")
_AVERAGE = "ExponentialMovingAverage"


class Recognised(Mapping[str, np.ndarray]):
    """Every variable of a file by its full name, read when asked for, and what they are.

    Args:
        file: where the variables come from.
        arch: the residual network that is in it; None: it has none, and `network` is all.
        scope: its variable scope.
        weights: one of `WEIGHTS`: what `stored`, and so every conversion, takes.
        network: what its graph computes, where `arch` is not all of that.
        beyond: what of it is not `arch`, a clause; "" where nothing is known of that.
        graph: the graph that belongs to the variables, None where there is none, or where it is not
            to be believed.
        match: where the layers of `arch` are in that graph.
        facts: what the graph says of training, None where there is none.
        library: whose model the weights were trained in, a key of `libraries.LIBRARIES`, or "slim".
        notes: what a user should know of how it was read, a sentence each.
        assumed: what was assumed of the network, as nothing tells it, a clause each.
        ignored: names of variables that the user says do not matter.
        graph_unused: whether there is a graph, which the user did not want, as it says otherwise.
        source: the file under its own names, where `file` has others by rules.
        scheme: what gave them.

    Attributes:
        auxiliary: kind -> names of the variables that training left beside the network's own:
            optimizer slots, moving averages and so on.
        unknown: names of variables that are neither the network's nor of a known kind.
        verified: whether what is written of it is proved before it is published.
    """

    verified = False

    def __init__(
        self,
        file: WeightsFile,
        arch: Arch | None,
        scope: str,
        weights: str = "model",
        *,
        network: Network | None = None,
        beyond: str = "",
        graph: Graph | None = None,
        match: Match | None = None,
        facts: GraphFacts | None = None,
        library: str = "slim",
        notes: Iterable[str] = (),
        assumed: Iterable[str] = (),
        ignored: Iterable[str] = (),
        graph_unused: bool = False,
        source: WeightsFile | None = None,
        scheme: Scheme | None = None,
    ):
        if weights not in WEIGHTS:
            raise ValueError(f"unknown weights {weights!r}: use {' or '.join(WEIGHTS)}")
        self.file = file
        self.averaged = weights == "ema"
        self.arch = arch
        self.scope = scope
        self.network = network
        self.beyond = beyond
        self.graph = graph
        self.match = match
        self.facts = facts
        self.library = library
        self.notes = list(notes)
        self.assumed = tuple(assumed)
        self.ignored = tuple(ignored)
        self.graph_unused = graph_unused
        self.scheme = scheme
        self._source = source or file
        self.auxiliary: dict[str, list[str]] = {}
        self.unknown: list[str] = []
        model = set(self.model_variables)
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
        return f"<Recognised {self.path!r}: {self.describe()}, scope {self.scope!r}>"

    @property
    def path(self) -> str:
        return self.file.path

    @property
    def reference(self) -> str:
        """What a conversion is compared with, in words."""
        if self.graph is not None:
            return os.path.basename(self.graph.path)
        assumed = f", assuming {', '.join(self.assumed)}" if self.assumed else ""
        return f"slim's {self.name}{assumed}"

    @property
    def name(self) -> str:
        """What the network is called."""
        return self.arch.name if self.network is None else "the network of its graph"

    def describe(self) -> str:
        """The network in a line."""
        backbone = self.arch.describe() if self.arch else ""
        if self.network is None:
            return backbone
        inputs = ", ".join(each.name for each in self.network.inputs)
        outputs = ", ".join(self.network.outputs)
        ends = f"{len(self.network.layers)} layers, {inputs} -> {outputs}"
        return f"{ends}; its backbone: {backbone}" if backbone else ends

    @property
    def num_classes(self) -> int | None:
        return self.arch.num_classes if self.arch and self.network is None else None

    @property
    def global_step(self) -> int | None:
        """The training step, None when the checkpoint does not tell."""
        names = [n for n in self.auxiliary.get("training state", ()) if n.endswith("global_step")]
        return int(self.file[names[0]]) if names and self.file.shape(names[0]) == () else None

    def full_name(self, name: str) -> str:
        """A name below the network's scope -> the name in the checkpoint."""
        return f"{self.scope}/{name}" if self.scope else name

    @functools.cached_property
    def model_variables(self) -> dict[str, bool]:
        """Full name of every variable of the network -> whether it is trainable."""
        if self.network is None:
            return {self.full_name(v.name): v.trainable for v in self.arch.variables}
        found: dict[str, bool] = {}
        for parameter in self.network.parameters.values():
            for name in parameter.variables:
                found[name] = found.get(name, False) or parameter.trainable
        return found

    def model_arrays(self) -> dict[str, np.ndarray]:
        """The network's own variables as they are in the file, by their full names.

        Raises:
            CheckpointError: a weight holds NaN or infinity, or has no moving average where those
                were asked for; the message names it.
        """
        found = {}
        for name in self.model_variables:
            stored = self.stored_name(name)
            found[name] = self.file[stored]
            _check_finite(self.path, stored, found[name])
        return found

    def graph_arrays(self) -> dict[str, np.ndarray]:
        """The same by the names, and in the layouts, of the graph; errors as `model_arrays`."""
        origins = self.file.origins
        if not origins:
            return self.model_arrays()
        stored = {name: self.stored_name(name) for name in self.model_variables}
        return {
            origins.get(name, name): self._source[origins.get(average, average)]
            for name, average in stored.items()
        }

    def graph_variables(self) -> Mapping[str, np.ndarray]:
        """`graph_arrays`, and the file's other variables, read when asked for.

        A graph may read what its network does not need: a batch norm hands its averages on.
        """
        return ChainMap(self.graph_arrays(), self._source)

    def stored(self) -> dict[str, np.ndarray]:
        """The variables of `arch` by their names below its scope; errors as `model_arrays`."""
        arrays = self.model_arrays()
        return {v.name: arrays[self.full_name(v.name)] for v in self.arch.variables}

    def weights(self) -> dict[str, np.ndarray]:
        """The weights of `arch` in the grouped form, by slim's names, in slim's order.

        Raises:
            CheckpointError: as `model_arrays`.
        """
        return merge(self.arch, self.stored())

    def parameters(self) -> dict[str, np.ndarray]:
        """The values of the parameters of `network`, by name.

        Raises:
            CheckpointError: as `model_arrays`.
        """
        return self.network.arrays(self.model_arrays())

    @property
    def weights_nbytes(self) -> int:
        """Bytes of the network's own variables."""
        return sum(
            math.prod(self.file.shape(name)) * self.file.dtype(name).itemsize
            for name in map(self.stored_name, self.model_variables)
        )

    def left_out(self) -> list[tuple[str, list[str]]]:
        """What no conversion takes along: (kind, names), the kinds of `AUXILIARY` first.

        Variables that are neither the network's nor of a known kind are "unknown variables"; with
        the moving averages as weights, what they stand in for is "replaced by moving averages".
        What rules drop is named as the file has it.
        """
        stored = set(map(self.stored_name, self.model_variables))
        kinds = {
            **self.auxiliary,
            "replaced by moving averages": list(self.model_variables),
            "ignored": list(self.ignored),
            "unknown variables": [name for name in self.unknown if name not in self.ignored],
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

    def stored_name(self, name: str) -> str:
        """The name in the file of what a variable of the network takes.

        Raises:
            CheckpointError: moving averages were asked for, and there is none of this variable.
        """
        average = f"{name}/{_AVERAGE}"
        is_average = not self.model_variables[name]  # as batch norm statistics are already
        if not self.averaged or (average not in self.file and is_average):
            return name
        if average not in self.file:
            raise CheckpointError(
                f"{self.path}: no moving average of {name}: leave --weights ema out"
            )
        return average


def _check_finite(path: str, name: str, value: np.ndarray) -> None:
    finite = np.isfinite(value)
    if not finite.all():
        raise CheckpointError(
            f"{path}: {name} holds {value.size - int(finite.sum())} values that are NaN or "
            "infinite: take an earlier checkpoint of this training"
        )
