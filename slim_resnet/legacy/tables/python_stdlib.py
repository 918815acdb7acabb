"""Python's own modules that had more in the Python 3.7 of TensorFlow 1.15."""

from __future__ import annotations

from slim_resnet.legacy.tables.notation import moved

MODULES = ("collections", "fractions", "inspect", "time")

SUCCESSORS = {
    **moved(
        "collections",
        "AsyncGenerator AsyncIterable AsyncIterator Awaitable Callable Collection Container "
        "Coroutine Generator Hashable ItemsView Iterable Iterator KeysView Mapping MappingView "
        "MutableMapping MutableSequence MutableSet Reversible Sequence Set Sized ValuesView",
        "collections.abc",
    ),
    "fractions.gcd": "math.gcd",
    "inspect.getargspec": "slim_resnet.legacy.replacements.python_stdlib.getargspec",
    "time.clock": "time.process_time",
}
