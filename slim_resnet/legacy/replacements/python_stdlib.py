"""Functions of Python 3.7's standard library that are gone, for scripts of its day."""

from __future__ import annotations

import html
import inspect
import json
from typing import NamedTuple


class ArgSpec(NamedTuple):
    """What `getargspec` returns."""

    args: list[str]
    varargs: str | None
    keywords: str | None
    defaults: tuple | None


def getargspec(func) -> ArgSpec:
    """`inspect.getargspec`, which Python 3.11 dropped.

    Raises:
        ValueError: the function has keyword-only parameters or annotations.
    """
    spec = inspect.getfullargspec(func)
    if spec.kwonlyargs or spec.annotations:
        raise ValueError("it has keyword-only parameters or annotations: use getfullargspec")
    return ArgSpec(*spec[:4])


def escape(s: str, quote: bool = False) -> str:
    """`cgi.escape`, which left quotes as they are unless asked."""
    return html.escape(s, quote)


def json_load(fp, encoding=None, **kwargs):
    """`json.load` with the `encoding` that Python 3 never heeded and 3.9 dropped."""
    return json.load(fp, **kwargs)


def json_loads(s, encoding=None, **kwargs):
    """`json.loads` with the `encoding` that Python 3 never heeded and 3.9 dropped."""
    return json.loads(s, **kwargs)
