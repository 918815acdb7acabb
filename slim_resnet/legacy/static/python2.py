"""What of a script is Python 2: the syntax that Python 3 refuses, the names that it has not."""

from __future__ import annotations

import re

REMEDY = "convert it with `2to3 -w {}` (part of Python up to 3.12)"

# What a statement of Python 2 looks like where Python 3 finds a syntax error.
_SYNTAX = re.compile(
    r"^\s*(print\b(?!\s*[=(])|print\s*\(.*\)\s*%|exec\s+[^(\s]|raise\s+\w+\s*,|except\s+[\w.]+\s*,)"
    r"|`[^`]+`|<>|\b0\d+\b|\bur['\"]|\b\d+[lL]\b|\blambda\s*\(|\bdef\s.*\(\("
)
NAMES = (
    "basestring", "cmp", "execfile", "file", "long", "raw_input", "reduce", "reload", "unichr",
    "unicode", "xrange",
)  # fmt: skip
# Methods of dictionaries, called without arguments.
METHODS = ("iteritems", "iterkeys", "itervalues")


def explain(error: SyntaxError) -> str:
    """One sentence on why a source does not parse: it is Python 2, or the error's own message."""
    where = f"{error.filename}:{error.lineno}"
    line = (error.text or "").strip()
    is_print = "Missing parentheses in call" in error.msg
    if isinstance(error, TabError) or is_print or _SYNTAX.search(error.text or ""):
        return f"{where}: this is Python 2 ({line}): {REMEDY.format(error.filename)}"
    return f"{where}: {error.msg}: {line}"
