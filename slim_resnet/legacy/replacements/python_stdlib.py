"""Functions of Python 3.7's standard library that are gone, for scripts of its day."""

from __future__ import annotations

import inspect
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
