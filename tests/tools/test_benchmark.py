"""tools/benchmark.py"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from converters import benchmark
from slim_resnet import arch as arch_lib

SMALL = ["--arch", "resnet_cifar_20", "--batch", "2", "--rounds", "2", "--warm-up", "1"]


def test_candidates_side_by_side(tool, tmp_path):
    out, chart = tmp_path / "times.json", tmp_path / "times.png"
    found = tool(
        "benchmark", *SMALL, "--engine", "slim-frozen,torch", "--layout", "channels_last",
        "--size", "32x48", "--threads", 2, "--ratio-to", "torch", "--json", out, "--chart", chart,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    assert "resnet_cifar_20 (torchvision convention), batch 2 at 32x48, float32" in found.stdout
    assert chart.read_bytes().startswith(b"\x89PNG")
    written = json.loads(out.read_text())
    assert written["options"]["threads"] == 2
    assert written["machine"]["versions"]["tensorflow"].startswith("2.")
    frozen, torch = written["results"]
    assert [r["candidate"] for r in (frozen, torch)] == ["slim-frozen", "torch, channels_last"]
    work = 2 * benchmark.flops(arch_lib.get("resnet_cifar_20"), (32, 48))
    for row in (frozen, torch):
        assert row["candidate"] in found.stdout
        assert len(row["seconds"]) == 2
        assert row["mean"] == pytest.approx(np.mean(row["seconds"]))
        assert row["images_per_second"] == pytest.approx(2 / row["mean"])
        assert row["gflops"] == pytest.approx(work / row["mean"] / 1e9)
        assert 50e6 < row["peak_bytes"] < 4e9
        assert row["difference"] < 1e-5
        ratios = np.divide(row["seconds"], torch["seconds"])
        np.testing.assert_allclose(row["ratios"], np.percentile(ratios, [25, 50, 75]))


@pytest.mark.slow
def test_backward_is_a_table_of_its_own(tool, tmp_path):
    found = tool(
        "benchmark", *SMALL, "--engine", "slim,slim-frozen", "--backward", "--json",
        tmp_path / "times.json",
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    rows = json.loads((tmp_path / "times.json").read_text())["results"]
    assert [(row["candidate"], row["work"]) for row in rows] == [
        ("slim", "forward"),
        ("slim-frozen", "forward"),
        ("slim", "forward + backward"),
    ]
    assert rows[2]["flops"] > 2.9 * rows[0]["flops"]


@pytest.mark.slow
def test_every_engine_and_form(tool, tmp_path):
    engines = ",".join(benchmark.ENGINES)
    found = tool(
        "benchmark", "--arch", "resnext_v1_50", "--size", 64, "--batch", 2, "--rounds", 1,
        "--engine", engines, "--form", "grouped,concat,branches", "--backward",
        "--json", tmp_path / "times.json",
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    rows = json.loads((tmp_path / "times.json").read_text())["results"]
    forward = [row for row in rows if row["work"] == "forward"]
    assert (len(forward), len(rows)) == (11, 19)
    assert max(row["difference"] for row in forward) < 1e-5
    assert {row["convention"] for row in rows} == {"torchvision"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--arch", "resnext_50"], "did you mean"),
        ([*SMALL, "--engine", "slim,jax"], "unknown engine 'jax'"),
        ([*SMALL, "--batch", "0"], "use 1 or more"),
        ([*SMALL, "--size", "0"], "use 1 or more"),
        ([*SMALL, "--size", "big"], "invalid image_size value"),
        ([*SMALL, "--rounds", "0"], "numbers are positive"),
        ([*SMALL, "--form", "branches"], "only a ResNeXt unit"),
        ([*SMALL, "--ratio-to", "keras"], "no candidate is called 'keras'"),
        ([*SMALL, "--engine", "torchvision"], "torchvision has no resnet_cifar_20"),
        (["--arch", "resnet_v2_50", "--convention", "torchvision"], "no pre-activation nets"),
        ([*SMALL, "--json", "missing/times.json"], "missing does not exist"),
        ([*SMALL, "--chart", "times.xyz"], "times.xyz"),
    ],
)
def test_bad_input(tool, args, message):
    found = tool("benchmark", *args)
    assert (found.returncode, found.stdout) == (2, "")
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_what_is_not_installed_is_named(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['torch'] = None\n")
    tools = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "benchmark.py")
    found = subprocess.run(
        [sys.executable, tools, *SMALL, "--engine", "torch"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert found.returncode == 2
    assert (
        found.stderr
        == "error: this needs PyTorch: pip install -e '.[torch]' in the folder of slim-resnet\n"
    )


@pytest.mark.slow
def test_a_candidate_that_fails_leaves_the_others(tmp_path):
    """A PyTorch that ends the process, as the system does when memory runs out."""
    (tmp_path / "torch.py").write_text("import os; os.kill(os.getpid(), 9)\n")
    tools = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "benchmark.py")
    found = subprocess.run(
        [sys.executable, tools, *SMALL, "--engine", "torch,slim-frozen", "--layout", "contiguous"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert found.returncode == 1
    assert found.stderr == "torch: was killed: was there too little memory?\n"
    row = next(line.split() for line in found.stdout.splitlines() if "slim-frozen" in line)
    assert row[-1] == "0.0e+00"
