"""Python sources as libcst reads them: parsing, dotted names, what import statements bind."""

from __future__ import annotations

import ast
import dataclasses
import functools
import pathlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from slim_resnet.frameworks import require
from slim_resnet.legacy.tables import python37

cst = require("libcst")
_meta = require("libcst.metadata")

# Fields of nodes that hold white space, comments and what is only punctuation.
_SPACE = re.compile(
    r"whitespace|^(header|footer|leading_lines|lines_after_decorators|newline|"
    r"[lr]par|[lr]brace|[lr]bracket|comma|colon|semicolon|equal)$"
)


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


def provided(module: cst.Module) -> tuple[dict[cst.CSTNode, Any], ...]:
    """What libcst's providers know of a module's nodes: contexts, scopes, spans of bytes.

    Its MetadataWrapper would walk the module twice more, for nothing.
    """
    contexts, scopes = _meta.ExpressionContextProvider(), _meta.ScopeProvider()
    spans = _meta.ByteSpanPositionProvider()
    nodes = list(walk(module))
    contexts.visit_Module(module)
    known = [_of(contexts, nodes)]
    scopes.metadata = {type(contexts): known[0]}
    scopes.visit_Module(module)
    spans._gen_impl(module)  # the hook that every provider has
    return (*known, _of(scopes, nodes), _of(spans, nodes))


def _of(provider: _meta.BaseMetadataProvider, nodes: list[cst.CSTNode]) -> dict:
    return {node: provider.get_metadata(type(provider), node, None) for node in nodes}


def walk(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A node and all that is in it, white space left out, each before what it holds.

    libcst's own visitors make every node anew: several times slower.
    """
    todo = [node]
    while todo:
        node = todo.pop()
        yield node
        todo += reversed(children(node))


def children(node: cst.CSTNode) -> list[cst.CSTNode]:
    """What is directly in a node, white space left out."""
    found = []
    for value in (getattr(node, name) for name in _fields(type(node))):
        found += value if isinstance(value, list | tuple) else [value]
    return [child for child in found if isinstance(child, cst.CSTNode)]


@functools.cache
def _fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    names = (field.name for field in dataclasses.fields(kind))
    return tuple(name for name in names if not _SPACE.search(name))


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
