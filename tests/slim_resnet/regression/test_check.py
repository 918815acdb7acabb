"""Every record that TensorFlow 1.15 made against its network on today's TensorFlow."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from converters.files.checkpoint import open_checkpoint
from slim_resnet.arch.parts import PARITY
from slim_resnet.regression.measured import measure, weight_values
from slim_resnet.regression.network_check import check
from slim_resnet.regression.rebuilt import rebuild
from slim_resnet.regression.record import RecordError

FOLDER = pathlib.Path(__file__).parents[2] / "data" / "legacy_records"
RECORDS = sorted(path.stem for path in FOLDER.glob("*.npz"))
STRUCTURE = ("graph", "regularization losses", "variables", "collections")
# Cases that are run, of records whose other cases would take long and show no more.
CASES = {
    "resnet_v1_50": ["float32|64x64"],
    "resnet_v1_50_train": ["float32|33x47"],
    "resnet_v2_152": ["float64|33x47"],
    "slim_v1_meta": ["float64|64x64"],
}
# A graph that is "same" because little of it was looked at would be no proof. Convolutions, batch
# norms, ReLUs, sums, pads, pools; mean, bias, softmax and its two reshapes (what the last reshapes
# to follows from the input's shape and is compared by its values, no node); for each batch norm two
# updates of three nodes (1 - decay is a constant).
NODES = {"resnet_v1_50_train": 54 + 53 + 49 + 16 + 4 + 4 + 5 + 53 * 6}


# Of the records, those that are rebuilt each time: inference and training.
FAST = ("resnet_v1_50", "resnet_v2_50_os8", "resnet_v1_50_train")


def test_there_are_records():
    assert set(CASES) < set(RECORDS)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name not in FAST else ()) for name in RECORDS],
)
def test_it_is_the_network_that_was_recorded(read, builder, data, name):
    record = read(name)
    weights = open_checkpoint(data / "slim_v1/v2") if name.startswith("slim_v1") else None
    cases = CASES.get(name, [])
    checked = check(record, builder(record), checkpoint=weights, cases=cases)
    assert checked.first is None

    verdicts = {aspect.name: aspect.verdict for aspect in checked.aspects}
    lacking = STRUCTURE[1:] if name == "slim_v1_frozen" else ()
    assert all(verdicts[aspect] == ("-" if aspect in lacking else "same") for aspect in STRUCTURE)
    for dtype in ("float32", "float64"):
        run = any(case.startswith(dtype) for case in cases)
        decides = run and not (record.info["training"] and dtype == "float32")
        assert verdicts[f"numbers {dtype}"] == ("same" if decides else "-")
    assert checked.aspects[0].detail.startswith(f"{NODES.get(name, '')}")
    losses = record.info["mode"] != "frozen"  # their sum is measured, too
    assert len(checked.measured) == len(cases) * (len(record.names) + losses)


def test_another_checkpoint_is_refused(read, builder, data):
    record = read("slim_v1_meta")
    net = rebuild(record, builder(record))
    weights = dict(open_checkpoint(data / "slim_v1/v2"))
    assert len(weight_values(record, net, weights)) == len(record.info["variables"])
    name = "resnet_v1_50/block3/unit_2/bottleneck_v1/conv2/BatchNorm/gamma"
    with pytest.raises(RecordError, match=f"{name} had another value"):
        weight_values(record, net, {**weights, name: weights[name] + 1e-6})
    del weights[name]
    with pytest.raises(RecordError, match=f"the checkpoint has no {name}"):
        weight_values(record, net, weights)


def test_a_variable_that_was_not_recorded_has_no_numbers(read, builder, data):
    record = read("slim_v1_meta")
    weights = open_checkpoint(data / "slim_v1/v2")
    build = builder(record, scope="net")
    checked = check(record, build, checkpoint=weights, cases=["float32|64x64"])
    assert "has no net/conv1/weights" in checked.aspects[-2].differences[0]
    assert checked.measured == ()


def test_a_moving_statistic_and_a_statistic_of_an_end_point_that_differ(read, builder):
    """Of a training step nothing else does; the elements that no sample shows are compared, too."""
    record = read("resnet_v1_50_train")
    case = "float64|33x47"
    samples, stats = (record.arrays[f"{case}|{kind}"].copy() for kind in ("samples", "stats"))
    moved = "after|resnet_v1_50/conv1/BatchNorm/moving_variance"
    start = next(e for e in record.info["end_points"] if e["name"] == moved)["offsets"][case]
    samples[start + 7] *= 1 + 1e-9
    stats[record.names.index("resnet_v1_50/block4")][3] *= 1 + 1e-9
    arrays = {**record.arrays, f"{case}|samples": samples, f"{case}|stats": stats}
    edited = dataclasses.replace(record, arrays=arrays)
    net = rebuild(record, builder(record), "float64")
    found = measure(edited, net, net.counterparts(record), [case], None)
    assert [m.end_point for m in found if m.exceeds(PARITY["float64"])] == [
        "resnet_v1_50/block4",
        moved,
    ]
