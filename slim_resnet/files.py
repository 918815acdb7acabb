"""Nothing is written until it is whole: temporary file in the target folder, fsync, rename."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike):
    """Yields a path to write to; it becomes `target` when the block ends without an error.

    The path is in a temporary folder beside `target` and has its file name, so writers that look at
    the suffix do what they should. On an error nothing is left and an older `target` stays.

    Raises:
        FileNotFoundError: the folder of `target` does not exist.
        IsADirectoryError: `target` is a folder.
    """
    target = pathlib.Path(target)
    check_target(target)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        path = folder / target.name
        yield path
        os.chmod(path, 0o666 & ~_umask())  # some writers make private files
        sync(path)
        os.replace(path, target)
        sync(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def atomic_folder(target: str | os.PathLike):
    """Yields an empty folder; its files move, by name, into `target` (made if need be)."""
    target = pathlib.Path(target)
    target.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix=".partial.", dir=target))
    try:
        yield folder
        files = sorted(folder.iterdir())
        for path in files:
            sync(path)
        for path in files:
            os.replace(path, target / path.name)
        sync(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def atomic_new_folder(target: str | os.PathLike):
    """Yields the path of a folder to make; it becomes `target` when the block ends well.

    Raises:
        OSError: `target` is there already, or its parent is not.
    """
    target = pathlib.Path(target)
    check_target(target)
    outer = pathlib.Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        folder = outer / target.name
        yield folder
        for path in (*folder.rglob("*"), folder):
            sync(path)
        os.rename(folder, target)
        sync(target.parent)
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def check_target(target: str | os.PathLike) -> None:
    """Raises what `atomic_path` would, before the work that fills the file is done."""
    target = pathlib.Path(target)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder: name a file in it")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {target.parent} does not exist: make it first")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync(path: pathlib.Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
