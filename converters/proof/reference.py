"""The reference of a proof: TensorFlow runs the user's own graph, in a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from converters.files.errors import CheckpointError
from converters.proof.plan import Fed, Plan
from slim_resnet.processes import Process, ProcessLostError

Arrays = Mapping[str, np.ndarray]

# The reference is computed on the CPU, whatever there is: kernels of GPUs differ in their sums.
_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1"}


@dataclass(frozen=True)
class Reference:
    """What a graph computed.

    Attributes:
        values: for each of the feeds, name of a fetched value -> array, in the graph's own layout.
        fed: the scalars that were fed besides, e.g. {"is_training": False, "keep_prob": 1.0}.
        in_float32: the operations that have no float64 and were computed in float32.
        variables: name of a variable's operation -> its value after the updates, if there are any.
    """

    values: list[dict[str, np.ndarray]]
    fed: dict[str, bool | float] = field(default_factory=dict)
    in_float32: tuple[str, ...] = ()
    variables: dict[str, np.ndarray] = field(default_factory=dict)


class GraphRunner:
    """A process in which TensorFlow runs a user's graph; a context manager.

    The calls begin work and do not wait, so that other processes can be given theirs meanwhile::

        with GraphRunner(definition, plan) as runner:
            ...  # it imports TensorFlow and builds the graph
            runner.load(variables)
            runner.run(feeds)
            ...
            reference = runner.result()

    Args:
        definition: the serialized GraphDef.
        plan: what is fed, fetched and replaced.
        threads: of TensorFlow; None: as many as there are cores.

    Attributes:
        places: the variables that the plan needs, by operation, and where they may be in a
            checkpoint; known once they are loaded.
    """

    def __init__(self, definition: bytes, plan: Plan, threads: int | None = None) -> None:
        self.places: dict[str, list] = {}
        self._plan = plan
        self._process = Process(
            threads=threads, environment=_ENVIRONMENT, quiet=True, kept_for="tensorflow"
        )
        self._process.submit(_build, bytes(definition), plan)

    def __enter__(self) -> GraphRunner:
        return self

    def __exit__(self, *_) -> None:
        self._process.stop()

    def load(self, variables: Arrays) -> None:
        """Reads the variables that the plan needs, and no other.

        Args:
            variables: name in the checkpoint -> array; partitioned ones are whole.

        Raises:
            CheckpointError: one is missing, or the graph cannot be run; the message says which.
        """
        self.places = self._answer()
        path = self._plan.path
        arrays = {n: read_variable(path, n, found, variables) for n, found in self.places.items()}
        self._process.submit(_load, arrays)
        self._answer()

    def run(self, feeds: Sequence[Arrays]) -> None:
        """Begins to run the graph, once for each of the feeds.

        Args:
            feeds: name of an input of the plan -> array.
        """
        self._process.submit(_run, [_cast(each, self._plan) for each in feeds])

    def result(self) -> Reference:
        """Waits for what the graph computes.

        Raises:
            GraphRunError: it cannot take what it is fed; others may be tried with `run`.
            CheckpointError: TensorFlow crashes on it.
            ProcessLostError: the process was killed, as when memory runs out.
        """
        return self._answer()

    def _answer(self):
        """What the process returns; some operations TensorFlow checks by ending its process."""
        try:
            return self._process.result()
        except ProcessLostError as error:
            if error.code != -signal.SIGABRT:
                raise
            raise CheckpointError(
                f"{self._plan.path}: TensorFlow crashes on it ({error}): the graph is damaged, or "
                "choose other outputs"
            ) from error


def read_variable(path: str, name: str, places: Sequence, variables: Arrays) -> np.ndarray:
    """What a variable of a graph holds, by the places where a checkpoint may keep it.

    Raises:
        CheckpointError: it is in none of them.
    """
    for place in places:
        if place.name in variables:
            return place.of(variables)
    names = " or ".join(repr(place.name) for place in places)
    raise CheckpointError(
        f"{path}: its graph reads the variable {name!r}, and the checkpoint has no {names}: give "
        "the checkpoint that belongs to the graph, or outputs that do not need this variable"
    )


def run_graph(
    definition: bytes,
    variables: Arrays,
    feeds: Sequence[Arrays],
    plan: Plan,
    *,
    threads: int | None = None,
) -> Reference:
    """Runs a user's graph with a checkpoint's variables.

    Args:
        definition: the serialized GraphDef.
        variables: name in the checkpoint -> array; read when needed.
        feeds: name of an input of the plan -> array, as many times as the graph is to run.
        plan: what is fed, fetched and replaced.
        threads: of TensorFlow; None: as many as there are cores.

    Raises:
        CheckpointError: a variable is missing, an operation cannot be run, or the graph cannot take
            what it is fed; the message names it.
        MissingFrameworkError: TensorFlow is not installed.
    """
    with GraphRunner(definition, plan, threads) as runner:
        runner.load(variables)
        runner.run(feeds)
        return runner.result()


def fed_like(arrays: Arrays) -> dict[str, Fed]:
    """Inputs of a plan that take arrays of any size of these types and ranks."""
    return {name: Fed(a.dtype.name, (None,) * a.ndim) for name, a in arrays.items()}


def _cast(arrays: Arrays, plan: Plan) -> dict[str, np.ndarray]:
    """What is fed in the types that the plan gives the inputs."""
    raised = {"float32": plan.dtype}
    return {
        name: np.asarray(array, raised.get(plan.inputs[name].dtype, plan.inputs[name].dtype))
        for name, array in arrays.items()
    }


# What runs in the process, on its last graph.

_graphs: list = []


def _build(definition: bytes, plan: Plan) -> dict[str, list]:
    from converters.proof.tf_graph import RunnableGraph

    _graphs.clear()  # the memory of the last first
    _graphs.append(RunnableGraph(definition, plan))
    return _graphs[0].places


def _load(arrays: Arrays) -> None:
    _graphs[0].load(arrays)


def _run(feeds: Sequence[Arrays]) -> Reference:
    graph = _graphs[0]
    values = [graph.run(each) for each in feeds]
    return Reference(
        values,
        graph.fed,
        tuple(graph.in_float32),
        graph.variables() if graph.plan.updates else {},
    )
