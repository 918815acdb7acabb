"""Expressions that compute something else, or nothing, with another NumPy.

Only what the text itself shows: literals, dtypes that are written out, names given to them once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from slim_resnet.legacy.rewriting.script import Script
from slim_resnet.legacy.rewriting.syntax import cst, walk

_ARRAYS = ("array", "asarray", "asanyarray")
_FILLED = ("empty", "full", "ones", "zeros", "arange")
# Types narrower than Python's numbers, which a Python number once widened.
_NARROW = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32")
_SEQUENCES = (cst.List, cst.Tuple)
_CONVERSIONS = ("float", "int", "math.")
_ARITHMETIC = (cst.Add, cst.Subtract, cst.Multiply, cst.Divide, cst.FloorDivide, cst.Power)

RAGGED = "an object array until NumPy 1.24, an error since; say dtype=object"
SCALAR = (
    "NumPy 2 computes it in {dtype}, NumPy 1 in 64 bits (or what the values needed): cast first"
)
OUT_OF_BOUNDS = "NumPy 2 raises, as {value} is no {dtype}; NumPy 1 computed in a wider type"
WRAPPED = "NumPy 2 raises, as {value} is no {dtype}; NumPy 1 wrapped it: np.array(n).astype(...)"
UNEQUAL = "False (for !=, True) until NumPy 1.25, an error since: use np.array_equal"
ONE_ELEMENT = "NumPy 2.4 makes no number of an array: take its element, v.item()"
INVERSE = "NumPy 2 gives the inverse the shape of the input, NumPy 1 a flat one: .ravel() it"


class Place(NamedTuple):
    """An expression that depends on NumPy, and why."""

    node: cst.CSTNode
    remedy: str


class _Array(NamedTuple):
    """What the text tells of a value: its dtype, its length, whether it has no dimensions."""

    dtype: str | None
    length: int | None
    is_scalar: bool


def find(script: Script) -> Iterator[Place]:
    """Every place in a script that a rule applies to, in the order of the text."""
    if not any(name.partition(".")[0] == "numpy" for _, name in script.imports):
        return
    reader = _Reader(script)
    for node in walk(script.module):
        for remedy in filter(None, (rule(reader, node) for rule in _RULES.get(type(node), ()))):
            yield Place(node, remedy)
            break


class _Reader:
    """Values of expressions, as far as a script's text shows them."""

    def __init__(self, script: Script):
        self._script = script

    def function(self, call: cst.Call) -> str:
        """What is called, without numpy's own name: "array"; "" if it is not known to be one."""
        names, sure = self._script.meaning(call.func)
        found = next(iter(names), "") if sure else ""
        return found.removeprefix("numpy.") if found.startswith("numpy.") else ""

    def library(self, call: cst.Call) -> str:
        """The full name of what is called, builtins included."""
        names, _ = self._script.meaning(call.func)
        word = call.func.value if isinstance(call.func, cst.Name) else ""
        if not names and word not in self._script.names_bound:
            return word
        return next(iter(names), "")

    def array(self, node: cst.CSTNode) -> _Array | None:
        """What is known of an expression's value; None: not that it is NumPy's."""
        if isinstance(node, cst.Name):
            value = self._script.only_value(node)
            return self.array(value) if value is not None else None
        if not isinstance(node, cst.Call):
            return None
        if isinstance(node.func, cst.Attribute) and node.func.attr.value == "astype":
            return _Array(self._dtype(node, 0), None, False)
        name = self.function(node)
        if name in _NARROW:
            inner = self.array(node.args[0].value) if node.args else None
            return _Array(name, None, inner is None and _is_number(node.args[0].value))
        if name in _ARRAYS:
            return _Array(self._dtype(node, 1), _length(node), False)
        return _Array(self._dtype(node, None), None, False) if name in _FILLED else None

    def _dtype(self, call: cst.Call, position: int | None) -> str | None:
        """The dtype that a call names, if it is a narrow one."""
        arg = argument(call, "dtype", position)
        if isinstance(arg, cst.SimpleString):
            name = arg.evaluated_value
        else:
            names, _ = self._script.meaning(arg) if arg is not None else ({}, True)
            name = next(iter(names), "").removeprefix("numpy.")
        return name if name in _NARROW else None


def argument(call: cst.Call, keyword: str, position: int | None) -> cst.CSTNode | None:
    """An argument's expression, given by its keyword or its position."""
    for arg in call.args:
        if arg.keyword is not None and arg.keyword.value == keyword:
            return arg.value
    plain = [arg.value for arg in call.args if arg.keyword is None and not arg.star]
    return plain[position] if position is not None and position < len(plain) else None


