"""Which names TensorFlow 2.21 has, without importing it: `public_names.txt`, read and made here.

One line for each module of `tensorflow.compat.v1`, its path and its names. A name alone is another
object there than in `tensorflow`, or absent from `tensorflow`; `name=` is the same object in both;
`name+` is in `tensorflow` only. After another TensorFlow is installed::

    python -m slim_resnet.legacy.tables.public_names
"""

from __future__ import annotations

import enum
import functools
import inspect
import pathlib
from types import ModuleType

FILE = pathlib.Path(__file__).with_suffix(".txt")
_HEADER = (
    "# Names of tensorflow.compat.v1 2.21. name= is the same in tensorflow, name+ is there only.\n"
)
# Not walked: `compat` leads back here, `raw_ops` is generated, `keras` is Keras 3 in both.
_LEAVES = ("compat", "keras", "raw_ops")


class Where(enum.Enum):
    """In which of the two public interfaces a name is."""

    BOTH = "="
    V1 = ""
    V2 = "+"
    MODULE = "module"


def find(name: str) -> Where | None:
    """Looks a name up as `import tensorflow as tf` would have it, today or in version 1.

    Args:
        name: without the leading "tensorflow.", e.g. "nn.conv2d" or "train.Saver.restore".

    Returns:
        Where the name is, or the class or opaque module that holds it; None: in neither interface.
    """
    modules = _read()
    path = ""
    for part in name.split("."):
        if part.startswith("__"):
            return Where.BOTH
        inner = f"{path}.{part}" if path else part
        if inner not in modules:
            return modules[path].get(part)
        path = inner
    return Where.MODULE


@functools.cache
def _read() -> dict[str, dict[str, Where]]:
    modules = {}
    for line in FILE.read_text(encoding="utf-8").splitlines()[1:]:
        path, _, names = line.partition(":")
        modules[path] = dict(_parse(entry) for entry in names.split())
    return modules


def _parse(entry: str) -> tuple[str, Where]:
    name = entry.rstrip("=+")
    return name, Where(entry[len(name) :])


def generate() -> str:
    """The text of `public_names.txt` for the TensorFlow that is installed."""
    from slim_resnet.frameworks import require

    tf = require("tensorflow")
    modules = {}
    _walk(require("tensorflow.compat.v1"), tf, "", modules)
    lines = (f"{path}: {' '.join(names)}".rstrip() for path, names in sorted(modules.items()))
    return _HEADER + "\n".join(lines) + "\n"


def _walk(v1: ModuleType | None, v2: ModuleType | None, path: str, modules: dict) -> None:
    names = modules[path] = []
    for name in sorted(_public(v1) | _public(v2)):
        old, new = getattr(v1, name, None), getattr(v2, name, None)
        if name in _LEAVES:
            names.append(name + Where.BOTH.value)
            continue
        if _is_gone(old):
            continue
        if _is_api(old) or _is_api(new):
            _walk(old, new, f"{path}.{name}" if path else name, modules)
        mark = Where.V2 if old is None else Where.BOTH if _same(old, new) else Where.V1
        names.append(name + mark.value)


def _public(module: ModuleType | None) -> set[str]:
    return {name for name in dir(module) if not name.startswith("_")} if module else set()


def _is_gone(value) -> bool:
    """Whether this is a loader of what Keras 3 has no more: tf.layers, tf.nn.rnn_cell."""
    try:
        dir(value)
    except ModuleNotFoundError:
        return True
    return False


def _is_api(value) -> bool:
    return isinstance(value, ModuleType) and value.__name__.startswith("tensorflow._api")


def _same(old, new) -> bool:
    """Whether both are one object, but for the wrappers that deprecate it or promote its dtype."""
    return old is new or (callable(old) and inspect.unwrap(old) is inspect.unwrap(new))


if __name__ == "__main__":
    FILE.write_text(generate(), encoding="utf-8")
