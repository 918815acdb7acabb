"""The house: which module may import which, and what modules are called."""

from __future__ import annotations

import ast
import functools
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("slim_resnet", "converters", "tools", "benchmarks")
# The flow: a package imports those before it, and its own row.
FLOW = (
    ("files",),
    ("graphs",),
    ("recognise",),
    ("models",),
    ("formats",),
    ("proof",),
    ("conversion",),
    ("batch", "benchmark", "finetune", "evaluation"),
    ("cli",),
    ("__main__",),
)
FRAMEWORKS = ["tensorflow", "torch", "keras", "jax", "h5py", "rich", "tomllib", "tomli"]
# Names that legacy code imports, and what is run as a script.
NAMED_LIKE_THEIRS = {"slim_resnet.resnet_v1", "slim_resnet.resnext_cifar", "converters.cli.train"}


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every module by its dotted name, parsed."""
    found = {}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(name: str) -> set[str]:
    """The modules here that one imports when it is imported itself."""
    return _imported(name, list(modules()[name].body), everywhere=False)


def all_imports(name: str) -> set[str]:
    """The same, with what its functions import, and its annotations alone."""
    return _imported(name, list(modules()[name].body), everywhere=True)


def _imported(name: str, todo: list[ast.AST], *, everywhere: bool) -> set[str]:
    found: set[str] = set()
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (whole & modules().keys()) or {node.module}
        elif everywhere:
            todo += ast.iter_child_nodes(node)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            todo += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)
    return found & modules().keys() - {name}


@pytest.mark.parametrize("found", [imports, all_imports])
def test_no_modules_import_each_other_in_a_circle(found):
    graphlib.TopologicalSorter({name: found(name) for name in modules()}).prepare()


def test_the_flow_is_one_way():
    rank = {package: number for number, row in enumerate(FLOW) for package in row}
    for name in modules():
        if name.count(".") and name.startswith("converters."):
            for other in imports(name):
                if other.startswith("converters."):
                    here, there = name.split(".")[1], other.split(".")[1]
                    assert rank[there] <= rank[here], f"{name} imports {other}"


@pytest.mark.parametrize(
    ("package", "others"), [("slim_resnet", PACKAGES[1:]), ("converters", PACKAGES[2:])]
)
def test_packages_do_not_import_what_is_built_on_them(package, others):
    for name in modules():
        if name.split(".")[0] == package:
            assert not {found for found in imports(name) if found.split(".")[0] in others}, name


def test_no_module_is_called_as_what_it_defines():
    kinds = ast.FunctionDef | ast.ClassDef
    found = {
        name
        for name, tree in modules().items()
        if name.split(".")[-1] in {node.name for node in tree.body if isinstance(node, kinds)}
    }
    assert found == NAMED_LIKE_THEIRS


def test_converters_imports_no_framework():
    code = f"import sys, converters; print(*sys.modules.keys() & set({FRAMEWORKS!r}))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == []
