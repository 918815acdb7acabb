"""Modules as a TF1 script saw them: `tensorflow` of 1.15 with `tf.contrib`, NumPy of its day.

An `OldModule` stands before a module of today and finds each attribute when it is asked for: first
in the tables, then in the module itself. The module is not touched.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType

import numpy as np

from slim_resnet import compat
from slim_resnet.legacy.replacements.numpy1 import CHANGED_FUNCTIONS, LEGACY_NAMES
from slim_resnet.legacy.tables import image_libraries, python_stdlib, symbols
from slim_resnet.legacy.tables.keras import LEGACY_KERAS

# Modules that had more when TensorFlow 1.15 was new: Python's own, and those of images.
COMPANIONS = (*python_stdlib.MODULES, *image_libraries.MODULES)
# What `tf.__version__` says: scripts ask it which API they face. `tf.version` tells the real one.
API_VERSION = "1.15.5"


class OldModule(ModuleType):
    """A module under its old name, e.g. "tensorflow.contrib.slim"."""

    def __init__(self, name: str, target: ModuleType | None, **own):
        super().__init__(name, getattr(target, "__doc__", None))
        vars(self).update(own, __path__=[], _target=target)

    def __getattr__(self, name: str):
        if name == "__all__":
            return [public for public in dir(self) if public[0] != "_" and self._gives(public)]
        if name.startswith("__"):  # what Python asks modules for
            return getattr(self._target, name)
        value = _find(self, name)
        setattr(self, name, value)
        return value

    def _gives(self, name: str) -> bool:
        # Our own modules have a `tf` and a `slim`, which `import *` must not put over the script's.
        return getattr(self, name, compat.tf) not in (compat.tf, compat.slim)

    def __dir__(self):
        return sorted({*dir(self._target), *vars(self)})

    def __repr__(self) -> str:
        return f"<module {self.__name__!r} as TensorFlow 1.15 had it, from {self._target!r}>"


@functools.cache
def old_module(name: str) -> ModuleType:
    """The module of a full old name: an `OldModule`, or today's own.

    Args:
        name: e.g. "tensorflow.contrib.layers".

    Raises:
        AttributeError: it has no successor, or never was, or is no module.
    """
    parent, _, last = name.rpartition(".")
    if not parent:
        return _TOPS[name]()
    value = getattr(old_module(parent), last)
    if not isinstance(value, ModuleType):
        raise AttributeError(f"{name} is not a module")
    return value


def _tensorflow() -> OldModule:
    tf, _ = compat.apply()
    made = OldModule(
        "tensorflow",
        tf,
        __file__=importlib.import_module("tensorflow").__file__,
        __version__=API_VERSION,
        VERSION=API_VERSION,
        contrib=OldModule("tensorflow.contrib", None),
    )
    v2 = OldModule("tensorflow.compat.v2", tf.compat.v2)
    made.compat = OldModule("tensorflow.compat", tf.compat, v1=made, v2=v2)
    return made


def _numpy() -> OldModule:
    core = OldModule("numpy.core", np._core if hasattr(np, "_core") else np.core)
    names = LEGACY_NAMES | CHANGED_FUNCTIONS
    return OldModule("numpy", np, core=core, lib=OldModule("numpy.lib", np.lib), **names)


def _keras() -> OldModule:
    version = importlib.import_module("tf_keras").__version__
    return OldModule("keras", resolve("tensorflow.compat.v1.keras"), __version__=version)


def _installed(name: str) -> OldModule:
    return OldModule(name, importlib.import_module(name))


def _tflearn() -> OldModule:
    # As importing the real one does, this makes the variable that is in its checkpoints.
    importlib.import_module("slim_resnet.legacy.replacements.tflearn")
    return OldModule("tflearn", None)


_TOPS = {
    **{name: functools.partial(_installed, name) for name in COMPANIONS},
    "keras": _keras,
    "numpy": _numpy,
    "tensorflow": _tensorflow,
    "tflearn": _tflearn,
}


@functools.cache
def resolve(successor: str):
    """What a dotted path of `symbols.Symbol.successor` names today.

    Raises:
        AttributeError: there is no such thing; `symbols` promises that of 1.15's names only.
    """
    for module, home in LEGACY_KERAS.items():
        if successor == module or successor.startswith(module + "."):
            successor = home + successor[len(module) :]
    path = successor.split(".")
    found = importlib.import_module(path[0])
    for i, name in enumerate(path[1:], 2):
        try:  # a submodule before an attribute: tf_slim.layers is both, and they differ
            found = importlib.import_module(".".join(path[:i]))
        except ImportError:
            found = getattr(found, name)
    return found


def _find(module: OldModule, name: str):
    dotted = f"{module.__name__}.{name}"
    known_as = [dotted, f"tf.{dotted}"] if dotted.startswith("keras.") else [dotted]
    symbol = next(filter(None, map(symbols.lookup, known_as)), None)
    target = _of_today(module, name) if symbol is None else _successor(symbol)
    if any(map(symbols.is_package, known_as)) and not callable(target):
        return OldModule(dotted, target)
    if target is None and symbol is not None:
        raise AttributeError(symbol.message)
    return target


def _of_today(module: OldModule, name: str):
    try:
        return getattr(module._target, name)
    except AttributeError:
        if symbols.is_package(f"{module.__name__}.{name}") and not _is_tensorflow(module):
            return None
        if module.__name__ in ("numpy.core", "numpy.lib"):  # once, they showed what NumPy has
            return getattr(old_module("numpy"), name)
        if not _is_tensorflow(module):
            raise
    try:  # tf.python, tf.core and what else is beside the API
        return importlib.import_module(f"{module.__name__}.{name}")
    except ImportError:
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}") from None


def _is_tensorflow(module: OldModule) -> bool:
    return module.__name__.partition(".")[0] == "tensorflow"


def _successor(symbol: symbols.Symbol):
    if symbol.successor is None:
        return None
    try:
        return resolve(symbol.successor)
    except AttributeError:
        if symbols.is_package(symbol.name):
            return None
        raise AttributeError(
            f"{symbol.name} is not in today's TensorFlow, nor was it in 1.15's; "
            f"{symbol.successor} would be its place"
        ) from None