def _ragged(reader: _Reader, call: cst.Call) -> str | None:
    if reader.function(call) not in _ARRAYS or argument(call, "dtype", 1) is not None:
        return None
    return RAGGED if call.args and _is_ragged(call.args[0].value) else None


def _is_ragged(node: cst.CSTNode) -> bool:
    """Whether the items of a literal are literals of unequal lengths, or some of them only."""
    if not isinstance(node, _SEQUENCES) or any(
        isinstance(e, cst.StarredElement) for e in node.elements
    ):
        return False
    items = [element.value for element in node.elements]
    lengths = {len(i.elements) if isinstance(i, _SEQUENCES) else None for i in items}
    plain = all(isinstance(i, _SEQUENCES) or _is_number(i) for i in items)
    return (plain and len(lengths) > 1) or any(map(_is_ragged, items))


def _wrapped(reader: _Reader, call: cst.Call) -> str | None:
    """np.uint8(300), np.array([300, -1], np.uint8)"""
    found = reader.array(call)
    is_conversion = reader.function(call) in (*_NARROW, *_ARRAYS, "full")
    if found is None or found.dtype is None or not is_conversion:
        return None
    values = [v for arg in call.args for v in _numbers(arg.value)]
    value = next((v for v in values if not _fits(v, found.dtype)), None)
    return None if value is None else WRAPPED.format(value=value, dtype=found.dtype)


def _inverse(reader: _Reader, call: cst.Call) -> str | None:
    if reader.function(call) != "unique":
        return None
    asked = argument(call, "return_inverse", 2)
    return INVERSE if isinstance(asked, cst.Name) and asked.value == "True" else None


def _conversion(reader: _Reader, call: cst.Call) -> str | None:
    """float(np.array([1.5])), math.exp(...)"""
    if not reader.library(call).startswith(_CONVERSIONS) or len(call.args) != 1:
        return None
    found = reader.array(call.args[0].value)
    return ONE_ELEMENT if found is not None and found.length == 1 else None


def _arithmetic(reader: _Reader, node: cst.BinaryOperation) -> str | None:
    """np.uint8(100) + 200, np.array([5], np.uint8) - 300, np.float32(3) * 0.1"""
    if not isinstance(node.operator, _ARITHMETIC):
        return None
    for one, other in ((node.left, node.right), (node.right, node.left)):
        found, numbers = reader.array(one), _numbers(other)
        if found is None or found.dtype is None or len(numbers) != 1 or not _is_number(other):
            continue
        if found.is_scalar:
            return SCALAR.format(dtype=found.dtype)
        if not _fits(numbers[0], found.dtype):
            return OUT_OF_BOUNDS.format(value=numbers[0], dtype=found.dtype)
    return None


def _comparison(reader: _Reader, node: cst.Comparison) -> str | None:
    """np.array([1, 2]) == [1, 2, 3]"""
    target = node.comparisons[0]
    if len(node.comparisons) > 1 or not isinstance(target.operator, cst.Equal | cst.NotEqual):
        return None
    sides = (node.left, target.comparator)
    arrays = [reader.array(side) for side in sides]
    if not any(arrays):
        return None
    lengths = {
        a.length if a is not None else len(s.elements) if isinstance(s, _SEQUENCES) else None
        for s, a in zip(sides, arrays, strict=True)
    }
    return UNEQUAL if len(lengths) == 2 and not lengths & {None, 1} else None


_RULES: dict[type, tuple[Callable, ...]] = {
    cst.Call: (_ragged, _wrapped, _inverse, _conversion),
    cst.BinaryOperation: (_arithmetic,),
    cst.Comparison: (_comparison,),
}


def _length(call: cst.Call) -> int | None:
    """The length of np.array([...])'s literal."""
    first = call.args[0].value if call.args else None
    return len(first.elements) if isinstance(first, _SEQUENCES) else None


def _is_number(node: cst.CSTNode) -> bool:
    inner = node.expression if isinstance(node, cst.UnaryOperation) else node
    return isinstance(inner, cst.Integer | cst.Float)


def _numbers(node: cst.CSTNode) -> list:
    """The numbers in a literal: one, or those of a list."""
    if isinstance(node, _SEQUENCES):
        return [v for element in node.elements for v in _numbers(element.value)]
    if not _is_number(node):
        return []
    inner = node.expression if isinstance(node, cst.UnaryOperation) else node
    negative = isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus)
    return [-inner.evaluated_value if negative else inner.evaluated_value]


@functools.cache
def _fits(value: float, dtype: str) -> bool:
    kind = np.dtype(dtype)
    if kind.kind == "f" or isinstance(value, float):
        return True
    bounds = np.iinfo(kind)
    return bounds.min <= value <= bounds.max
