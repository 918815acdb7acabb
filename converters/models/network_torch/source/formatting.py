"""Long lines of Python, broken as the field's formatters break them."""

from __future__ import annotations

import re
from collections import defaultdict

WIDTH = 100
_INDENT = 4
_OPENING, _CLOSING = "([{", ")]}"
# Operators, those that bind least first.
_BINDING = (("<", ">", "<=", ">=", "==", "!="), ("+", "-"), ("*", "/", "//", "%"))
_OPERATOR = re.compile(r" (<=|>=|==|!=|//|[-+*/%<>]) ")


def wrapped(line: str, indent: int = 0) -> list[str]:
    """A statement or an argument as lines of at most `WIDTH` characters, where that can be.

    What is in its last brackets goes on a line of its own, or an argument a line.

    Args:
        line: without indentation.
        indent: of its first line, in spaces.
    """
    space = " " * indent
    if indent + len(line) <= WIDTH:
        return [space + line]
    target, value = _sides(line)
    if len(_operands(value)) > 1:
        return _in_parentheses(target, value, indent)
    start, end = _last_brackets(line)
    if start is None:
        return [space + line]
    head, inside, tail = line[: start + 1], line[start + 1 : end], line[end:]
    inner = indent + _INDENT
    is_call = bool(re.search(r"[\w\])]$", head[:-1]))
    if is_call and inner + len(inside) <= WIDTH:
        return [space + head, " " * inner + inside, space + tail]
    parts = _parts(inside)
    comma = "" if head.endswith("(") and not is_call and len(parts) == 1 else ","
    found = [space + head]
    for part in parts:
        found += wrapped(part + comma, inner)
    return [*found, space + tail]


def _sides(line: str) -> tuple[str, str]:
    """What a value is given to, and the value."""
    found = re.match(r"return |[\w., ]+ = ", line)
    return (found[0], line[found.end() :]) if found else ("", line)


def _in_parentheses(target: str, value: str, indent: int) -> list[str]:
    """A long operation, an operand a line where it must be."""
    space, inner = " " * indent, indent + _INDENT
    tail = ")," if not target and value.endswith(",") else ")"
    value = value.rstrip(",") if tail == ")," else value
    found = [f"{space}{target}("]
    if inner + len(value) <= WIDTH:
        return [*found, " " * inner + value, space + tail]
    for operand in _operands(value):
        found += wrapped(operand, inner)
    return [*found, space + tail]


def _operands(value: str) -> list[str]:
    """The operands of the outermost operation that binds least, each with what is before it."""
    depth, cuts = 0, defaultdict(list)
    for index, character in _outside_of_texts(value):
        depth += (character in _OPENING) - (character in _CLOSING)
        found = _OPERATOR.match(value, index) if not depth else None
        if found:
            cuts[_BINDING.index(next(g for g in _BINDING if found[1] in g))].append(index + 1)
    if not cuts:
        return [value]
    places = [0, *cuts[min(cuts)], len(value)]
    return [value[a:b].strip() for a, b in zip(places, places[1:], strict=False)]


def _last_brackets(line: str) -> tuple[int | None, int | None]:
    """Where the last brackets of the outermost level begin and end, if there is something in."""
    depth, start, found = 0, None, (None, None)
    for index, character in _outside_of_texts(line):
        if character in _OPENING:
            if not depth:
                start = index
            depth += 1
        elif character in _CLOSING:
            depth -= 1
            if not depth and start is not None and index > start + 1:
                found = (start, index)
    return found


def _parts(inside: str) -> list[str]:
    """What stands between the commas of the outermost level."""
    depth, start, found = 0, 0, []
    for index, character in _outside_of_texts(inside):
        depth += (character in _OPENING) - (character in _CLOSING)
        if character == "," and not depth:
            found.append(inside[start:index].strip())
            start = index + 1
    return [*found, inside[start:].strip()] if inside[start:].strip() else found


def _outside_of_texts(line: str):
    """(index, character) of all that is in no text in double quotes."""
    quoted = escaped = False
    for index, character in enumerate(line):
        if quoted:
            if character == '"' and not escaped:
                quoted = False
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        else:
            yield index, character
