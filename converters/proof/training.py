"""Proof that a module trains as its graph does, and so that its inference is what was meant.

The inference of a training graph is our reading: which variables are the moving statistics of which
batch norm, which arithmetic is a dropout. That is shown by what no reading enters: TensorFlow runs
the training graph itself, forward and its own update operations, and the module in `.train()` mode
must compute the same values and move the same statistics to the same places. Dropouts keep every
value on both sides, and scale it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from converters.files.errors import CheckpointError
from converters.files.graphdef import Graph, parse_ref
from converters.graphs.dropouts import Dropouts
from converters.graphs.inference import Inference
from converters.graphs.network import Network
from converters.proof import ours
from converters.proof.comparison import compare
from converters.proof.images import Size, batches
from converters.proof.plan import GraphRunError, Plan
from converters.proof.reference import GraphRunner
from converters.proof.report import Proof, Report, statistic
from converters.proof.rounding import by_own_rounding
from converters.proof.sides import FunctionRun, GraphSource, Values
from converters.proof.training_updates import (
    debiased_statistics,
    frozen_norms,
    moving_statistics,
    statistics_kept,
    update_operations,
)
from slim_resnet.arch.parts import PARITY

# Large enough that the batch has a variance where the network ends.
IMAGE_SIZE: Size = (97, 113)
BATCH_SIZE = 4

_MERGES = frozenset(("Merge", "RefMerge"))


def trains(network: Network) -> bool:
    """Whether a network was read of a graph that moves its batch norms' statistics, or drops."""
    return any(
        layer.options.get("decay") is not None if layer.kind == "batch_norm" else True
        for layer in network.layers
        if layer.kind in ("batch_norm", "dropout")
    )


def with_training(
    proof: Proof,
    source: GraphSource,
    *,
    checkpoint: str,
    progress: Callable[[str], None] = lambda step: None,
) -> Proof:
    """Adds a step of the graph's training to a proof that passed, if the graph trains.

    Args:
        proof: of its inference.
        source: the graph, its variables, and the network that was read of it.
        checkpoint: what the user calls the checkpoint.
        progress: called with a line for each step.
    """
    if not proof.passed or not trains(source.network):
        return proof
    progress(f"a step of the training of {source.name}")
    size = max(c.image_size for c in proof.reports[0].comparisons)
    try:
        try:
            report, notes = prove_training(source, checkpoint=checkpoint, image_size=size)
        except GraphRunError:  # some graphs have a batch of one written into them
            report, notes = prove_training(
                source, checkpoint=checkpoint, image_size=size, batch_size=1
            )
    except CheckpointError as error:
        told = str(error).removeprefix(f"{source.graph.path}: ")
        return replace(proof, notes=(*proof.notes, f"its training was not run: {told}"))
    return replace(proof, training=report, notes=(*proof.notes, *notes))


def prove_training(
    source: GraphSource,
    *,
    checkpoint: str,
    image_size: Size = IMAGE_SIZE,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
) -> tuple[Report, tuple[str, ...]]:
    """Compares one step of the graph's training, but for gradients, with the torch module's.

    Args:
        source: a training graph, its variables, and the network that was read of it.
        checkpoint: what the user calls the checkpoint.
        image_size: (height, width), where the graph leaves them free.
        batch_size: images, where the graph leaves their number free.
        seed: of the images.

    Returns:
        A `Report`: the values of the forward pass, then the new moving statistics, in float64; and
        notes on what could not be compared, a sentence each.

    Raises:
        As `converters.proof.proving.prove`.
    """
    _check_dropouts(source)
    network = source.network
    fed = batches(network.inputs, [image_size], batch_size=batch_size, seed=seed)
    ((size, batch),) = fed.items()
    kept = statistics_kept(source.graph, network)
    found = update_operations(source.graph, network)
    updates = {name: moved - kept for name, moved in found.items() if moved - kept}
    frozen = frozen_norms(network, frozenset().union(*updates.values()))
    debiased = [
        name
        for name in debiased_statistics(source.graph, network)
        if not kept.issuperset(network.parameters[name].variables)
    ]
    arrays = network.arrays(source.variables, double=True)
    module = FunctionRun(
        "torch", ours.train_network, network.to_json(), network.path, arrays, frozen
    )
    with _TrainingRun(source, tuple(updates)) as graph, module:
        module.run([batch])
        expected = graph.step(batch)
        (actual,) = module.result()
    names = [n for n in expected if n in actual and n not in map(statistic, debiased)]
    comparisons = compare("torch in training", size, expected, actual, "float64", names=names)
    report = Report(
        source=checkpoint,
        network=f"{len(network.layers)} layers",
        reference=f"the training of {source.name}",
        dtype="float64",
        tolerance=PARITY["float64"],
        comparisons=tuple(comparisons),
    )
    notes = _notes(frozen, debiased)
    if not report.passed:
        with _TrainingRun(source, tuple(updates), "float32") as graph:
            rounded = graph.step(batch)
        (report,), said = by_own_rounding([report], {size: expected}, {size: rounded})
        notes += said
    return report, tuple(notes)


