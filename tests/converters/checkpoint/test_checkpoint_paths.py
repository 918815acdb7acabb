"""Finding a checkpoint: the `checkpoint` file and its tricks, and what is missing."""

from __future__ import annotations

import os
import shutil

import pytest

from converters.files import CheckpointError
from converters.files.checkpoint import open_checkpoint


@pytest.fixture
def folder(data, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(data / "slim_v1/v2", folder)
    return folder


def state(folder, text):
    (folder / "checkpoint").write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize(
    "text",
    [
        'model_checkpoint_path: "model.ckpt-60"',
        "model_checkpoint_path:'model.ckpt-60'",
        'all_model_checkpoint_paths: "old"\nmodel_checkpoint_path : "./model.ckpt-60"\n',
        'model_checkpoint_path: "/home/someone/run/model.ckpt-60"',
        'model_checkpoint_path: "C:\\\\runs\\\\model.ckpt-60"',
        'model_checkpoint_path: "\\\\\\\\host\\\\model.ckpt-60"',
        'model_checkpoint_path: "gs://bucket/run/model.ckpt-60"',
        'model_checkpoint_path: "model\\056ckpt\\x2d60"',
        'model_checkpoint_path: "{here}/model.ckpt-60"',
        'model_checkpoint_path: "{here}//somewhere/model.ckpt-60"',
    ],
)
def test_checkpoint_file(folder, text):
    state(folder, text.replace("{here}", str(folder)))
    for path in (folder, folder / "checkpoint"):
        assert open_checkpoint(path).path.endswith("model.ckpt-60")


def test_checkpoint_file_with_a_subfolder(folder):
    (folder / "best").mkdir()
    for file in folder.glob("model*"):
        shutil.move(file, folder / "best")
    for path in ("best/model.ckpt-60", f"{folder}/best/model.ckpt-60"):
        state(folder, f'model_checkpoint_path: "{path}"')
        assert len(open_checkpoint(folder)) == 696


@pytest.mark.parametrize(
    "path",
    [
        "../other/model.ckpt-60",
        "best/../../other/model.ckpt-60",
        "{here}/../other/model.ckpt-60",
        "..\\\\other\\\\model.ckpt-60",
        "\\056\\056/other/model.ckpt-60",
        "..",
        "",
        "best/",
    ],
)
def test_checkpoint_file_that_leads_outside(folder, data, path):
    shutil.copytree(data / "slim_v1/v2", folder.parent / "other")
    state(folder, f'model_checkpoint_path: "{path}"'.replace("{here}", str(folder)))
    with pytest.raises(CheckpointError, match="run/checkpoint: its model_checkpoint_path"):
        open_checkpoint(folder)


@pytest.mark.parametrize("prefix", ["/", "{here}/", "{here}//"])
def test_absolute_path_never_opens_another_folder(folder, data, prefix):
    other = folder.parent / "other"
    shutil.copytree(data / "slim_v1/v1", other)
    outside = f"{prefix.replace('{here}', str(folder))}{other}/model.ckpt-60"
    state(folder, f'model_checkpoint_path: "{outside}"')
    assert open_checkpoint(folder).format == "tf-v2"
    (folder / "model.ckpt-60.index").unlink()
    with pytest.raises(CheckpointError):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"model_checkpoint_path:",
        b'model_checkpoint_path: "model.ckpt-60',
        b'all_model_checkpoint_paths: "model.ckpt-60"',
        b'model_checkpoint_path: "\xff\xfe"',
        b'model_checkpoint_path: "a\\000b"',
        b'model_checkpoint_path: "model.ckpt-61"',
        b'model_checkpoint_path: "checkpoint"',
        b'model_checkpoint_path: "."',
        b"\0\1\2" * 1000,
        b" " * (1 << 25),
    ],
)
def test_checkpoint_file_without_a_path(folder, text):
    state(folder, text)
    with pytest.raises(CheckpointError):
        open_checkpoint(folder)


@pytest.mark.parametrize("path", ["model.ckpt-6", "model.ckpt-6.index", "x/y", "a\0b", ""])
def test_nothing_there(folder, monkeypatch, path):
    monkeypatch.chdir(folder)
    with pytest.raises(CheckpointError, match=r"looked for .*\.index"):
        open_checkpoint(path)


def test_missing_says_what_there_is(folder, data):
    shutil.copy(data / "slim_v1/v1/model.ckpt-60", folder / "old.ckpt")
    with pytest.raises(CheckpointError) as error:
        open_checkpoint(folder / "model.ckpt-600")
    text = str(error.value)
    assert f"{folder}/model.ckpt-600.index (V2)" in text
    assert text.endswith(f"{folder} holds: model.ckpt-60, old.ckpt.")


def test_folder_without_a_checkpoint_file(folder, tmp_path):
    (folder / "checkpoint").unlink()
    with pytest.raises(CheckpointError, match=r"run/checkpoint: .*holds: model\.ckpt-60\."):
        open_checkpoint(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        open_checkpoint(tmp_path / "empty")


def test_missing_shard(data, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(data / "slim_v1/sharded", folder)
    shard = folder / "model.ckpt-60.data-00001-of-00003"
    shard.unlink()
    with pytest.raises(CheckpointError, match="data-00001-of-00003: the file cannot be read"):
        open_checkpoint(folder)
    shard.mkdir()
    with pytest.raises(CheckpointError, match="data-00001-of-00003: it is not a regular file"):
        open_checkpoint(folder)


def test_v1_shards_of_two_saves(folder):
    for name in ("m-00000-of-00001", "m-00000-of-00002"):
        (folder / name).touch()
    with pytest.raises(CheckpointError, match="00001 and with 00002 shards"):
        open_checkpoint(folder / "m")
    with pytest.raises(CheckpointError, match="m-00000-of-00002: it does not end"):
        open_checkpoint(folder / "m-00000-of-00002")
    with pytest.raises(CheckpointError, match="looked for"):
        open_checkpoint(folder / "m-00000-of-00000")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(folder):
    (folder / "model.ckpt-60.index").chmod(0)
    with pytest.raises(CheckpointError, match="may read it"):
        open_checkpoint(folder)
