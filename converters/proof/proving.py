"""The proof of a conversion: the reference and the written file, run side by side, compared.

In float64 our model is compared with the reference at every end point, which proves the structure;
in float32 the written file, opened by what its user will open it with, in a process of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from converters.formats.format import Format
from converters.formats.libraries import model_name
from converters.proof.batches import Batch, choices, image_size
from converters.proof.plan import GraphRunError
from converters.proof.references import Reference, SlimReference, reference_of
from converters.proof.report import TOLERANCE, Comparison, Report, compare
from converters.proof.verification import MODELS, output_end_points
from converters.proof.written import ARRAY_READERS, RUNNERS, WrittenFile, differing_arrays
from converters.recognise.recognised import Recognised
from slim_resnet.processes import Process

Values = list[dict[str, np.ndarray]]
_CPU = {"CUDA_VISIBLE_DEVICES": "-1"}


@dataclass(frozen=True)
class Proof:
    """What was shown of a written file.

    Attributes:
        reports: in float64 first, where that was compared.
        told: what was compared with what, in a sentence.
    """

    reports: tuple[Report, ...]
    told: str


def prove(
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
        MissingFrameworkError: a framework that the proof needs is not installed.
    """
    ckpt.check_sums()
    if format.runner in ARRAY_READERS:
        return _proof_of_arrays(ckpt, format, path)
    reference = reference_of(ckpt)
    missing = RUNNERS[format.runner].missing
    doubles = format.model != "slim" or not isinstance(reference, SlimReference)
    dtypes = (("float64",) if doubles else ()) + ("float32",)
    progress("running the reference and what was written")
    for batches in choices(reference.inputs):
        try:
            with Process(environment=_CPU, quiet=True) as process:
                process.submit(_references, reference, dtypes, batches)
                written = {} if missing else _written(ckpt, format, path, batches)
                if "float64" in dtypes and "float64" not in written:
                    written["float64"] = _in_float64(ckpt, format, batches)
                expected = process.result()
            break
        except GraphRunError as error:
            refused = error
    else:
        raise refused
    reports = tuple(
        _report(ckpt, reference, format.target, dtype, batches, expected[dtype], written[dtype])
        for dtype in dtypes
        if dtype in written
    )
    return Proof(reports, _told(reference, reports, missing))


def _references(reference: Reference, dtypes: Sequence[str], batches: Sequence[Batch]) -> dict:
    """In the process of the reference: what it computes, in each of the types."""
    return {dtype: reference.compute(dtype, batches) for dtype in dtypes}


def _written(
    ckpt: Recognised, format: Format, path: str, batches: Sequence[Batch]
) -> dict[str, Values]:
    """What the written file computes: in its own type, and in float64 if it can that, too."""
    runner = RUNNERS[format.runner]
    found = {}
    with WrittenFile(format.runner, path, about(ckpt, format)) as file:
        if runner.doubles:
            doubled = [_as(batch, "float64") for batch in batches]
            file.run(doubled, dtype="float64", end_points=True)
            found["float64"] = file.result()
        file.run(batches, end_points=runner.doubles)
        found["float32"] = file.result()
    return found


def about(ckpt: Recognised, format: Format) -> dict[str, object]:
    """What a file does not tell of itself; see `converters.proof.standalone`."""
    told: dict[str, object] = {"outputs": output_end_points(ckpt)}
    if ckpt.network is not None:
        return told
    told |= {
        "arch": ckpt.arch.to_json(),
        "scope": ckpt.scope,
        "num_classes": ckpt.num_classes,
    }
    if format.library:
        told["model"] = model_name(ckpt.arch, format.library)
    return told


def _in_float64(ckpt: Recognised, format: Format, batches: Sequence[Batch]) -> Values:
    """What our own model, of which the file was made, computes in float64."""
    return MODELS[format.model](ckpt, [_as(batch, "float64") for batch in batches], "float64")


def _as(batch: Batch, dtype: str) -> Batch:
    return {
        name: array.astype(dtype) if array.dtype.kind == "f" else array
        for name, array in batch.items()
    }


def _report(
    ckpt: Recognised,
    reference: Reference,
    target: str,
    dtype: str,
    batches: Sequence[Batch],
    expected: Values,
    actual: Values,
) -> Report:
    comparisons: list[Comparison] = []
    for batch, left, right in zip(batches, expected, actual, strict=True):
        size = image_size(reference.inputs, batch)
        comparisons += compare(target, size, left, right, output_end_points(ckpt))
    return Report(
        source=ckpt.path,
        arch=ckpt.describe(),
        reference=reference.describe(),
        dtype=dtype,
        tolerance=TOLERANCE[dtype],
        comparisons=tuple(comparisons),
    )


def _told(reference: Reference, reports: Sequence[Report], missing: str | None) -> str:
    parts = [
        f"{len(report.end_points)} end points in {report.dtype} to {report.max_rel_error:.1e}"
        for report in reports
    ]
    not_run = f"; the file was not run: needs {missing}" if missing else ""
    return f"proved against {reference.describe()}: {', '.join(parts)}{not_run}"


def _proof_of_arrays(ckpt: Recognised, format: Format, path: str) -> Proof:
    """A file of arrays alone holds the bits of the checkpoint."""
    expected = ckpt.model_arrays()
    differing = set(differing_arrays(format.runner, path, _written_arrays(ckpt, path, expected)))
    errors = {name: math.inf if name in differing else 0.0 for name in expected}
    comparisons = tuple(
        Comparison(format.target, expected[name].shape, name, error, error)
        for name, error in errors.items()
    )
    report = Report(
        ckpt.path, ckpt.describe(), f"the variables of {ckpt.path}", "float32", 0.0, comparisons
    )
    return Proof((report,), f"{len(expected)} arrays are those of {ckpt.path}, bit for bit")


def _written_arrays(
    ckpt: Recognised, path: str, expected: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What the file should hold: the network's variables, and those of training beside them."""
    kinds = ("optimizer slots", "training state")
    training = {name for kind in kinds for name in ckpt.auxiliary.get(kind, ())}
    return {**expected, **{name: ckpt[name] for name in training & _names_in(path)}}


def _names_in(path: str) -> set[str]:
    from converters.files import open_weights

    return set(open_weights(path))
