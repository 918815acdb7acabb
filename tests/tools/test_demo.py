"""tools/demo.py: the proof that `make demo` shows."""

from __future__ import annotations

import numpy as np
import pytest


def test_the_demo_proves_and_writes(tool, data, tmp_path):
    found = tool("demo", data / "slim_v1/v2", data / "slim_v1/outputs.npz", tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert "the outputs match" in found.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["resnet.keras", "resnet.safetensors"]


@pytest.mark.slow
def test_the_demo_can_fail(tool, data, tmp_path):
    recorded = dict(np.load(data / "slim_v1/outputs.npz"))
    recorded["64x64|ep|resnet_v1_50/block3"] *= 1.001
    np.savez(tmp_path / "outputs.npz", **recorded)
    found = tool("demo", data / "slim_v1/v2", tmp_path / "outputs.npz", tmp_path)
    assert found.returncode == 1
    assert "THE OUTPUTS DIFFER" in found.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["outputs.npz"]
