"""How a script without the shim says the names of TensorFlow 1: what to import, what to write."""

from __future__ import annotations

from typing import NamedTuple

from slim_resnet.legacy.rewriting import installed_sources
from slim_resnet.legacy.rewriting.verdict import V1, is_keras, judge
from slim_resnet.legacy.tables import public_names
from slim_resnet.legacy.tables.keras import LEGACY_KERAS

# What one calls them, and another name where that one is taken.
_CUSTOMARY = {V1: ("tf", "tf_v1"), "tf_slim": ("slim", "tf_slim")}

# Importing tensorflow.compat.v1.app as a module takes its attribute `flags` away.
_IMPORTED_FROM = {f"{V1}.app.flags": f"{V1}.flags"}


class Place(NamedTuple):
    """A name of today: the module to import and what to take from it ("" for itself)."""

    module: str
    rest: str


def new_name(name: str, v1: bool) -> str | None:
    """The full name of today.

    Args:
        name: the old full name.
        v1: whether `tensorflow` gives way to `tensorflow.compat.v1`.

    Returns:
        `name` itself where nothing changes; None for a package of which only parts live on.
    """
    if name == "tensorflow":
        return V1 if v1 else name
    verdict = judge(name)
    if verdict is None:
        top, _, rest = name.partition(".")
        is_module = v1 and top == "tensorflow" and public_names.find(rest) is not None
        return f"{V1}.{rest}" if is_module else name
    if not verdict.is_renamed or (is_keras(name) and not v1):
        return name
    is_package = verdict.successor is None and not name.startswith(("absl.", "numpy."))
    return verdict.successor if verdict.successor or is_package else name


def legacy_keras(name: str) -> str | None:
    """The path in tf_keras of what `tensorflow.compat.v1` has only through it; else None."""
    for ours, theirs in LEGACY_KERAS.items():
        if name == ours or name.startswith(ours + "."):
            return theirs + name[len(ours) :]
    return None


def split(name: str) -> Place:
    """Where a new name is imported from when an expression needs it."""
    if name == V1 or name.startswith(V1 + "."):
        return Place(V1, name[len(V1) + 1 :])
    top, _, rest = name.partition(".")
    if top == "tf_slim" and (not rest or installed_sources.shows(top, rest)):
        return Place(top, rest)
    found = installed_sources.place(name)
    if found is not None:
        return Place(found.module, ".".join(found.rest))
    return Place(*name.rpartition(".")[::2])


def import_line(name: str, local: str) -> str:
    """The statement that has `local` mean `name`."""
    if name == V1:
        return f"import {V1} as {local}"
    if name == "tf_slim":
        name = "slim_resnet.compat.slim"
    name = legacy_keras(name) or _IMPORTED_FROM.get(name, name)
    found = None if name.startswith(f"{V1}.") else installed_sources.place(name)
    module, rest = (found.module, found.rest) if found else (name, ())
    if len(rest) > 1:  # an attribute of what a module defines
        parent, _, leaf = module.rpartition(".")
        return f"from {parent} import {leaf}; {local} = {leaf}.{'.'.join(rest)}"
    parent, _, leaf = ".".join([module, *rest]).rpartition(".")
    renamed = "" if leaf == local else f" as {local}"
    return f"from {parent} import {leaf}{renamed}" if parent else f"import {leaf}{renamed}"


def merged(lines: list[str]) -> list[str]:
    """Import statements, those that take from one module made one."""
    by_module: dict[str, list[str]] = {}
    for line in lines:
        head, word, names = line.partition(" import ")
        is_plain = head.startswith("from ") and ";" not in line and word
        by_module.setdefault(head if is_plain else line, []).append(names if is_plain else "")
    return [
        f"{head} import {', '.join(names)}" if names[0] else head
        for head, names in by_module.items()
    ]


def local_names(module: str) -> tuple[str, ...]:
    """What to call a module, the names to be tried in turn."""
    parent, _, leaf = module.rpartition(".")
    qualified = f"{parent.rpartition('.')[2]}_{leaf}"
    return _CUSTOMARY.get(module, (leaf, qualified, f"_{qualified}"))
