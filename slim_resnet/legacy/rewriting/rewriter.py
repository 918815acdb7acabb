"""A copy of a TensorFlow 1 script that needs no shim: `slim_resnet.compat`, `tensorflow.compat.v1`.

Only the words that change are replaced in the text; the rest stays as it is, byte for byte.
"""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

from slim_resnet.files import atomic_path
from slim_resnet.legacy.rewriting import prologue
from slim_resnet.legacy.rewriting.checker import Finding, finding, python_files, verdicts
from slim_resnet.legacy.rewriting.renaming import Renaming
from slim_resnet.legacy.rewriting.script import Script
from slim_resnet.legacy.rewriting.syntax import UnreadableError
from slim_resnet.legacy.rewriting.verdict import Group, Verdict
from slim_resnet.legacy.tables import python37

_NOT_DONE = Verdict(Group.UNDECIDED, remedy="not rewritten: change it by hand")


class Rewritten(NamedTuple):
    """The new source, equal to the old one where nothing was to be done, and what is left.

    `left` are the names without a successor and those that could not be decided, with the lines of
    the original, or of the copy where only the copy has them.
    """

    path: pathlib.Path
    code: bytes
    changed: bool
    left: tuple[Finding, ...]


class Report(NamedTuple):
    """What `rewrite_files` did: every file with where its copy is, and what it could not read."""

    files: tuple[tuple[Rewritten, pathlib.Path], ...]
    unreadable: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """2 if a file is unreadable, 1 if something is left to do, else 0."""
        if self.unreadable:
            return 2
        return int(any(done.left for done, _ in self.files))


def rewrite_files(
    paths: Iterable[str | os.PathLike],
    output: str | os.PathLike | None,
    progress: Callable[[str], None] = lambda step: None,
) -> Report:
    """Rewrites scripts and the .py files of folders.

    Args:
        paths: files and folders.
        output: a folder, made if need be, that takes the copies, those without a change too, in
            the places that the originals have to each other: packages stay packages; for a single
            script, a file; None: the originals themselves are changed.
        progress: called with the name of each file.

    Returns:
        The report. Unreadable files have no copy.

    Raises:
        FileNotFoundError: a path does not exist, or a folder holds no .py file.
        ValueError: a copy would be written over an original.
    """
    targets = _targets(list(map(pathlib.Path, paths)), output)
    done, unreadable = [], []
    for source, target in targets.items():
        progress(str(source))
        try:
            done.append((rewrite(source), target))
        except UnreadableError as error:
            unreadable.append(str(error))
    for copy, target in done:
        if copy.changed or target != copy.path:
            mode = copy.path.stat().st_mode
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as path:
                path.write_bytes(copy.code)
            target.chmod(mode)
    return Report(tuple(done), tuple(unreadable))


def _targets(
    paths: list[pathlib.Path], output: str | os.PathLike | None
) -> dict[pathlib.Path, pathlib.Path]:
    if output is None:
        return {source: source for source in python_files(paths)}
    output = pathlib.Path(output)
    if len(paths) == 1 and paths[0].is_file() and not output.is_dir() and output.suffix == ".py":
        targets = {paths[0]: output}
    else:
        sources = list(python_files(paths))
        base = _base(paths, sources)
        targets = {source: output / _absolute(source).relative_to(base) for source in sources}
    originals = {source.resolve() for source in targets}
    for target in targets.values():
        if target.resolve() in originals:
            raise ValueError(f"{target} is an original: name another output, or ask for --in-place")
    return targets


def _base(paths: list[pathlib.Path], sources: list[pathlib.Path]) -> pathlib.Path:
    """The folder that copies keep their places below.

    It is the folder that all paths are in, or a folder that is the only path; but never a package,
    nor one in which a script has the name of a module of Python's: their copies would be that
    module to every script beside them.
    """
    is_project = len(paths) == 1 and paths[0].is_dir()
    parents = [_absolute(path) if is_project else _absolute(path).parent for path in paths]
    base = pathlib.Path(os.path.commonpath(parents))
    while (base / "__init__.py").exists() or _hides_python(base, sources):
        base = base.parent
    return base


def _hides_python(base: pathlib.Path, sources: list[pathlib.Path]) -> bool:
    tops = {_absolute(source).relative_to(base).parts[0] for source in sources}
    return any(top.removesuffix(".py") in sys.stdlib_module_names for top in tops)


def _absolute(path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(os.path.abspath(path))


def rewrite(path: str | os.PathLike) -> Rewritten:
    """Rewrites one script in memory.

    Args:
        path: a Python 3 source file.

    Returns:
        The copy and what in it is still for a person to do.

    Raises:
        UnreadableError: it is not Python 3.
        OSError: it cannot be read.
    """
    original = pathlib.Path(path).read_bytes()
    script = Script(path, python37.modernized(original))
    found = list(verdicts(script))
    left = [
        finding(script, use, verdict)
        for use, verdict in found
        if verdict.group in (Group.NO_SUCCESSOR, Group.UNDECIDED)
    ]
    code = script.code
    if any(verdict.is_renamed for _, verdict in found):
        renaming = Renaming(script, found)
        copy = Script(path, renaming.run())
        code = prologue.add(copy, renaming.v1)
        left += renaming.left
        left += _still_old(Script(path, code), left)
    return Rewritten(script.path, code, code != original, tuple(left))


def _still_old(copy: Script, known: list[Finding]) -> list[Finding]:
    """What the copy says by an old name still: the check's own judgement of the rewriting."""
    symbols = {item.symbol for item in known}
    found = [
        finding(copy, use, _NOT_DONE)
        for use, verdict in verdicts(copy)
        if verdict.is_renamed and not any(map(copy.is_through_own_module, use.bindings))
    ]
    return [item for item in found if item.symbol not in symbols]
