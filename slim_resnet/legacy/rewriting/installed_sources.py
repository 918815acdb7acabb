"""What installed modules define, read from their sources: nothing is imported."""

from __future__ import annotations

import ast
import functools
import importlib.util
import pathlib
from typing import NamedTuple


class Place(NamedTuple):
    """`module` is the longest part of a dotted name that is a module; `rest` is what follows."""

    module: str
    path: pathlib.Path
    rest: tuple[str, ...]


def place(name: str) -> Place | None:
    """Finds the module that a dotted name leads into, if its top-level package is installed.

    A package may show another module under the name of a submodule: `tf_slim.training` is
    `tf_slim.training.training` to those who only import tf_slim. That one counts where the
    submodule itself has no such name.
    """
    found = _place(name)
    if found is None or _is_there(found):
        return found
    words = name.split(".")
    for n in range(2, len(words)):
        package = _place(".".join(words[: n - 1]))
        shown = package and not package.rest and _modules_shown(package.path).get(words[n - 1])
        other = shown and _place(".".join([shown, *words[n:]]))
        if other and other.rest and _is_there(other):
            return other
    return found


def _place(name: str) -> Place | None:
    top, *words = name.split(".")
    root = _root(top)
    if root is None:
        return None
    for n in range(len(words), -1, -1):
        path = _file(root.joinpath(*words[:n]))
        if path is not None:
            return Place(".".join([top, *words[:n]]), path, tuple(words[n:]))
    return None


def _is_there(found: Place) -> bool:
    return not found.rest or _defines(found.path, found.rest[0])


def exists(name: str) -> bool | None:
    """Says whether a dotted name is a module or what its module defines.

    Returns:
        None where that cannot be told: the package is not installed, the module has no source or
        makes its names as it loads, or takes all those of a module that has no source.
    """
    found = place(name)
    if found is None:
        return None
    if _is_there(found) or found.path.name.endswith("_pb2.py"):
        return True
    if b"globals()" in found.path.read_bytes() or not all(map(_place, _bound(found.path)[1])):
        return None
    compiled = found.path.parent.glob(f"{found.rest[0]}.*so")
    return None if found.path.name == "__init__.py" and any(compiled) else False


def is_module(name: str) -> bool:
    found = _place(name)
    return found is not None and not found.rest


def _defines(path: pathlib.Path, name: str) -> bool:
    """Whether a module binds a name, itself or through `from module import *`."""
    names, wildcards = _bound(path)
    if name in names:
        return True
    modules = (_place(module) for module in wildcards)
    return any(_defines(m.path, name) for m in modules if m and not m.rest)


@functools.cache
def _bound(path: pathlib.Path) -> tuple[frozenset[str], tuple[str, ...]]:
    """The names that a module's own statements bind, and what it imports all names from."""
    names, wildcards = set(), []
    for node in _statements(path):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import):
            names.update((a.asname or a.name).partition(".")[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
            wildcards += [node.module] if node.names[0].name == "*" and not node.level else []
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.With):
            names.update(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
    return frozenset(names), tuple(wildcards)


@functools.cache
def _statements(path: pathlib.Path) -> tuple[ast.stmt, ...]:
    """A module's own statements, those of its conditional blocks included."""
    found, todo = [], list(ast.parse(path.read_bytes()).body)
    while todo:
        node = todo.pop()
        found.append(node)
        for block in ("body", "orelse", "handlers", "finalbody"):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                todo += getattr(node, block, [])
    return tuple(found)


def shows(module: str, rest: str) -> bool:
    """Whether `module.rest` works as soon as `module` is imported, its submodules not by name."""
    word, _, more = rest.partition(".")
    if not is_module(f"{module}.{word}"):
        return True
    shown = _modules_shown(_place(module).path).get(word)
    inner = _place(f"{shown}.{more}" if more else shown) if shown else None
    return inner is not None and _is_there(inner)


@functools.cache
def _modules_shown(path: pathlib.Path) -> dict[str, str]:
    """Local name -> module, of the modules that a package imports by name."""
    shown = {}
    for node in _statements(path):
        if isinstance(node, ast.Import):
            shown |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {alias.asname or alias.name: alias.name for alias in node.names}
            shown |= {local: f"{node.module}.{name}" for local, name in names.items()}
    return {local: name for local, name in shown.items() if is_module(name)}


@functools.cache
def _root(package: str) -> pathlib.Path | None:
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a module that is there already and has no spec
        return None
    folders = list(spec.submodule_search_locations or ()) if spec else ()
    return pathlib.Path(folders[0]) if folders else None


def _file(path: pathlib.Path) -> pathlib.Path | None:
    for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if file.is_file():
            return file
    return None
