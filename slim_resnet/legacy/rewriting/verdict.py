"""What becomes of a name that a script uses, on today's TensorFlow: one verdict for each name."""

from __future__ import annotations

import enum
import functools
import pathlib
import runpy
from typing import NamedTuple

from slim_resnet.legacy.rewriting import installed_sources
from slim_resnet.legacy.tables import image_libraries, public_names, python2, python_stdlib, symbols
from slim_resnet.legacy.tables.keras import LEGACY_KERAS
from slim_resnet.legacy.tables.public_names import Where

V1 = "tensorflow.compat.v1"
V2 = "tensorflow.compat.v2"
_V2_SOURCES = "tensorflow._api.v2.compat.v2"
# TensorFlow without public promise: no list of names, only what the installed sources say.
_PRIVATE = ("compiler", "core", "dtensor", "lite", "python", "tools", "tsl")
# What slim_resnet.compat gives is usable as it is.
_OURS = ("slim_resnet.compat.tf.", "slim_resnet.compat.slim.")

_UNSEEN = "TensorFlow is not installed, or makes this name as it loads"


class Group(enum.Enum):
    AS_IT_IS = "works as it is"
    SHIM = "works through the shim"
    NO_SUCCESSOR = "has no successor"
    UNDECIDED = "not decided"
    NUMPY = "depends on NumPy"


class Verdict(NamedTuple):
    """`successor` does the work today, if it is not the same name; `remedy` says what to do."""

    group: Group
    successor: str | None = None
    remedy: str = ""

    @property
    def is_renamed(self) -> bool:
        """Whether the shim provides for it, and a copy without the shim says it otherwise."""
        return self.group in (Group.SHIM, Group.NUMPY)


@functools.cache
def judge(name: str) -> Verdict | None:
    """Says what becomes of one name.

    Args:
        name: in full, e.g. "tensorflow.contrib.slim.conv2d" or "numpy.float".

    Returns:
        None for a name that is of no library in question, or only a place ("tensorflow.nn").
    """
    if name.startswith(_OURS):
        return Verdict(Group.AS_IT_IS)
    top, _, rest = name.partition(".")
    if top == "tf_slim":
        return Verdict(Group.SHIM, name, "mended by slim_resnet.compat")
    if top == "tflearn":
        return _old(name, symbols.lookup(name))
    if top == "keras":  # to a TensorFlow 1 script it is what tf.keras is
        return _keras(name)
    if not rest:
        return None
    if top == "tensorflow":
        return _tensorflow(name)
    if top == "numpy":
        return _numpy(rest)
    if top in python_stdlib.MODULES:  # what Python has instead is always there
        symbol = symbols.lookup(name)
        return symbol and Verdict(Group.SHIM, symbol.successor, symbol.remedy)
    if top in image_libraries.MODULES:
        symbol = symbols.lookup(name)
        return symbol and _old(name, symbol)
    if top == "absl":
        return Verdict(Group.SHIM, remedy="absl has a flag of this name: pass allow_override=True")
    if top == "python2":
        return Verdict(Group.NO_SUCCESSOR, remedy=f"Python 2: {python2.REMEDY.format('FILE')}")
    return None


def needs_v1(name: str, verdict: Verdict) -> bool:
    """Whether a use makes its script one of TensorFlow 1; Keras of today's names does not."""
    if name.startswith("keras."):
        return installed_sources.exists(name) is False
    old = name.startswith("tensorflow.") and not name.startswith((f"{V1}.", "tensorflow.python."))
    return old and verdict.group is Group.SHIM and not is_keras(name)


def is_only_v2(name: str) -> bool:
    """Whether TensorFlow 2 has a name that TensorFlow 1's interface has not."""
    top, _, rest = name.partition(".")
    return top == "tensorflow" and public_names.find(rest) is Where.V2


def is_keras(name: str) -> bool:
    return f"{name}.".startswith(("keras.", "tensorflow.keras."))


def is_known(name: str) -> bool:
    """Whether a name that `from module import *` may bring is really one of that module's."""
    verdict = judge(name)
    if verdict is None or verdict.group is Group.NO_SUCCESSOR:
        return False
    return verdict.successor is None or _successor_exists(verdict.successor) is True


