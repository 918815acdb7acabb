"""The proof of a conversion: a hidden file against what the checkpoint's network computes."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from converters.files import open_weights
from converters.formats.format import Format
from converters.formats.libraries import model_name
from converters.models.slim_model import output_names
from converters.proof.comparison import Comparison
from converters.proof.report import Proof, Report
from converters.proof.subjects import Written, graph_source, prove_checkpoint, prove_network
from converters.proof.training import with_training
from converters.proof.written import ARRAY_READERS, differing_arrays
from converters.recognise.recognised import Recognised

_TRAINING = ("optimizer slots", "training state")


def prove_written(
    ckpt: Recognised,
    format: Format,
    path: str,
    *,
    progress: Callable[[str], None] = lambda step: None,
) -> Proof:
    """Compares a written file with what the checkpoint's network computes.

    Args:
        ckpt: what was written.
        format: as what.
        path: the file, or folder, or prefix.
        progress: called with a line for each step.

    Raises:
        CheckpointError: a checksum does not match, the graph cannot be run, or the written file
            cannot be opened.
        ProcessLostError: a process was killed, as when memory runs out.
        MissingFrameworkError: a framework that the proof needs is not installed.
    """
    ckpt.check_sums()
    if format.runner in ARRAY_READERS:
        return _proof_of_arrays(ckpt, format, path)
    written = Written(format.runner, path, about(ckpt, format))
    if ckpt.graph is None:
        return prove_checkpoint(ckpt, written, model=format.model, progress=progress)
    source = graph_source(ckpt)
    if ckpt.network is None:
        proof = prove_checkpoint(ckpt, written, model=format.model, progress=progress)
    else:
        proof = prove_network(
            ckpt.graph,
            source.variables,
            ckpt.network,
            written,
            source=ckpt.path,
            progress=progress,
        )
    return with_training(proof, source, checkpoint=ckpt.path, progress=progress)


def about(ckpt: Recognised, format: Format) -> dict[str, object]:
    """What a file does not tell of itself; see `converters.proof.standalone`."""
    told: dict[str, object] = {"outputs": output_names(ckpt)}
    if ckpt.network is not None:
        return told
    arch = ckpt.arch if format.model == "slim" else ckpt.arch.grouped
    told |= {"arch": arch.to_json(), "scope": ckpt.scope, "num_classes": ckpt.num_classes}
    if format.library:
        told["model"] = model_name(ckpt.arch, format.library)
    return told


def _proof_of_arrays(ckpt: Recognised, format: Format, path: str) -> Proof:
    """A file of arrays alone holds the bits of the checkpoint."""
    expected = ckpt.model_arrays()
    differing = differing_arrays(format.runner, path, _with_training(ckpt, path, expected))
    errors = {name: math.inf if name in differing else 0.0 for name in {**expected}}
    errors |= dict.fromkeys(differing, math.inf)
    comparisons = tuple(
        Comparison(format.target, (), name, error, error) for name, error in errors.items()
    )
    reference = f"the variables of {ckpt.path}"
    report = Report(ckpt.path, ckpt.describe(), reference, "float32", 0.0, comparisons)
    return Proof(reference, (), (report,), ckpt.assumed)


def _with_training(
    ckpt: Recognised, path: str, expected: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What the file should hold: the network's variables, and those of training beside them."""
    training = {name for kind in _TRAINING for name in ckpt.auxiliary.get(kind, ())}
    return {**expected, **{name: ckpt[name] for name in training & set(open_weights(path))}}
