"""What a rebuilt network computes, against what the record holds."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from slim_resnet import graph as graph_lib
from slim_resnet.compat import tf
from slim_resnet.regression.rebuilt import AFTER, Net
from slim_resnet.regression.record import Record, RecordError, seeded_value, take_samples

REGULARIZATION = "regularization losses (sum)"


class NotComparable(Exception):
    """The network cannot compute what was recorded; the message says why."""


@dataclass(frozen=True)
class Measured:
    """The largest difference over the largest absolute value of one end point in one case.

    `precision` is the narrowest float that it was computed in: "float32" in a float64 case, too,
    behind an operation that gives nothing else.
    """

    case: str
    end_point: str
    error: float
    reason: str = ""
    precision: str = "float64"

    def exceeds(self, bound: float) -> bool:
        return not self.error <= bound  # NaN exceeds


def weight_values(
    record: Record, net: Net, checkpoint: Mapping[str, np.ndarray] | None
) -> dict[Any, np.ndarray]:
    """Variable -> value, as the recorder set it.

    Args:
        record: the record.
        net: the rebuilt network.
        checkpoint: variable name -> array, for records that were not seeded.

    Raises:
        RecordError: the values are not those that were recorded.
        NotComparable: the record has no such variable, so there is no value for it.
    """
    expected = {e["name"]: e for e in (*record.info["variables"], *record.info["constants"])}
    values = {}
    for name, variable in net.variables.items():
        shape = tuple(variable.shape.as_list())
        entry = expected.get(name)
        if checkpoint is not None and name not in checkpoint:
            lacking = RecordError if entry else NotComparable
            raise lacking(
                f"{record.path}: the checkpoint has no {name}, it is not the recorded one"
            )
        value = _value(name, shape, variable.dtype.base_dtype, checkpoint)
        if entry and tuple(entry["shape"]) == value.shape:
            _check(record, entry, value)
        if value.shape != shape:
            raise NotComparable(f"{name} has shape {shape} where the checkpoint has {value.shape}")
        values[variable] = value.astype(variable.dtype.base_dtype.as_numpy_dtype)
    return values


def _value(name: str, shape, dtype, checkpoint) -> np.ndarray:
    if checkpoint is None:
        return seeded_value(name, shape) if dtype.is_floating else np.zeros(shape, np.int64)
    return np.asarray(checkpoint[name])


def _check(record: Record, entry: Mapping, value: np.ndarray) -> None:
    if zlib.crc32(value.astype(entry["dtype"]).tobytes()) != entry["crc32"]:
        raise RecordError(
            f"{record.path}: {entry['name']} had another value when this was recorded: give the "
            "checkpoint that was used then, or make the record again"
        )


def measure(
    record: Record,
    net: Net,
    names: Mapping[str, str],
    cases: list[str],
    checkpoint: Mapping[str, np.ndarray] | None,
) -> list[Measured]:
    """Runs `cases`, which are all of one dtype, and compares every recorded end point.

    Args:
        record: the record.
        net: the network, built in the dtype of the cases.
        names: recorded end point -> its name in `net`.
        cases: some of `record.cases`.
        checkpoint: see `weight_values`.

    Raises:
        RecordError: the weights or images are not those that were recorded.
        NotComparable: the network cannot be run as it was recorded.
    """
    tensors = {recorded: net.find(name) for recorded, name in names.items()}
    narrow = _narrow_ops(net.graph)
    float32 = {name for name, tensor in tensors.items() if tensor.op in narrow}
    float32 |= {AFTER + name for name in _updated(narrow)}
    with net.graph.as_default(), tf.Session(config=_on_cpu()) as session:
        values = weight_values(record, net, checkpoint)
        found = []
        for case in cases:
            images = record.images(case)
            try:
                now = _run(session, record, net, tensors, values, images)
            except (tf.errors.OpError, TypeError, ValueError) as error:
                message = str(error).strip().partition("\n")[0]
                raise NotComparable(f"{case} cannot be run: {message}") from error
            found += _compare(record, case, now, float32)
    return found


def _narrow_ops(graph) -> set:
    """What comes from less than float64: tf.image.resize_bilinear gives float32 in any case."""
    found = set()
    for op in graph.get_operations():  # each after its inputs
        floats = [t.dtype.base_dtype for t in op.outputs if t.dtype.base_dtype.is_floating]
        is_narrow = any(dtype.size < tf.float64.size for dtype in floats)
        is_behind = bool(floats) and any(tensor.op in found for tensor in op.inputs)
        if op.type != "Const" and (is_narrow or is_behind):
            found.add(op)
    return found


def _updated(ops) -> set[str]:
    """The variables that some of `ops` assign."""
    return {op.inputs[0].op.name for op in ops if op.type.startswith("Assign")}


def _on_cpu():
    return tf.ConfigProto(device_count={"GPU": 0})  # CPUs agree best


def _run(
    session, record: Record, net: Net, tensors: dict, values: dict, images
) -> dict[str, np.ndarray]:
    """Recorded end point -> its value now; those that the network lacks are left out."""
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    feed = {**record.info["feed"], net.images: images}
    graph_lib.assign(session, values)
    now, penalties = session.run([tensors, losses], feed)
    now[REGULARIZATION] = np.sum(penalties, dtype=np.float64)
    if record.info["training"]:
        graph_lib.assign(session, values)  # some graphs update while they compute
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS), feed)
        moving = {AFTER + name: variable for name, variable in net.variables.items()}
        now |= session.run({name: moving[name] for name in moving if name in record.names})
    return now


def _compare(
    record: Record, case: str, now: Mapping[str, np.ndarray], float32: set[str]
) -> list[Measured]:
    samples, stats, shapes = record.end_points(case), record.stats(case), record.shapes(case)
    found = [
        _measured(case, name, now.get(name), shapes[name], samples[name], stats[name], record)
        for name in samples
    ]
    total = record.arrays.get(f"{case}|reg")
    if total is not None:
        error = _relative(abs(now[REGULARIZATION] - total), abs(float(total)))
        found.append(Measured(case, REGULARIZATION, error))
    narrow = case.startswith("float32")
    return [
        dataclasses.replace(m, precision="float32") if narrow or m.end_point in float32 else m
        for m in found
    ]


def _measured(case, name, value, shape, samples, stats, record: Record) -> Measured:
    if value is None:
        return Measured(case, name, math.inf, "missing")
    if value.shape != shape:
        return Measured(case, name, math.inf, f"shape {value.shape} where the record has {shape}")
    # The statistics cover every element, the samples show which ones; both are bounded by the
    # largest difference of an element.
    wide = value.astype(np.float64)
    now = [wide.mean(), wide.std(), wide.min(), wide.max()]
    gap = np.abs(take_samples(wide, record.info["samples"]) - samples).max()
    gap = max(gap, np.abs(np.subtract(now, stats)).max(), key=lambda x: (np.isnan(x), x))
    return Measured(case, name, _relative(gap, np.abs(stats[2:]).max()))


def _relative(gap: float, largest: float) -> float:
    if largest:
        return float(gap / largest)
    return 0.0 if gap == 0 else math.inf
