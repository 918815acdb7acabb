"""What TensorFlow 1 code uses, and what becomes of it: a finding for each use, in groups."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from slim_resnet.legacy.rewriting import numpy_rules
from slim_resnet.legacy.rewriting.script import Script, Use
from slim_resnet.legacy.rewriting.syntax import UnreadableError, cst, is_wildcard
from slim_resnet.legacy.rewriting.verdict import (
    V1,
    V2,
    Group,
    Verdict,
    is_keras,
    is_known,
    is_only_v2,
    judge,
    needs_v1,
)

# With it in the environment, tensorflow.compat.v1 takes tf.layers and the like from tf_keras.
LEGACY_KERAS_SWITCH = "TF_USE_LEGACY_KERAS"
_DYNAMIC = "its names are taken while the script runs: which ones is not visible here"
_AMBIGUOUS = "`{}` may be something else here: the script gives it a value, too"

_LONGEST_CODE = 60
_ONLY_V2 = "only TensorFlow 2 has it; where a TensorFlow 1 script runs, it is {}"
_OWN_METHOD = "{}() may be the script's own method"


class Finding(NamedTuple):
    """One use of a library's name in one file. Lines and columns count from 1."""

    path: pathlib.Path
    line: int
    column: int
    symbol: str
    group: Group
    successor: str | None
    remedy: str


class Report(NamedTuple):
    """What `check` found: in the order of files and lines, and the files that it could not read."""

    files: tuple[pathlib.Path, ...]
    findings: tuple[Finding, ...]
    unreadable: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """2 if a file is unreadable, 1 if a name has no successor, else 0."""
        if self.unreadable:
            return 2
        return int(any(finding.group is Group.NO_SUCCESSOR for finding in self.findings))


def check(
    paths: Iterable[str | os.PathLike], progress: Callable[[str], None] = lambda step: None
) -> Report:
    """Reads scripts and says what becomes of every TensorFlow 1 name that they use.

    Args:
        paths: files, and folders whose .py files are meant, hidden folders left out.
        progress: called with the name of each file.

    Returns:
        The report.

    Raises:
        FileNotFoundError: a path does not exist, or a folder holds no .py file.
    """
    files = tuple(python_files(paths))
    findings, unreadable = [], []
    for path in files:
        progress(str(path))
        try:
            findings += judged(Script(path))
        except UnreadableError as error:
            unreadable.append(str(error))
    return Report(files, tuple(findings), tuple(unreadable))


def python_files(paths: Iterable[str | os.PathLike]) -> Iterator[pathlib.Path]:
    """The files that are meant by files and folders, each once."""
    seen = set()
    for path in map(pathlib.Path, paths):
        found = [path]
        if path.is_dir():
            found = sorted(p for p in path.rglob("*.py") if not _is_hidden(p.relative_to(path)))
        if not found or not found[0].exists():
            raise FileNotFoundError(f"{path}: no such file, or no .py file in it")
        yield from (p for p in found if p not in seen)
        seen.update(found)


def _is_hidden(path: pathlib.Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def judged(script: Script) -> Iterator[Finding]:
    """What there is to say of one script: of names that it uses, of what depends on NumPy."""
    named = [finding(script, use, verdict) for use, verdict in verdicts(script)]
    ruled = [_of_numpy(script, place) for place in numpy_rules.find(script)]
    yield from sorted([*named, *ruled], key=lambda item: (item.line, item.column))


def _of_numpy(script: Script, place: numpy_rules.Place) -> Finding:
    code = script.module.code_for_node(place.node)
    said = code if len(code) <= _LONGEST_CODE else f"{code[:_LONGEST_CODE]}..."
    where = script.position(place.node)
    return Finding(script.path, *where, " ".join(said.split()), Group.NUMPY, None, place.remedy)


def finding(script: Script, use: Use, verdict: Verdict) -> Finding:
    return Finding(script.path, use.line, use.column, _customary(use.name), *verdict)


def verdicts(script: Script) -> Iterator[tuple[Use, Verdict]]:
    """Every use that matters, with its verdict; what depends on the place is decided here."""
    found = [(use, verdict) for use in script.uses if (verdict := judge(use.name)) is not None]
    v1 = any(needs_v1(use.name, verdict) for use, verdict in found)
    for use, verdict in found:
        if any(map(is_wildcard, use.bindings)) and not is_known(use.name):
            continue
        word, _, rest = use.written.partition(".")
        if not use.sure and not rest:  # a variable: what it is given was judged where it was
            continue
        if not use.sure:
            verdict = Verdict(Group.UNDECIDED, remedy=_AMBIGUOUS.format(word))
        elif is_only_v2(use.name):
            remedy = _ONLY_V2.format(_customary(f"{V2}.{use.name.partition('.')[2]}"))
            verdict = Verdict(Group.NO_SUCCESSOR if v1 else Group.UNDECIDED, remedy=remedy)
        elif not use.bindings and use.written in script.names_bound:
            verdict = Verdict(Group.UNDECIDED, remedy=_OWN_METHOD.format(use.written))
        elif verdict == Verdict(Group.SHIM) and _is_value(script, use):
            verdict = Verdict(Group.UNDECIDED, remedy=_DYNAMIC)
        elif _is_provided(script, use.name, verdict) or (is_keras(use.name) and not v1):
            verdict = Verdict(Group.AS_IT_IS)
        yield use, verdict


def _is_provided(script: Script, name: str, verdict: Verdict) -> bool:
    """Whether the script itself provides for a name that would need the shim."""
    if verdict.group is not Group.SHIM:
        return False
    if name.startswith(V1 + "."):  # what only tf_keras has
        return LEGACY_KERAS_SWITCH.encode() in script.code
    mended = any(other.startswith("slim_resnet.") for _, other in script.imports)
    return mended and name.partition(".")[0] == "tf_slim"


def _customary(name: str) -> str:
    """A full name as one says it: tf.nn.relu, np.float, xrange."""
    for full, short in (("tensorflow.", "tf."), ("numpy.", "np."), ("python2.", "")):
        if name.startswith(full) and not name.startswith("tensorflow.python."):
            return short + name[len(full) :]
    return name


def _is_value(script: Script, use: Use) -> bool:
    """Whether a package is handed on, neither imported nor given another name."""
    if isinstance(use.node, cst.ImportAlias | cst.ImportFrom):
        return False
    return not isinstance(script.parent(use.node), cst.Assign)
