"""tools/record_legacy.py has to run on old Pythons, with NumPy and TensorFlow."""

import ast
import pathlib
import shutil
import subprocess
import sys

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "record_legacy.py"


def test_syntax_is_common_to_python_2_and_3():
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 5))
    banned = (
        ast.JoinedStr,
        ast.AnnAssign,
        ast.NamedExpr,
        ast.Nonlocal,
        ast.YieldFrom,
        ast.AsyncFunctionDef,
        ast.MatMult,
    )
    for node in ast.walk(tree):
        assert not isinstance(node, banned), ast.dump(node)
        assert not getattr(node, "annotation", None)
        assert not getattr(node, "returns", None)
        assert not isinstance(node, ast.Raise) or node.cause is None
        assert not isinstance(node, ast.arguments) or not (node.kwonlyargs or node.posonlyargs)


def test_python_2_compiles_it():
    python = shutil.which("python2.7")
    if not python or subprocess.run([python, "--version"], capture_output=True).returncode:
        pytest.skip("no python2.7 here")
    program = 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")'
    subprocess.run([python, "-c", program, SCRIPT], check=True)


def test_needs_only_numpy_and_tensorflow():
    nodes = list(ast.walk(ast.parse(SCRIPT.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    roots = {name.split(".")[0] for name in names}
    assert roots - set(sys.stdlib_module_names) == {"numpy", "tensorflow"}
