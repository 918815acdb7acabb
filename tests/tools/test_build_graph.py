"""tools/build_graph.py"""

from __future__ import annotations

import pytest

from slim_resnet.arch import REGISTRY


def test_list(tool):
    found = tool("build_graph", "--list")
    assert found.returncode == 0
    for name in REGISTRY:
        assert name in found.stdout
    assert "25,028,904" in found.stdout


def test_resnext_50(tool):
    found = tool("build_graph", "--arch", "resnext_v1_50")
    assert (found.returncode, found.stderr) == (0, "")
    total = next(line for line in found.stdout.splitlines() if line.strip().startswith("total"))
    assert total.split() == ["total", "267", "25,028,904", "3,504,332,800"]


def test_options_reach_the_graph(tool, tmp_path):
    found = tool(
        "build_graph", "--arch", "resnet_v2_50", "--num-classes", 0, "--image-size", 65,
        "--output-stride", 8, "--batch-size", 2, "--training", "--seed", 1,
        "--output-dir", tmp_path / "out", "--init-checkpoint",
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    assert "9x9x2048" in found.stdout
    assert "1x1x" not in found.stdout
    import converters

    ckpt = converters.load_checkpoint(tmp_path / "out")
    assert (ckpt.arch.name, ckpt.num_classes) == ("resnet_v2_50", None)
    assert "postnorm" in (tmp_path / "out" / "graph.pbtxt").read_text()


@pytest.mark.slow
def test_the_same_seed_writes_the_same_checkpoint(tool, tmp_path):
    for name in ("a", "b"):
        found = tool(
            "build_graph", "--arch", "resnext_v1_50", "--num-classes", 2, "--seed", 7,
            "--output-dir", tmp_path / name, "--init-checkpoint",
        )  # fmt: skip
        assert found.returncode == 0, found.stderr
    data = "model.ckpt.data-00000-of-00001"
    assert (tmp_path / "a" / data).read_bytes() == (tmp_path / "b" / data).read_bytes()


def test_bad_input(tool):
    for args, message in (
        (["--arch", "resnext_50"], "did you mean"),
        (["--arch", "resnext_v1_50", "--output-stride", "12"], "multiple of 4|cannot be reached"),
        ([], "--arch NAME"),
        (["--arch", "resnet_v1_50", "--init-checkpoint"], "needs --output-dir"),
    ):
        found = tool("build_graph", *args)
        assert found.returncode == 2
        assert any(part in found.stderr for part in message.split("|"))
        assert "Traceback" not in found.stderr