def _tensorflow(name: str) -> Verdict | None:
    if name == V1 or name == "tensorflow.compat":
        return None
    if name.startswith(V1 + "."):
        found = _tensorflow("tensorflow" + name[len(V1) :])
        plain = found and found.group is Group.SHIM and found.successor == name and not found.remedy
        return Verdict(Group.AS_IT_IS) if plain else found
    if name.startswith(V2 + "."):
        return _of_version_2(name)
    symbol = symbols.lookup(name)
    if symbol is not None:
        return _old(name, symbol)
    rest = name.partition(".")[2]
    if rest.partition(".")[0] in _PRIVATE and public_names.find(rest) is None:
        return _private(name)
    where = public_names.find(rest)
    if where is Where.MODULE:
        return None
    if where is None:
        return Verdict(Group.NO_SUCCESSOR, remedy="tensorflow.compat.v1 2.21 has no such name")
    if where is Where.V1:
        return Verdict(Group.SHIM, f"{V1}.{rest}")
    return Verdict(Group.AS_IT_IS)


def _of_version_2(name: str) -> Verdict:
    rest = name[len(V2) + 1 :]
    if public_names.find(rest) in (Where.BOTH, Where.V2):
        return Verdict(Group.AS_IT_IS)
    found = installed_sources.exists(f"{_V2_SOURCES}.{rest}")
    if found is None:
        return Verdict(Group.UNDECIDED, remedy=_UNSEEN)
    if found:
        return Verdict(Group.AS_IT_IS)
    return Verdict(Group.NO_SUCCESSOR, remedy="tensorflow.compat.v2 2.21 has no such name")


def _old(name: str, symbol: symbols.Symbol) -> Verdict:
    if symbol.successor is not None and _successor_exists(symbol.successor) is not False:
        return Verdict(Group.SHIM, symbol.successor, symbol.remedy)
    if symbols.is_package(name):  # what is taken from it has verdicts of its own
        return Verdict(Group.SHIM)
    remedy = symbol.remedy
    if symbol.successor is not None:
        remedy = f"{symbol.successor} would be its place, and is not there"
    return Verdict(Group.NO_SUCCESSOR, remedy=remedy)


def _successor_exists(successor: str) -> bool | None:
    for ours, theirs in LEGACY_KERAS.items():
        if successor == ours or successor.startswith(ours + "."):
            return installed_sources.exists(theirs + successor[len(ours) :])
    if successor == V1 or successor.startswith(V1 + "."):
        return successor == V1 or public_names.find(successor[len(V1) + 1 :]) is not None
    return installed_sources.exists(successor)


def _keras(name: str) -> Verdict | None:
    symbol = symbols.lookup(name)
    found = _old(name, symbol) if symbol else _tensorflow(f"tensorflow.{name}")
    inside = f"tf_keras.src{name.removeprefix('keras')}"  # what its public modules do not show
    if found.group is Group.NO_SUCCESSOR and installed_sources.exists(inside):
        return Verdict(Group.SHIM, inside)
    return found


def _private(name: str) -> Verdict:
    found = installed_sources.exists(name)
    if found:
        return Verdict(Group.AS_IT_IS)
    if name in _moved():
        return Verdict(Group.SHIM, _moved()[name])
    if found is None:
        return Verdict(Group.UNDECIDED, remedy=_UNSEEN)
    return Verdict(Group.NO_SUCCESSOR, remedy="private, and not in the installed TensorFlow")


def _numpy(name: str) -> Verdict | None:
    """NumPy 2 is NumPy: only the names that it has no more count."""
    import numpy as np

    from slim_resnet.legacy.replacements.numpy1 import LEGACY_NAMES

    if name == "ndarray.tostring":
        return Verdict(Group.NUMPY, "numpy.ndarray.tobytes")
    package, _, inner = name.partition(".")
    if package in ("lib", "core") and inner:  # they showed all that NumPy has
        target = np.lib if package == "lib" else getattr(np, "_core", None) or np.core
        shown = inner.partition(".")[0]
        is_gone = not hasattr(target, shown) and (hasattr(np, shown) or shown in LEGACY_NAMES)
        return (_numpy(inner) or Verdict(Group.NUMPY, f"numpy.{inner}")) if is_gone else None
    if name not in LEGACY_NAMES or name in vars(np):
        return None
    value = LEGACY_NAMES[name]
    if isinstance(value, type) and value.__module__ == "builtins":
        return Verdict(Group.NUMPY, f"builtins.{value.__name__}")
    own = getattr(value, "__name__", None)
    for public in (own, *sorted(vars(np))):
        if public and vars(np).get(public) is value:
            return Verdict(Group.NUMPY, f"numpy.{public}")
    return Verdict(Group.NUMPY, remedy="NumPy 2 has nothing of the kind under one name")


@functools.cache
def _moved() -> dict[str, str]:
    """Private names that slim_resnet.compat puts back: where they were, where they are."""
    # By its path: importing it as a part of its package would import TensorFlow.
    table = pathlib.Path(installed_sources.__file__).parents[2] / "compat" / "table.py"
    rows = runpy.run_path(str(table))["MOVED"]
    return {f"{row.module}.{row.name}": f"{row.home}.{row.home_name}" for row in rows}
