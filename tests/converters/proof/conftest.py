"""Cases that TensorFlow 1.15 made: a checkpoint, its graph, and what it computed."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pytest

from converters.files import open_weights
from converters.files.graph_files import read_meta
from converters.graphs import read_network
from converters.proof.reference import fed_like
from converters.proof.sides import GraphSource


@dataclass(frozen=True)
class Case:
    """A folder of tests/data/wild."""

    folder: pathlib.Path

    @cached_property
    def about(self) -> dict:
        return json.loads((self.folder / "case.json").read_text())

    @cached_property
    def graph(self):
        return read_meta(str(self.folder / self.about["meta"]))

    @cached_property
    def variables(self):
        return open_weights(self.folder / self.about["checkpoint"])

    @cached_property
    def network(self):
        return read_network(
            self.graph, inputs=list(self.about["inputs"]), outputs=list(self.about["outputs"])
        )

    @cached_property
    def source(self) -> GraphSource:
        return GraphSource(self.about["meta"], self.graph, self.variables, self.network)

    @cached_property
    def _recorded(self) -> dict[str, np.ndarray]:
        with np.load(self.folder / self.about["ref"]) as file:
            return dict(file)

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        return {name: self._recorded[key] for name, key in self.about["inputs"].items()}

    @property
    def fed(self):
        return fed_like(self.inputs)

    @property
    def outputs(self) -> dict[str, np.ndarray]:
        """What TensorFlow 1.15 computed."""
        return {name: self._recorded[key] for name, key in self.about["outputs"].items()}

    @property
    def samples(self) -> dict[str, np.ndarray]:
        """32 values of further operations; see `sampled`."""
        return {k[3:]: v for k, v in self._recorded.items() if k.startswith("ep|")}


@pytest.fixture(scope="session")
def wild(data):
    """name -> `Case`, each made once."""
    made: dict[str, Case] = {}
    return lambda name: made.setdefault(name, Case(data / "wild" / name))


@pytest.fixture(scope="session")
def difference():
    """Largest difference over largest expected value; infinite where shapes differ."""

    def measure(actual: np.ndarray, expected: np.ndarray) -> float:
        if actual.shape != expected.shape:
            return np.inf
        expected = expected.astype(np.float64)
        return float(np.abs(actual - expected).max() / np.abs(expected).max())

    return measure


class Inline:
    """`Process`, but in this one: what is run is the same, and frameworks are imported once."""

    def __init__(self, **_) -> None:
        self._outcome = None

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *_) -> None:
        pass

    def submit(self, function, *args, **options) -> None:
        try:
            self._outcome = function(*args, **options), None
        except Exception as error:
            self._outcome = None, error

    def result(self):
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    def call(self, function, *args, **options):
        self.submit(function, *args, **options)
        return self.result()

    def stop(self) -> None:
        pass


@pytest.fixture
def inline(monkeypatch):
    """Proofs run in this process; that they are apart is what other tests try."""
    from converters.proof import reference, sides, written

    for module in (reference, sides, written):
        monkeypatch.setattr(module, "Process", Inline)
