"""tools/inspect_checkpoint.py, as a process: what it says, and what it is not sure of."""

from __future__ import annotations

import shutil

import numpy as np
import pytest


@pytest.fixture(scope="module")
def with_graph(data, tmp_path_factory):
    """A checkpoint of TensorFlow 1.15 with its graph beside it."""
    folder = tmp_path_factory.mktemp("graph") / "v2"
    shutil.copytree(data / "slim_v1" / "v2", folder)
    shutil.copy(data / "slim_v1" / "inference.meta", folder / "model.ckpt-60.meta")
    return folder


def facts(found) -> dict[str, str]:
    """The rows of the table, folded lines joined."""
    assert (found.returncode, found.stderr) == (0, "")
    rows, name = {}, ""
    for line in found.stdout.splitlines()[2:]:
        name = line[:26].strip() or name
        rows[name] = f"{rows.get(name, '')} {line[26:].strip()}".strip()
    return rows


def test_what_is_known_and_what_is_assumed(tool, data, with_graph):
    alone, known = (
        facts(tool("inspect_checkpoint", path)) for path in (data / "slim_v1" / "v2", with_graph)
    )
    assert alone["convention"] == "slim (assumed: weights do not tell, see --convention)"
    assert known["convention"] == "slim (the graph's)"
    assert alone["weight decay"] == "0.0001 (assumed: slim's default)"
    assert known["weight decay"] == "0.0001 (the graph)"
    for rows in (alone, known):
        assert rows["classes"] == "10"
        assert rows["preprocessing"].startswith("RGB, 0 to 255, minus the means 123.68")
        assert rows["optimizer slots"].startswith("161: resnet_v1_50/block1/unit_1/")
        assert rows["training state"] == "1: global_step"


def test_a_convention_against_the_graph_is_noted(tool, with_graph):
    found = tool("inspect_checkpoint", with_graph, "--convention", "torchvision")
    assert facts(found)["convention"] == "torchvision (as you said)"
    assert "note: " in found.stdout
    assert "the graph has convention slim, but torchvision was asked for" in " ".join(
        found.stdout.split()
    )


def test_rules_and_what_they_leave(tool, data, tmp_path):
    import converters

    reference = converters.load_checkpoint(data / "slim_v1" / "v2")
    arrays = {name.replace("/", "."): value for name, value in reference.stored().items()}
    np.savez(tmp_path / "dump.npz", **arrays, loss=np.float32(1), other=np.float32(2))
    rules = tmp_path / "rules.toml"
    rules.write_text(
        "[[rule]]\nmatch = 'conv1.BatchNorm.(.*)'\nname = 'conv1/BatchNorm/{1}'\n"
        "[[rule]]\nmatch = '(conv1|logits).(.*)'\nname = '{1}/{2}'\n"
        "[[rule]]\nmatch = '(block.).(unit_.).(\\w+).(\\w+).BatchNorm.(.*)'\n"
        "name = '{1}/{2}/{3}/{4}/BatchNorm/{5}'\n"
        "[[rule]]\nmatch = '(block.).(unit_.).(\\w+).(\\w+).weights'\n"
        "name = '{1}/{2}/{3}/{4}/weights'\n"
        "[[rule]]\nmatch = 'loss'\ndrop = true\n[[rule]]\nmatch = 'nothing'\ndrop = true\n"
    )
    found = tool("inspect_checkpoint", tmp_path / "dump.npz", "--rules", rules)
    rows = facts(found)
    assert rows["recognised as"].startswith("resnet_v1_custom: resnet_v1, 3-4-6-3 units")
    assert rows["dropped by the rules"] == "1: loss"
    assert rows["unknown variables"] == "1: other"
    said = " ".join(found.stdout.split())
    assert "rule 6 ('nothing') decides on no variable" in said
    assert "no rule fits 1 variables, which keep their names: other" in said
    rules.write_text("[[rule]]\nmatch = '('\n")
    wrong = tool("inspect_checkpoint", tmp_path / "dump.npz", "--rules", rules)
    assert wrong.returncode == 2
    assert "rules.toml: rule 1: it needs `match`, and either `name` or `drop" in wrong.stderr


def test_a_converted_file_says_what_it_is(tool, data, tmp_path):
    import converters
    from converters import formats

    ckpt = converters.load_checkpoint(data / "slim_v2" / "v2")
    formats.writer("torch", tmp_path / "net.safetensors")(ckpt)
    found = tool("inspect_checkpoint", tmp_path / "net.safetensors")
    assert found.returncode == 1  # its names are torch's
    said = " ".join(found.stdout.split())
    for fact in ("What the file says of itself", "source model.ckpt-60", "global_step 60",
                 "preprocessing RGB, scaled to -1 to 1", "--from torch"):  # fmt: skip
        assert fact in said
