"""What of a script is Python 2: the syntax that Python 3 refuses, the names that it has not."""

from __future__ import annotations

import re

REMEDY = "convert it with `2to3 -w {}` (part of Python up to 3.12)"

# What a statement of Python 2 looks like where Python 3 finds a syntax error.
_SYNTAX = re.compile(
    r"^\s*(print\b(?!\s*[=(])|print\s*\(.*\)\s*%|exec\s+[^(\s]|raise\s+\w+\s*,|except\s+[\w.]+\s*,)"
    r"|`[^`]+`|<>|(?<![\w.])0\d+\b(?!\.)|\bur['\"]|\b\d+[lL]\b"
    r"|\blambda\s*\([\w, ]+\)\s*:|\bdef\s.*\(\("
)
NAMES = (
    "basestring", "cmp", "execfile", "file", "long", "raw_input", "reduce", "reload", "unichr",
    "unicode", "xrange",
)  # fmt: skip
# Methods of dictionaries, called without arguments.
METHODS = ("iteritems", "iterkeys", "itervalues")
MODULES = ("ConfigParser", "Queue", "StringIO", "cPickle", "cStringIO", "urllib2", "urlparse")


def is_python_2(error: SyntaxError) -> bool:
    """Whether what Python 3 refuses is Python 2."""
    is_print = "Missing parentheses in call" in str(error.msg)
    return isinstance(error, TabError) or is_print or bool(_SYNTAX.search(error.text or ""))


def explain(error: SyntaxError) -> str:
    """One sentence on why a source does not parse: it is Python 2, or the error's own message."""
    where = f"{error.filename}:{error.lineno}"
    line = (error.text or "").strip()
    if is_python_2(error):
        return f"{where}: this is Python 2 ({line}): {REMEDY.format(error.filename)}"
    return f"{where}: {error.msg}: {line}"
