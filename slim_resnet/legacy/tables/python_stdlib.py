"""Python's own modules that had more in the Python 3.7 of TensorFlow 1.15."""

from __future__ import annotations

from slim_resnet.legacy.tables.notation import moved

MODULES = ("base64", "cgi", "collections", "fractions", "inspect", "json", "time", "xml")

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
    "base64.decodestring": "base64.decodebytes",
    "base64.encodestring": "base64.encodebytes",
    "cgi.escape": "slim_resnet.legacy.replacements.python_stdlib.escape",
    "json.load": "slim_resnet.legacy.replacements.python_stdlib.json_load",
    "json.loads": "slim_resnet.legacy.replacements.python_stdlib.json_loads",
    "xml.etree.cElementTree": "xml.etree.ElementTree",
}
