"""tools/transcode_checkpoint.py, as a process."""

from __future__ import annotations

import numpy as np

import converters


def test_another_form_and_what_one_should_know(tool, narrow, save_checkpoint, tmp_path):
    source = save_checkpoint(narrow("resnext_v1_50"))
    args = ("--form", "concat", "--convention", "torchvision", "--output", tmp_path / "new.ckpt")
    found = tool("transcode_checkpoint", source, *args)
    assert (found.returncode, found.stderr) == (0, "")
    note, last = found.stdout.splitlines()
    assert note.startswith("note: ")
    assert note.endswith("has convention slim, but torchvision was asked for and is taken")
    assert last.startswith(f"wrote {tmp_path / 'new.ckpt'}: grouped -> concat, 148 -> ")
    there = converters.load_checkpoint(tmp_path / "new.ckpt")
    assert there.arch.form == "concat"
    for name, value in converters.load_checkpoint(source).weights().items():
        np.testing.assert_array_equal(there.weights()[name], value)


def test_a_form_that_the_network_has_not(tool, data, tmp_path):
    args = ("--form", "branches", "--output", tmp_path / "new.ckpt")
    found = tool("transcode_checkpoint", data / "slim_v1" / "v2", *args)
    assert found.returncode == 2
    assert "only a ResNeXt unit has the form 'branches'" in found.stderr
    assert list(tmp_path.iterdir()) == []
