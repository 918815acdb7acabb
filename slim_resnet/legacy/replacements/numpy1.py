"""NumPy of 2017-2019: names that are gone, ragged arrays, `copy=False`."""

from __future__ import annotations

import functools

import numpy as np

_IS_NUMPY_2 = np.lib.NumpyVersion(np.__version__) >= "2.0.0b1"


def asscalar(a):
    """The only element of an array as a Python number."""
    return np.asarray(a).item()


def fromstring(string, dtype=float, count=-1, **text):
    """NumPy's, and the binary mode (no `sep`) that NumPy 2.3 removed: a copy of the bytes."""
    if text.get("sep"):
        return np.fromstring(string, dtype, count, **text)
    return np.frombuffer(string, dtype, count).copy()


def _converting(function, name: str):
    """`np.array` or one of its like, making an object array of ragged lists, as it did until 1.24.

    `copy=False` is what it was until NumPy 2: a copy where one is needed.
    """

    @functools.wraps(function)
    def convert(a, dtype=None, *args, **kwargs):
        if kwargs.get("copy") is False and _IS_NUMPY_2:
            kwargs["copy"] = None
        try:
            return function(a, dtype, *args, **kwargs)
        except ValueError as error:
            if dtype is not None or "inhomogeneous" not in str(error):
                raise
            return function(a, object, *args, **kwargs)

    convert.__name__ = convert.__qualname__ = name
    return convert


def equal(a, b):
    """`a == b`, False for arrays whose shapes do not fit, where NumPy 1.25 and later raise."""
    try:
        return a == b
    except ValueError as error:
        if _do_not_fit(a, b, error):
            return False
        raise


def not_equal(a, b):
    """`a != b`, True for arrays whose shapes do not fit, where NumPy 1.25 and later raise."""
    try:
        return a != b
    except ValueError as error:
        if _do_not_fit(a, b, error):
            return True
        raise


def _do_not_fit(a, b, error: ValueError) -> bool:
    is_array = isinstance(a, np.ndarray) or isinstance(b, np.ndarray)
    return is_array and "could not be broadcast" in str(error)


class _Cast(dict):
    """`np.cast[dtype](x)`"""

    def __missing__(self, dtype):
        return lambda x: np.asarray(x).astype(dtype)


# The aliases of Python's types meant those types, np.bool included: NumPy 2's is another.
LEGACY_NAMES = {
    "bool": bool,
    "complex": complex,
    "float": float,
    "int": int,
    "long": int,
    "object": object,
    "str": str,
    "unicode": str,
    "bool8": np.bool_,
    "cfloat": np.complex128,
    "complex_": np.complex128,
    "float_": np.float64,
    "int0": np.intp,
    "longcomplex": np.clongdouble,
    "longfloat": np.longdouble,
    "object0": np.object_,
    "singlecomplex": np.complex64,
    "string_": np.bytes_,
    "uint0": np.uintp,
    "unicode_": np.str_,
    "Inf": np.inf,
    "Infinity": np.inf,
    "NAN": np.nan,
    "NINF": -np.inf,
    "NZERO": -0.0,
    "NaN": np.nan,
    "PINF": np.inf,
    "PZERO": 0.0,
    "infty": np.inf,
    "alltrue": np.all,
    "asfarray": lambda a, dtype=np.float64: np.asarray(a, dtype),
    "asscalar": asscalar,
    "cast": _Cast(),
    "cumproduct": np.cumprod,
    "fromstring": fromstring,
    "in1d": lambda ar1, ar2, **kwargs: np.isin(np.ravel(ar1), ar2, **kwargs),
    "mat": np.asmatrix,
    "msort": lambda a: np.sort(a, axis=0),
    "product": np.prod,
    "round_": np.round,
    "row_stack": np.vstack,
    "sometrue": np.any,
    "trapz": getattr(np, "trapezoid", None) or getattr(np, "trapz", None),
    "AxisError": np.exceptions.AxisError,
    "ComplexWarning": np.exceptions.ComplexWarning,
    "VisibleDeprecationWarning": np.exceptions.VisibleDeprecationWarning,
}

# Names that are still there and took more.
CHANGED_FUNCTIONS = {
    name: _converting(getattr(np, name), name) for name in ("array", "asanyarray", "asarray")
}
