"""Damaged files of every kind, and any bytes for the parsers below the formats.

`tools/fuzz_readers.py` does the same a hundred thousand times.
"""

from __future__ import annotations

import contextlib
import json
import pathlib
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
from fuzzing import campaign, graphs, judge, samples
from fuzzing.handmade import snappy, table_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from converters import load_checkpoint, verify
from converters.files import CheckpointError
from converters.files.checkpoint import open_checkpoint
from converters.files.checkpoint.snappy import decompress
from converters.files.checkpoint.table import Table
from converters.files.checkpoint.writer import write_bundle
from converters.files.errors import Malformed
from converters.files.textproto import serialize
from converters.files.wire import Message, encode_varint, read_varint
from converters.recognise.recorded import recorded_arch
from slim_resnet import arch as arch_lib

ROOT = pathlib.Path(__file__).parents[2]
CASES = 60  # of each sample
GRAPH_CASES = 25  # of each graph that is read whole
LIGHT = [name for name, sample in samples.SAMPLES.items() if not sample.needs]
ANY_FOLDER = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The samples that need no framework."""
    folder = tmp_path_factory.mktemp("whole")
    samples.make(folder, lambda name: False)
    return folder


@pytest.mark.parametrize("name", LIGHT)
def test_damaged_files(whole, tmp_path, name):
    bench = campaign.Bench(whole, name, seed=7, folder=tmp_path / "files")
    cases = GRAPH_CASES if name.endswith("as a network") else CASES
    outcomes = [bench.judged(case) for case in range(100, 100 + cases)]
    assert [reason for outcome, reason in outcomes if outcome is judge.Outcome.FAILED] == []
    assert judge.Outcome.REFUSED in {outcome for outcome, _ in outcomes}


def test_the_judge_finds_what_is_wrong(tmp_path):
    """A fuzzer that cannot fail finds nothing."""

    def outcome(read, checked=True):
        judged = judge.Judge(read, {"a": 1}, checked=checked)(str(tmp_path / "x"), str(tmp_path), 9)
        return judged[0]

    def refuse(text):
        def read(path):
            raise CheckpointError(text)

        return read

    assert outcome(lambda path: {"a": 1}) is judge.Outcome.SAME
    assert outcome(lambda path: {"a": 2}) is judge.Outcome.FAILED
    assert outcome(lambda path: {"a": 2}, checked=False) is judge.Outcome.OTHER
    assert outcome(lambda path: {"a": len(bytes(1 << 24))}, checked=False) is judge.Outcome.FAILED
    assert outcome(lambda path: 1 // 0) is judge.Outcome.FAILED
    assert outcome(refuse(f"{tmp_path}/x: it is damaged.")) is judge.Outcome.REFUSED
    assert outcome(refuse("it is damaged.")) is judge.Outcome.FAILED


@pytest.mark.parametrize("name", ["lrn", "unet_shape", "train_cond_ema_moments"])
def test_a_graph_is_taken_apart_and_put_together(data, name):
    content = (data / f"wild/{name}/model.ckpt-100.meta").read_bytes()
    assert graphs.joined(graphs.parse(content)) == content


@pytest.mark.parametrize("mutation", dict.fromkeys(graphs.MUTATIONS))
def test_a_graph_that_is_changed_in_one_way_is_read_or_refused(whole, tmp_path, mutation):
    """Rings, thousands of operations in a row and 2^60 ways through the graph among them."""
    name = "layers_placeholder.meta as a network"
    bench = campaign.Bench(whole, name, seed=1, folder=tmp_path / "files")
    target = bench.path.with_name("model.ckpt-100.meta")
    content, changed = target.read_bytes(), 0
    for seed in range(4):
        fields = graphs.parse(content)
        place = next(i for i, field in enumerate(fields) if field[0] == 2)
        graph = graphs.mutated(random.Random(seed), fields[place][2], [mutation])
        fields[place] = (*fields[place][:2], graph)
        damaged = graphs.joined(fields)
        changed += damaged != content
        target.write_bytes(damaged)
        outcome, reason = bench.judge(str(bench.path), str(bench.folder), len(damaged))
        assert outcome is not judge.Outcome.FAILED, reason
    assert changed


@pytest.mark.parametrize(
    ("name", "seed", "proved"),
    [
        ("lrn", 52, True),
        ("lrn", 56, True),
        ("unet_shape", 46, True),
        ("unet_shape", 15, False),
    ],
)
def test_a_damaged_graph_that_is_another_network_is_proved_or_refused(
    data, tmp_path, name, seed, proved
):
    """TensorFlow runs the graph as it is now: what is read of it is that, never what it was."""
    pytest.importorskip("tensorflow")
    pytest.importorskip("torch")
    shutil.copytree(data / "wild" / name, tmp_path, dirs_exist_ok=True)
    prefix, meta = tmp_path / "model.ckpt-100", tmp_path / "model.ckpt-100.meta"
    before = load_checkpoint(prefix).network.layers
    meta.write_bytes(graphs.spoil_meta(random.Random(seed), meta.read_bytes()))
    ckpt = load_checkpoint(prefix)
    assert ckpt.network.layers != before
    expected = contextlib.nullcontext() if proved else pytest.raises(CheckpointError, match="/mod")
    with expected:
        assert verify(ckpt, ["torch"], image_sizes=[(33, 37)]).passed


@pytest.mark.slow
def test_the_tool_reads_every_kind(tmp_path):
    tool = ROOT / "tools/fuzz_readers.py"
    command = [sys.executable, str(tool), "--cases", "1500", "--keep", str(tmp_path / "kept")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, ""), found.stdout
    for name in samples.SAMPLES:
        assert name in found.stdout
    assert not (tmp_path / "kept").exists()


# -- any bytes ------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes(content):
    """The parsers refuse what they do not understand, and raise nothing else."""
    parsers = (Message, decompress, lambda data: list(Table(data).items()))
    for parse in (*parsers, lambda data: serialize(data, "GraphDef")):
        try:
            parse(content)
        except Malformed:
            continue


@given(st.integers(0, 2**64 - 1), st.binary(max_size=5))
def test_varints(value, rest):
    encoded = encode_varint(value)
    assert read_varint(encoded + rest, 0) == (value, len(encoded))


@given(st.lists(st.binary(max_size=9), max_size=40), st.booleans())
def test_snappy(parts, twice):
    text = b"".join(parts) * (1 + twice)
    assert decompress(snappy(text)) == text


@given(
    st.dictionaries(st.binary(min_size=1, max_size=40), st.binary(max_size=60), max_size=30),
    st.integers(1, 9),
    st.booleans(),
)
def test_tables(items, per_block, compressed):
    expected = sorted(items.items())
    content = table_bytes(expected, snappy if compressed else None, per_block)
    table = Table(content)
    assert [(key, bytes(value)) for key, value in table.items()] == expected
    for key, value in expected:
        assert table.get(key) == value


@ANY_FOLDER
@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20),
        st.one_of(
            arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0, max_side=4))
            for dtype in ("<f4", ">f8", "<i8", "u1", "?", "<c8", "<f2")
        ),
        max_size=6,
    )
)
def test_any_arrays_are_read_as_they_were_written(tmp_path, tensors):
    write_bundle(tmp_path / "m", tensors)
    found = open_checkpoint(tmp_path / "m", verify=True)
    assert set(found) == set(tensors)
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        assert found[name].tobytes() == np.asarray(array, array.dtype.newbyteorder("=")).tobytes()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@given(st.sampled_from(sorted(json.loads(arch_lib.get("resnet_cifar_20").to_json()))), JSON)
def test_any_architecture(field, value):
    """Whatever a file says of its architecture: an `Arch` that can be built, or an error."""
    fields = json.loads(arch_lib.get("resnet_cifar_20").to_json()) | {field: value}
    try:
        arch = recorded_arch("net", {"slim_resnet.arch": json.dumps(fields)}, 200)
    except CheckpointError:
        return
    assert len(arch.variables) < 2000


@pytest.mark.parametrize(
    "changes",
    [
        {"num_classes": 0},
        {"num_classes": 1.5},
        {"cardinality": True},
        {"batch_norm_epsilon": float("nan")},
        {"batch_norm_decay": 2.0},
        {"output_stride": 7},
        {"stages": []},
        {"stages": [{"num_units": 10**9, "depth": 16, "depth_bottleneck": 16, "stride": 1}]},
        {"stages": [{"num_units": 1, "depth": -1, "depth_bottleneck": 16, "stride": 1}]},
    ],
)
def test_absurd_architectures(changes):
    fields = json.loads(arch_lib.get("resnet_cifar_20").to_json()) | changes
    with pytest.raises(CheckpointError, match="its architecture .* cannot be used"):
        recorded_arch("net", {"slim_resnet.arch": json.dumps(fields)}, 200)


def test_nested_without_end():
    with pytest.raises(CheckpointError, match="cannot be used"):
        recorded_arch("net", {"slim_resnet.arch": "[" * 100_000}, 200)
