"""What is there already stays, unless --force is said; what is converted stays always."""

from __future__ import annotations

import pathlib
import re
import shutil

import pytest

import converters

THERE = "is there already: name another, or say --force to write over it"


@pytest.fixture
def checkpoint(data, tmp_path) -> pathlib.Path:
    """The prefix of a checkpoint in a folder of its own."""
    folder = tmp_path / "run"
    folder.mkdir()
    for file in (data / "resnext_cifar").glob("*.ckpt*"):
        shutil.copy(file, folder)
    (index,) = folder.glob("*.index")
    return index.with_suffix("")


def contents(folder: pathlib.Path) -> dict[pathlib.Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("of_report", [False, True], ids=["output", "report"])
def test_an_older_file_stays_without_force(tool, checkpoint, tmp_path, of_report):
    output, report = tmp_path / "net.safetensors", tmp_path / "report.json"
    older = report if of_report else output
    older.write_text("older")
    before = contents(tmp_path)
    args = (checkpoint, "--to", "torch", "--output", output, "--report", report, "--no-verify")
    found = tool("convert_checkpoint", *args)
    assert (found.returncode, found.stderr) == (2, f"error: {older} {THERE}\n")
    assert contents(tmp_path) == before
    found = tool("convert_checkpoint", *args, "--force")
    assert (found.returncode, found.stderr) == (0, "")
    assert older.read_bytes() != b"older"


def test_of_several_none_is_begun_where_one_is_there(tool, checkpoint, tmp_path):
    output = tmp_path / "out"
    output.mkdir()
    other = tmp_path / "other"
    shutil.copytree(checkpoint.parent, other)
    sources = (checkpoint, other / checkpoint.name)
    older = output / "run" / f"{checkpoint.name}.npz"
    older.parent.mkdir()
    older.write_text("older")
    args = (*sources, "--to", "npz", "--output", output, "--no-verify")
    before = contents(tmp_path)
    found = tool("convert_checkpoint", *args)
    assert (found.returncode, found.stderr) == (2, f"error: {older} {THERE}\n")
    assert contents(tmp_path) == before
    assert tool("convert_checkpoint", *args, "--force").returncode == 0
    assert len(contents(output)) == 2


@pytest.mark.parametrize("way", ["prefix", "index", "link", "dots"])
def test_what_is_converted_is_never_written_over(checkpoint, tmp_path, way):
    output = {
        "prefix": checkpoint,
        "index": f"{checkpoint}.index",
        "link": tmp_path / "link",
        "dots": checkpoint.parent / ".." / checkpoint.parent.name / checkpoint.name,
    }[way]
    if way == "link":
        output.symlink_to(f"{checkpoint}.index")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="it is what is converted"):
        converters.convert(checkpoint, output, "slim", verified=False, overwrite=True)
    assert contents(tmp_path) == before


def test_a_checkpoint_is_not_mixed_with_an_older_one(checkpoint, tmp_path):
    prefix = tmp_path / "model.ckpt"
    converters.convert(checkpoint, prefix, "slim", verified=False)
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match=r"model\.ckpt\.index is there already"):
        converters.convert(checkpoint, prefix, "slim", verified=False)
    assert contents(tmp_path) == before


def test_a_transcoded_checkpoint_is_another(tool, narrow, save_checkpoint, tmp_path):
    source = pathlib.Path(save_checkpoint(narrow("resnext_v1_50")))
    folder = tmp_path / "run"
    shutil.copytree(source.parent, folder)
    prefix = folder / source.name
    before = contents(folder)
    for force, message in ((), THERE), (("--force",), "it is what is converted"):
        found = tool("transcode_checkpoint", prefix, "--form", "concat", "--output", prefix, *force)
        assert found.returncode == 2
        assert message in found.stderr
        assert contents(folder) == before


OLDER = (".meta", ".data-00000-of-00001", ".data-00001-of-00002", "")


@pytest.mark.parametrize("part", OLDER)
def test_every_part_of_an_older_checkpoint_counts(checkpoint, tmp_path, part):
    """Its graph beside new weights would be taken for theirs."""
    prefix = tmp_path / "model.ckpt"
    older = prefix.with_name(prefix.name + part)
    older.write_text("older")
    beside = tmp_path / "model.ckpt-2.meta"  # another checkpoint's
    beside.write_text("another")
    with pytest.raises(FileExistsError, match=re.escape(f"{older} is there already")):
        converters.convert(checkpoint, prefix, "slim", verified=False)
    assert older.read_text() == "older"
    converters.convert(checkpoint, prefix, "slim", verified=False, overwrite=True)
    found = sorted(path.name for path in tmp_path.glob("model.ckpt*"))
    assert found == [
        "model.ckpt-2.meta", "model.ckpt.data-00000-of-00001", "model.ckpt.index",
    ]  # fmt: skip
    assert beside.read_text() == "another"


def test_a_report_is_no_part_of_the_output(checkpoint, tmp_path):
    report = tmp_path / "model.ckpt.index"
    with pytest.raises(ValueError, match="it is the report, too"):
        converters.convert(
            checkpoint, tmp_path / "model.ckpt", "slim", verified=False, report=report
        )
    assert not report.exists()
