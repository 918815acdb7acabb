"""The backslash escapes of strings in protobuf's text format.

Source: the protobuf text format specification.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)", re.DOTALL)
_ESCAPED = {
    b"n": b"\n",
    b"r": b"\r",
    b"t": b"\t",
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"v": b"\v",
}


def unescape(text: bytes) -> bytes:
    """The bytes that a string stands for, given without its quotes."""
    return _ESCAPE.sub(_resolved, text)


def _resolved(match: re.Match[bytes]) -> bytes:
    code = match[1]
    if b"0" <= code < b"8":
        return bytes([int(code, 8) & 0xFF])
    return bytes([int(code[1:], 16)]) if len(code) > 1 else _ESCAPED.get(code, code)
