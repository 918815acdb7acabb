"""Nothing is written until it is whole: temporary file in the target folder, fsync, rename.

A writer that is killed leaves its temporary folder; the next one to write beside it removes it. The
lock on the folder tells the two apart: the system drops it with the process that held it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows: there what a killed writer leaves stays
    fcntl = None

# Nobody else's folders have such names: .TARGET.RANDOM.partial
_SUFFIX = ".partial"
_TEMPORARY = re.compile(rf"\..*\.[a-z0-9_]{{8}}{re.escape(_SUFFIX)}", re.DOTALL)
# What the other files of a checkpoint, or of a model with external data, add to its name.
_PARTS = re.compile(r"\.(index|meta|data(-\d{5}-of-\d{5})?)")


def write_json(target: str | os.PathLike, value: object, indent: int | None = 1) -> None:
    """Writes a value as JSON, whole or not at all.

    Raises:
        FileNotFoundError, IsADirectoryError: as `atomic_path`.
        TypeError: JSON does not know a type in it.
    """
    with atomic_path(target) as path:
        path.write_text(json.dumps(value, indent=indent) + "\n", encoding="utf-8")


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike):
    """Yields a path to write to; it becomes `target` when the block ends without an error.

    The path is in a temporary folder beside `target` and has its file name, so writers that look at
    the suffix do what they should. On an error nothing is left and an older `target` stays.

    Raises:
        FileNotFoundError: the folder of `target` does not exist.
        PermissionError: nothing can be written into it.
        IsADirectoryError: `target` is a folder.
    """
    target = pathlib.Path(target)
    check_target(target)
    with _temporary_folder(target.parent, target.name) as folder:
        path = folder / target.name
        yield path
        os.chmod(path, 0o666 & ~_umask())  # some writers make private files
        sync(path)
        os.replace(path, target)
        sync(target.parent)


@contextlib.contextmanager
def atomic_files(target: str | os.PathLike, last: str = ""):
    """Yields a path to write to, and beside it; all that is written moves beside `target`.

    Several files that belong together are never mixed with older ones: that of the name `target` +
    `last` goes first, if it is there, and comes last. The older ones that nothing replaces go, too:
    the graph in a checkpoint's .meta would be taken for that of the new weights.

    Args:
        target: the path without which the files would not be found, such as a checkpoint's prefix.
        last: the suffix of the file that leads to the others.

    Raises:
        FileNotFoundError, IsADirectoryError: as `atomic_path`.
    """
    target = pathlib.Path(target)
    check_target(target)
    leading = target.name + last
    with _temporary_folder(target.parent, target.name) as folder:
        yield folder / target.name
        files = sorted(folder.iterdir(), key=lambda path: (path.name == leading, path.name))
        for path in files:
            os.chmod(path, 0o666 & ~_umask())  # some writers make private files
            sync(path)
        new = {path.name for path in files}
        stale = [path for path in parts(target) if path.name not in new]
        if len(files) > 1 or stale:
            target.with_name(leading).unlink(missing_ok=True)
        for path in stale:
            path.unlink(missing_ok=True)
        for path in files:
            os.replace(path, target.with_name(path.name))
        sync(target.parent)


@contextlib.contextmanager
def atomic_folder(target: str | os.PathLike):
    """Yields an empty folder; its files move, by name, into `target` (made if need be)."""
    target = pathlib.Path(target)
    target.mkdir(parents=True, exist_ok=True)
    with _temporary_folder(target, target.resolve().name) as folder:
        yield folder
        files = sorted(folder.iterdir())
        for path in files:
            sync(path)
        for path in files:
            os.replace(path, target / path.name)
        sync(target)


@contextlib.contextmanager
def atomic_new_folder(target: str | os.PathLike):
    """Yields the path of a folder to make; it becomes `target` when the block ends well.

    Raises:
        OSError: `target` is there already, or its parent is not.
    """
    target = pathlib.Path(target)
    check_target(target)
    with _temporary_folder(target.parent, target.name) as outer:
        folder = outer / target.name
        yield folder
        for path in (*folder.rglob("*"), folder):
            sync(path)
        os.rename(folder, target)
        sync(target.parent)


def remove_stale(folder: str | os.PathLike) -> None:
    """Removes the temporary folders that killed writers left in `folder`, and nobody else's."""
    for path in pathlib.Path(folder).iterdir():
        if _TEMPORARY.fullmatch(path.name):
            with contextlib.suppress(OSError), _locked(path):
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _temporary_folder(parent: pathlib.Path, name: str) -> Iterator[pathlib.Path]:
    """Yields a hidden folder in `parent` that is gone afterwards."""
    remove_stale(parent)
    with contextlib.ExitStack() as lock:
        folder = _make_locked(parent, name, lock)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _make_locked(parent: pathlib.Path, name: str, lock: contextlib.ExitStack) -> pathlib.Path:
    """A new temporary folder, locked until `lock` ends where the file system has locks."""
    while True:
        try:
            folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=_SUFFIX, dir=parent))
        except OSError as error:  # which names the hidden folder
            raise type(error)(_unwritable(parent, error.strerror)) from error
        try:
            lock.enter_context(_locked(folder))
        except (BlockingIOError, FileNotFoundError):
            continue  # before it was locked, another writer took it for a dead one's
        except OSError:
            return folder  # no locks here, so nobody else gets this one either
        if folder.is_dir():
            return folder


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """Holds the lock on a folder; OSError if another process does, or if there are no locks."""
    if fcntl is None:
        raise OSError("this system has no locks")
    fd = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


def check_target(target: str | os.PathLike) -> None:
    """Raises what `atomic_path` would, before the work that fills the file is done."""
    target = pathlib.Path(target)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder: name a file in it")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {target.parent} does not exist: make it first")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(_unwritable(target.parent, "permission denied"))


def check_new(*targets: str | os.PathLike) -> None:
    """Raises FileExistsError where a file, a folder or a checkpoint's part has the name already."""
    for path in (path for target in targets for path in parts(target)):
        raise FileExistsError(
            f"{path} is there already: name another, or say --force to write over it"
        )


def parts(target: str | os.PathLike) -> list[pathlib.Path]:
    """What has the name already, and the files that go with it: .index, .meta, .data, shards."""
    target = pathlib.Path(target)
    own = [target] if os.path.lexists(target) else []
    if not target.parent.is_dir():
        return own
    beside = (path for path in sorted(target.parent.iterdir()) if is_part(path, target))
    return own + sorted(beside, key=lambda path: path.suffix != ".index")  # which users know


def is_part(path: str | os.PathLike, target: str | os.PathLike) -> bool:
    """Whether a file belongs, by its name, to the checkpoint or model `target`."""
    path, target = os.fspath(path), os.fspath(target)
    return path.startswith(target) and bool(_PARTS.fullmatch(path[len(target) :]))


def _unwritable(folder: pathlib.Path, reason: str | None) -> str:
    return f"nothing can be written into the folder {folder} ({reason}): name another"


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