def _check_dropouts(source: GraphSource) -> None:
    """Raises CheckpointError for a dropout that trains otherwise than torch's."""
    inputs = frozenset(parse_ref(each.name) for each in source.network.inputs)
    dropouts = Dropouts(Inference(source.graph, inputs, training=True))
    for layer in source.network.layers:
        if layer.kind == "dropout" and layer.name in source.graph.nodes:
            found = dropouts.match(parse_ref(layer.name))
            if found is not None and found.alpha:
                raise CheckpointError(
                    f"{source.graph.path}: its operation {layer.name!r} is an alpha dropout, which "
                    "the module trains as any other: no step of a training was compared"
                )


def _notes(frozen: Sequence[str], debiased: Sequence[str]) -> list[str]:
    found = []
    if frozen:
        found.append(
            f"{len(frozen)} batch norms keep their statistics while the graph trains: call .eval() "
            "on them after .train()"
        )
    if debiased:
        found.append(
            f"{len(debiased)} moving statistics are zero-debiased by the graph, and not by torch: "
            "their steps were not compared"
        )
    return found


class _TrainingRun:
    """The graph's training in TensorFlow; a context manager."""

    def __init__(
        self, source: GraphSource, updates: tuple[str, ...], dtype: str = "float64"
    ) -> None:
        self._source = source
        self._fetches = {name: in_training(source.graph, name) for name in source.values}
        plan = Plan(
            path=source.graph.path,
            fetches=tuple(dict.fromkeys(self._fetches.values())),
            inputs=source.inputs(),
            dtype=dtype,
            numbers=source.sixths(),
            is_training=True,
            updates=updates,
        )
        self._runner = GraphRunner(source.graph.definition, plan)

    def __enter__(self) -> _TrainingRun:
        return self

    def __exit__(self, *exception) -> None:
        self._runner.__exit__(*exception)

    def step(self, batch: Mapping[str, np.ndarray]) -> Values:
        """The values of a forward pass, and by `moved` the statistics after it."""
        source = self._source
        self._runner.load(source.variables)
        self._runner.run([source.fed(batch)])
        found = self._runner.result()
        (computed,) = found.values
        values = {
            name: computed[fetch] for name, fetch in self._fetches.items() if fetch in computed
        }
        stored = {
            place.name: found.variables[name]
            for name, places in self._runner.places.items()
            for place in places
            if name in found.variables
        }
        return source.channels_last(values) | moved(source.network, stored)


def in_training(graph: Graph, name: str) -> str:
    """What training computes where inference computes a value.

    Inference may take a branch of `tf.cond` that training does not: what the branches merge into
    has the values of either.

    Args:
        graph: the graph.
        name: of a value that inference computes.
    """
    waiting, seen = [name], {name}
    while waiting:
        for reader in graph.readers.get(parse_ref(waiting.pop())[0], ()):
            if reader.name in seen:
                continue
            seen.add(reader.name)
            if reader.op in _MERGES:
                name, waiting = reader.name, [reader.name]
                break
            if reader.op == "Identity":
                waiting.append(reader.name)
    return name


def moved(network: Network, variables: Mapping[str, np.ndarray]) -> Values:
    """The moving statistics of a network's batch norms, by `statistic`.

    Args:
        network: the network.
        variables: by their names in the checkpoint, those that were moved.
    """
    found = {}
    for name in moving_statistics(network):
        parameter = network.parameters[name]
        if all(variable in variables for variable in parameter.variables):
            found[statistic(name)] = parameter.compute(variables, True)
    return found
