"""What a killed writer leaves is removed by the next one; what a living one has is not."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest

from slim_resnet import files

# Writes a file, and ends when its input does.
WRITER = """
import sys
from slim_resnet import files
kind, target, content = sys.argv[1:]
with getattr(files, kind)(target) as path:
    if kind == "atomic_new_folder":
        path.mkdir()
    (path / "file" if path.is_dir() else path).write_text(content)
    print("writing", flush=True)
    sys.stdin.read()
"""
KINDS = ("atomic_path", "atomic_files", "atomic_folder", "atomic_new_folder")


@pytest.fixture
def start():
    """start(kind, target, content) -> a process in the middle of writing."""
    with contextlib.ExitStack() as stack:

        def begin(*args):
            process = subprocess.Popen(
                [sys.executable, "-c", WRITER, *map(str, args)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout.readline() == "writing\n"
            return process

        yield begin


def hidden(folder):
    return [path for path in folder.rglob(".*") if path.name.endswith(".partial")]


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_writer_removes_what_a_killed_one_left(kind, start, tmp_path):
    target = tmp_path / "target"
    killed = start(kind, target, "killed")
    killed.kill()
    killed.wait()
    assert len(hidden(tmp_path)) == 1
    start(kind, target, "whole").communicate()
    assert hidden(tmp_path) == []
    written = target if target.is_file() else target / "file"
    assert written.read_text() == "whole"


@pytest.mark.parametrize("kind", ["atomic_path", "atomic_folder"])
def test_a_living_writer_keeps_its_own(kind, start, tmp_path):
    target = tmp_path / "target"
    slow = start(kind, target, "slow")
    start(kind, target, "quick").communicate()
    files.remove_stale(target if target.is_dir() else tmp_path)
    assert len(hidden(tmp_path)) == 1
    written = target if target.is_file() else target / "file"
    assert written.read_text() == "quick"
    slow.communicate()
    assert slow.returncode == 0
    assert written.read_text() == "slow"
    assert hidden(tmp_path) == []


def test_what_is_not_ours_stays(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    folder = tmp_path / "folder"
    (folder / ".net.pt.settings").mkdir(parents=True)
    (folder / "net.pt.abcd1234.partial").mkdir()
    (folder / ".file.abcd1234.partial").write_text("not a folder")
    (folder / ".link.abcd1234.partial").symlink_to(outside)
    before = sorted(folder.iterdir())
    with files.atomic_path(folder / "net.pt") as path:
        path.write_text("new")
    assert sorted(folder.iterdir()) == sorted([*before, folder / "net.pt"])
    assert (outside / "file").read_text() == "precious"


def test_file_systems_without_locks(tmp_path, monkeypatch):
    """Nothing tells the dead from the living there, so everything stays."""
    monkeypatch.setattr(files, "fcntl", None)
    (tmp_path / ".net.pt.abcd1234.partial").mkdir()
    with files.atomic_path(tmp_path / "net.pt") as path:
        path.write_text("new")
    assert (tmp_path / "net.pt").read_text() == "new"
    assert [path.name for path in hidden(tmp_path)] == [".net.pt.abcd1234.partial"]


@pytest.mark.parametrize("name", ["locked", "/proc"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, name):
    """And not the hidden one in it; the super-user may write anywhere but in /proc."""
    folder = tmp_path / name
    if name == "locked":
        folder.mkdir(mode=0o500)
    if not folder.is_dir() or (name == "locked" and os.access(folder, os.W_OK)):
        pytest.skip("this system, or this user, has no such folder")
    expected = pytest.raises(OSError, match=f"written into the folder {folder} ")
    with expected as caught, files.atomic_path(folder / "net.pt"):
        pass
    assert ".partial" not in str(caught.value)
