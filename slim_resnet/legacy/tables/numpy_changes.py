"""What NumPy refuses today that it took in 2018: the error that says so, and what to write."""

from __future__ import annotations

import re
from typing import NamedTuple

# Where all of it is as it was, and how to get there.
OTHER_NUMPY = (
    "`make legacy` sets up an environment with NumPy 1.26, in which all of it is as it was"
)


class Refusal(NamedTuple):
    """An error of today's NumPy, or of what counts on it.

    Attributes:
        pattern: found in the error's message.
        since: the NumPy that began it.
        cause: what changed.
        remedy: what to write instead.
        code: found in the line of the script, where the message alone may mean something else.
    """

    pattern: re.Pattern[str]
    since: str
    cause: str
    remedy: str
    code: str = ""


_ONE_ELEMENT = "an array with one element is no number"
_INTEGERS = "Python integers must fit the dtype"

REFUSALS = tuple(
    Refusal(re.compile(pattern), *rest)
    for pattern, *rest in (
        (
            r"only 0-dimensional arrays can be converted to Python scalars|"
            r"format: a real number is required, not numpy\.ndarray|"
            r"must be real number, not numpy\.ndarray",
            "2.4",
            _ONE_ELEMENT,
            "take its element: v.item(), or v[0]",
        ),
        (
            r"setting an array element with a sequence\.$",
            "2.4",
            _ONE_ELEMENT,
            "if it has one, take its element: a[0] = v.item()",
        ),
        (
            r"Python integer -?\d+ out of bounds for u?int\d+",
            "2.0",
            _INTEGERS,
            "widen first: x.astype(np.int64), or cast: np.array(n).astype(np.uint8)",
        ),
        (
            r"The requested array has an inhomogeneous shape",
            "1.24",
            "lists of unequal lengths make no array by themselves",
            "say dtype=object",
        ),
        (
            r"operands could not be broadcast together with shapes",
            "1.25",
            "== and != of unequal shapes raise; they were False and True",
            "use np.array_equal, or compare the shapes first",
            r"[=!]=",
        ),
        (
            r"Unable to avoid copy while creating an array",
            "2.0",
            "copy=False never copies",
            "use np.asarray",
        ),
        (
            r"The truth value of an empty array is ambiguous",
            "2.2",
            "an empty array is neither true nor false; it was false",
            "use array.size > 0",
        ),
        (
            r"returned by pyfunc_\d+ is (float|half), but expects (double|float)",
            "2.0",
            "a float32 scalar times a Python float stays float32; it was float64",
            "cast the result: np.float64(...)",
        ),
    )
)


def refusal(message: str, code: str, numpy_version: str) -> Refusal | None:
    """The row for an error, if this NumPy refuses what the row tells of.

    Args:
        message: the error's.
        code: the line of the script that ended in it.
        numpy_version: which NumPy raised it.
    """
    version = _numbers(numpy_version)
    for row in REFUSALS:
        if row.pattern.search(message) and re.search(row.code, code):
            return row if _numbers(row.since) <= version else None
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))
