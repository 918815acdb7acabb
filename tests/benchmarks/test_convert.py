"""benchmarks/convert.py: every candidate is compared, timed and written."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from converters.formats.safetensors_file import write_safetensors
from converters.recognise.transforms import contiguous

BENCHMARKS = pathlib.Path(__file__).parents[2] / "benchmarks"
UNVERIFIED = ["ours", "usual script", "cp", "cp + sync", "import numpy"]
CANDIDATES = [*UNVERIFIED, "ours, verified", "import both"]


def run(*args):
    command = [sys.executable, str(BENCHMARKS / "convert.py"), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def convert(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import convert

    return convert


@pytest.mark.slow
def test_every_candidate_is_timed(tmp_path):
    out = tmp_path / "times.json"
    found = run("--arch", "resnet_cifar_20", "--rounds", 2, "--json", out)
    assert (found.returncode, found.stderr) == (0, "")
    rows = json.loads(out.read_text())["candidates"]
    assert [row["candidate"] for row in rows] == CANDIDATES
    times = {row["candidate"]: np.array(row["seconds"]) for row in rows}
    for row in rows:
        ours = times["ours" if row["candidate"] in UNVERIFIED else "ours, verified"]
        assert row["candidate"] in found.stdout
        assert len(row["seconds"]) == len(row["peak_bytes"]) == 2
        assert min(row["seconds"]) > 0
        ratios = np.percentile(ours / row["seconds"], [25, 50, 75])
        np.testing.assert_allclose(row["ratios"], ratios)


def test_a_file_that_cannot_be_written_is_named_before_the_work(tmp_path):
    found = run("--json", tmp_path / "missing" / "times.json")
    assert found.returncode == 2
    assert "missing does not exist" in found.stderr


def test_memory_is_that_of_the_command_not_of_this_process(convert, tmp_path):
    ballast = np.ones(50_000_000)  # 400 MB
    _, small = convert.measure([sys.executable, "-c", "pass"], tmp_path / "none")
    _, large = convert.measure([sys.executable, "-c", "b'x' * 100_000_000"], tmp_path / "none")
    assert 0 < small < large - 90_000_000 < ballast.nbytes


def test_a_command_that_fails_ends_the_benchmark(convert, tmp_path):
    with pytest.raises(SystemExit, match="(?s)failed.*no such thing"):
        convert.measure([sys.executable, "-c", "raise SystemExit('no such thing')"], tmp_path / "x")


@pytest.mark.slow
def test_what_differs_is_not_timed(convert, tmp_path):
    torch = pytest.importorskip("torch")
    from slim_resnet import arch as arch_lib

    arch = arch_lib.get("resnet_cifar_20")
    prefix, _ = convert.write_checkpoint(arch, tmp_path)
    commands = convert.candidates(prefix)
    ours, usual = commands["ours"][1], commands["usual script"][1]
    convert.measure(*commands["ours"])
    convert.measure(*commands["usual script"])
    convert.compare(arch, ours, usual)
    state = torch.load(usual)
    next(iter(state.values())).view(-1)[0] += 1
    torch.save(state, usual)
    with pytest.raises(SystemExit, match="differs between ours.safetensors and usual.pt"):
        convert.compare(arch, ours, usual)


LAYOUTS = {
    "scalar": np.float32(3).reshape(()),
    "vector": np.arange(5, dtype=np.float64),
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
    "transposed": np.arange(400 * 700, dtype=np.float32).reshape(400, 700).T,
    "kernel": np.arange(3 * 3 * 130 * 70, dtype="f2").reshape(3, 3, 130, 70).transpose(3, 2, 0, 1),
    "large": np.arange(1 << 21, dtype=np.float32).reshape(1024, 2048).T,
    "unaligned": np.frombuffer(bytes(41), np.float32, 10, offset=1).reshape(2, 5).T,
    "big-endian": np.arange(6, dtype=">f4").reshape(2, 3).T,
    "empty": np.zeros((0, 3), np.float32),
    "empty rows": np.zeros((3, 0), np.float32),
    "größe": np.arange(3, dtype=np.int64),
    "bytes": np.arange(3, dtype=np.uint8),
}


def test_safetensors_reads_what_write_safetensors_writes(tmp_path):
    from safetensors import safe_open

    path = tmp_path / "net.safetensors"
    write_safetensors(LAYOUTS, path, {"format": "pt", "quote": '"é"'})
    with safe_open(path, "numpy") as file:
        assert file.metadata() == {"format": "pt", "quote": '"é"'}
        assert set(file.keys()) == set(LAYOUTS)
        for name, expected in LAYOUTS.items():
            found = file.get_tensor(name)
            assert found.dtype == expected.dtype.newbyteorder("="), name
            np.testing.assert_array_equal(found, expected, strict=name != "big-endian")


def test_the_file_is_byte_for_byte_the_librarys(tmp_path):
    from safetensors.numpy import save_file

    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    write_safetensors(LAYOUTS, ours, {"format": "pt"})
    packed = {
        name: contiguous(array).astype(array.dtype.newbyteorder("="))
        for name, array in LAYOUTS.items()
    }
    save_file(packed, theirs, {"format": "pt"})
    assert ours.read_bytes() == theirs.read_bytes()


def test_a_type_without_a_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="x: no safetensors type is known for complex64"):
        write_safetensors({"x": np.zeros(2, np.complex64)}, tmp_path / "x.safetensors", {})
