"""Syntax that Python 3.7 took and Python 3.8 or later refuses: how to say it today."""

from __future__ import annotations

import io
import re
import tokenize

from slim_resnet.legacy.tables import python2

# What Python says of `f(0, (*(1, 2)))` and of `f((a)=1)`, which 3.7 read as f(0, *(1, 2)), f(a=1).
_REFUSED = re.compile("cannot use starred expression here|expression cannot contain assignment")
REMEDY = "leave out the parentheses around it, or let `run_legacy.py --rewrite` do it"


def is_python_37(error: SyntaxError) -> bool:
    """Whether what is refused is syntax of Python 3.7."""
    return bool(_REFUSED.search(str(error.msg)))


def explain(error: SyntaxError) -> str:
    """One sentence on why a source does not parse; see `python2.explain`."""
    if not is_python_37(error):
        return python2.explain(error)
    line = (error.text or "").strip()
    where = f"{error.filename}:{error.lineno}"
    return f"{where}: Python 3.7 took this, later ones do not ({line}): {REMEDY}"


def modernized(code: bytes) -> bytes:
    """A module's source with such parentheses left out; as it is where that does not help."""
    try:
        compile(code, "script", "exec", dont_inherit=True)
    except SyntaxError as error:
        if is_python_37(error):
            encoding, _ = tokenize.detect_encoding(io.BytesIO(code).readline)
            return _modernized(code.decode(encoding)).encode(encoding)
    except ValueError:  # a null byte: reported where it is parsed
        pass
    return code


def _modernized(source: str) -> str:
    text = source
    while True:
        try:
            compile(text, "script", "exec", dont_inherit=True)
        except SyntaxError as error:
            shorter = _without_parentheses(text, error) if is_python_37(error) else None
            if shorter is None:
                return source
            text = shorter
        else:
            return text


def _without_parentheses(text: str, error: SyntaxError) -> str | None:
    """The source without the pair of parentheses that an error is about."""
    opening = text.rfind("(", 0, _offset(text, error) + 1)
    closing = _closing(text, opening) if opening >= 0 else None
    if closing is None:
        return None
    return text[:opening] + text[opening + 1 : closing] + text[closing + 1 :]


def _offset(text: str, error: SyntaxError) -> int:
    lines = text.splitlines(keepends=True)
    return sum(map(len, lines[: error.lineno - 1])) + (error.offset or 1) - 1


def _closing(text: str, opening: int) -> int | None:
    """Where the parenthesis at `opening` closes; those in strings are taken for code."""
    depth = 0
    for at in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return None
