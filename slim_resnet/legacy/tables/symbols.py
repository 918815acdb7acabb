"""Where every `tf.contrib` symbol of TensorFlow 1.15 is today; imports no framework.

`lookup` answers from the tables beside this module by the longest dotted prefix, so that one row
covers a package. It answers, too, for what TensorFlow 1.15 had outside contrib and
`tensorflow.compat.v1` no longer has (`tf.estimator`, ...) or keeps only in tf_keras (`tf.layers`),
for what moved inside `tensorflow.python`, for tflearn, Keras 1 and Python 3.7.
"""

from __future__ import annotations

from typing import NamedTuple

from slim_resnet.legacy.tables import (
    contrib,
    contrib_removed,
    image_libraries,
    keras,
    python_stdlib,
    tensorflow,
    tensorflow_internals,
    tflearn,
)
from slim_resnet.legacy.tables.contrib import DIFFERENCES
from slim_resnet.legacy.tables.keras import LEGACY_KERAS

_SUCCESSORS = (
    contrib.SUCCESSORS
    | tensorflow.SUCCESSORS
    | tensorflow_internals.SUCCESSORS
    | keras.SUCCESSORS
    | python_stdlib.SUCCESSORS
    | image_libraries.SUCCESSORS
    | tflearn.SUCCESSORS
)
_REMEDIES = (
    contrib_removed.REMEDIES
    | tensorflow.REMEDIES
    | tensorflow_internals.REMEDIES
    | tflearn.REMEDIES
    | image_libraries.REMEDIES
)
_KERAS_NOTE = "comes from tf_keras: without the shim, set TF_USE_LEGACY_KERAS=1 before the import"


class Symbol(NamedTuple):
    """A name of TensorFlow 1.15 and what became of it.

    Attributes:
        name: the old dotted name, e.g. "tf.contrib.layers.batch_norm".
        successor: an importable dotted path, e.g. "tf_slim.layers.batch_norm"; None: there is none.
        remedy: what to use instead where there is no successor; else a difference to know, or "".
    """

    name: str
    successor: str | None
    remedy: str = ""

    @property
    def message(self) -> str:
        """One sentence for the error that its use raises."""
        where = " is not in today's TensorFlow" if self.name.startswith("tf.") else ""
        return f"{self.name}{where}: {self.remedy}"


def lookup(dotted: str) -> Symbol | None:
    """What became of a TensorFlow 1 name.

    Args:
        dotted: the full name, beginning with "tf." or "tensorflow.", "tflearn." or "keras.".

    Returns:
        For a name under `tf.contrib`, or one outside it that is gone or has moved: a `Symbol`,
        whose name has "tf." for "tensorflow.". None for a name that `tensorflow.compat.v1` still
        has, and for any other library's.
    """
    prefix = name = _short(dotted)
    while prefix:
        if prefix in _SUCCESSORS:
            return _inherited(name, _SUCCESSORS[prefix] + name[len(prefix) :])
        if prefix in _REMEDIES:
            return Symbol(name, None, _REMEDIES[prefix])
        prefix = prefix.rpartition(".")[0]
    return None


def _inherited(name: str, successor: str) -> Symbol | None:
    if successor.startswith("tf.contrib."):  # the same thing under its public name
        found = lookup(successor)
        return found and found._replace(name=name)
    if any(successor == module or successor.startswith(module + ".") for module in LEGACY_KERAS):
        return Symbol(name, successor, _KERAS_NOTE)
    return Symbol(name, successor, DIFFERENCES.get(name, ""))


def is_package(dotted: str) -> bool:
    """Whether a name is a place: what is below it answers for itself."""
    return _short(dotted) in _PLACES


def _short(dotted: str) -> str:
    top, _, rest = dotted.partition(".")
    if top not in ("tensorflow", "tf"):
        return dotted
    return f"tf.{rest.removeprefix('compat.v1.')}"


def _places() -> frozenset[str]:
    places = {"tf.contrib", "tf.estimator"}
    for name in (*_SUCCESSORS, *_REMEDIES):
        parts = name.split(".")
        places.update(".".join(parts[:i]) for i in range(1, len(parts)))
        if name.startswith("tf.contrib.") and len(parts) == 3:
            places.add(name)
    # The same under an old path of its inside is a place, too.
    places.update(name for name, successor in _SUCCESSORS.items() if successor in places)
    return frozenset(places)


_PLACES = _places()
