"""Functions of today under the parameter names that they had in TensorFlow 1.15."""

from __future__ import annotations

import functools


def renamed(function, **today: str):
    """`function`, taking the keys of `today` as the keywords that are its values."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **{today.get(name, name): kwargs[name] for name in kwargs})

    return wrapper
