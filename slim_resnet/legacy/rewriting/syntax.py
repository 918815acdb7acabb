"""Python sources as libcst reads them: parsing, dotted names, what import statements bind."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from slim_resnet.frameworks import require
from slim_resnet.legacy.tables import python37

cst = require("libcst")


class UnreadableError(ValueError):
    """This file is not a Python 3 source."""


class Binding(NamedTuple):
    """`local` stands for `name` from here on: an import, or `local = dotted.name`.

    `statement` is the import or assignment, `alias` the one name of an import that it is about:
    None for an assignment, and for `from module import *`, from which the name only may come.
    """

    local: str
    name: str
    statement: cst.CSTNode
    alias: cst.CSTNode | None = None


def parse(path: pathlib.Path, code: bytes) -> cst.Module:
    """Parses one file, encoding, line ends and comments kept; errors name `path`."""
    try:
        ast.parse(code, str(path))
        return cst.parse_module(code)
    except SyntaxError as error:
        raise UnreadableError(python37.explain(error)) from error
    except (cst.ParserSyntaxError, ValueError, LookupError) as error:
        raise UnreadableError(f"{path}: {error}") from error


def dotted(node: cst.CSTNode | None) -> list[cst.Name | str] | None:
    """`a.b.c` as [Name a, "b", "c"]; None for any other expression."""
    words = []
    while isinstance(node, cst.Attribute):
        words.append(node.attr.value)
        node = node.value
    return [node, *reversed(words)] if isinstance(node, cst.Name) else None


def is_wildcard(binding: Binding) -> bool:
    """Whether it is `from module import *` that brings the name in."""
    return isinstance(binding.statement, cst.ImportFrom) and binding.alias is None


def module_name(statement: cst.ImportFrom) -> str:
    """The module of `from module import ...`, with the dots of a relative one."""
    module = statement.module
    name = cst.helpers.get_full_name_for_node(module) if module else ""
    return "." * len(statement.relative) + name


def imported(statement: cst.Import | cst.ImportFrom) -> Iterator[tuple[Binding, str]]:
    """Each name that an import statement binds, with the full name that it mentions."""
    if isinstance(statement.names, cst.ImportStar):
        return
    prefix = f"{module_name(statement)}." if isinstance(statement, cst.ImportFrom) else ""
    for alias in statement.names:
        name = prefix + alias.evaluated_name
        if alias.asname:
            yield Binding(alias.evaluated_alias, name, statement, alias), name
        elif prefix:
            yield Binding(alias.evaluated_name, name, statement, alias), name
        else:
            top = name.partition(".")[0]
            yield Binding(top, top, statement, alias), name


def import_binding(name: str, statement: cst.CSTNode) -> Binding | None:
    top = name.partition(".")[0]  # libcst has one assignment for each of a, a.b, a.b.c
    return next((b for b, _ in imported(statement) if b.local == top), None)
