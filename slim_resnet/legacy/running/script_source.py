"""What is the script's own code, and how it is compiled."""

from __future__ import annotations

import ast
import functools
import importlib.abc
import importlib.machinery
import os
import site
import sysconfig
from types import CodeType

OWN_PACKAGES = ("slim_resnet", "converters")


@functools.cache
def is_script(file: str) -> bool:
    """Whether a file is the user's own: outside the standard library and installed packages."""
    path = os.path.realpath(file)
    return not any(path.startswith(folder + os.sep) for folder in _library_folders())


@functools.cache
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.update(site.getsitepackages(), [site.getusersitepackages()])
    return tuple(os.path.realpath(folder) for folder in folders)


class ScriptFinder(importlib.abc.MetaPathFinder):
    """First on `sys.meta_path`: compiles the script's own modules as the script is compiled."""

    def find_spec(self, fullname, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return None
        if fullname.partition(".")[0] in OWN_PACKAGES or not is_script(spec.origin):
            return None
        spec.loader = _ScriptLoader(fullname, spec.origin)
        return spec


class _ScriptLoader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):  # past the bytecode cache, which is for code as it is written
        path = self.get_filename(fullname)
        return compile_script(self.get_data(path), path)


def compile_script(source: bytes, path: str) -> CodeType:
    """Compiles a script's source, some of its expressions as NumPy of 2018 had them.

    `array.tostring()`, which NumPy 2.3 removed, means `tobytes()`; where NumPy is used, `==` and
    `!=` of arrays whose shapes do not fit are False and True, as until NumPy 1.25.

    Raises:
        SyntaxError: it is not Python 3.
    """
    tree = _ToBytes().visit(ast.parse(source, path))
    if b"numpy" in source:
        _compare_as_numpy_1(tree)
    return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


# In place of `a == b`: a name that no script has.
_COMPARISONS = {ast.Eq: "__numpy1_equal__", ast.NotEq: "__numpy1_not_equal__"}
_IMPORTS = ast.parse(
    "from slim_resnet.legacy.replacements.numpy1 import (\n"
    "    equal as __numpy1_equal__, not_equal as __numpy1_not_equal__)\n"
).body


def _compare_as_numpy_1(tree: ast.Module) -> None:
    _Comparing().visit(tree)
    first = 0  # what must stay first: a docstring, imports from __future__
    while first < len(tree.body) and _is_head(tree.body[first]):
        first += 1
    tree.body[first:first] = _IMPORTS


def _is_head(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


class _Comparing(ast.NodeTransformer):
    """a == b -> compared(a, b)"""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:  # noqa: N802
        self.generic_visit(node)
        sides = [node.left, *node.comparators]
        name = _COMPARISONS.get(type(node.ops[0])) if len(sides) == 2 else None
        if name is None or any(isinstance(side, ast.Constant) for side in sides):
            return node  # a number or a text fits every shape
        call = ast.Call(ast.Name(name, ast.Load()), sides, [])
        return ast.copy_location(call, node)


_EITHER = ast.parse("lambda x: getattr(x, 'tostring', None) or x.tobytes", mode="eval").body


class _ToBytes(ast.NodeTransformer):
    """x.tostring() -> (lambda x: x.tostring if it has one, else x.tobytes)(x)()"""

    def visit_Call(self, node: ast.Call) -> ast.Call:  # noqa: N802
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr == "tostring":
            node.func = ast.copy_location(ast.Call(_EITHER, [function.value], []), function)
        return node
