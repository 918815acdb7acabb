"""What README and docs tell a reader to type is there: imports, scripts, options."""

from __future__ import annotations

import ast
import importlib
import pathlib
import re
import textwrap

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
OURS = ("slim_resnet", "converters")
# Where options are declared that several tools have.
SHARED = (
    "converters/cli/terminal.py",
    "converters/cli/recipe_options.py",
    "slim_resnet/legacy/running/runner.py",
)


def fences(kinds: str) -> list[tuple[str, str]]:
    """(page, text) of every block of such a language."""
    return [
        (page.name, text)
        for page in PAGES
        for text in re.findall(rf"```(?:{kinds})\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    ]


def imports(text: str) -> list[tuple[str, list[str]]]:
    """(module, names) of what a block imports of this project; one that is cut short has none."""
    try:
        tree = ast.parse(textwrap.dedent(text))
    except SyntaxError:
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append((node.module, [alias.name for alias in node.names]))
    return [(module, names) for module, names in found if module.split(".")[0] in OURS]


def commands() -> list[tuple[str, str, list[str]]]:
    """(page, script, options) of every command that runs a script of this project."""
    found = []
    for page, text in fences("sh|bash"):
        for line in text.replace("\\\n", " ").splitlines():
            line = line.partition(" #")[0]
            for script in re.findall(r"(?:^|\s)((?:tools|benchmarks|tests)/\S+\.py)", line):
                rest = line.split(script, 1)[1]
                rest = re.split(r" -- |\S+\.py\b", rest)[0]  # what follows is another script's
                found.append((page, script, re.findall(r"(?<!\S)--[a-z][\w-]*", rest)))
    return found


def test_links_lead_to_files():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_files_that_are_named_are_there():
    path = re.compile(r"`((?:converters|slim_resnet|tests|tools|benchmarks|docs)/[\w./-]*)`")
    named = [(page.name, each) for page in PAGES for each in path.findall(page.read_text("utf-8"))]
    assert len(named) > 50
    for page, each in named:
        assert "NAME" in each or (ROOT / each).exists(), f"{page}: {each}"


def test_what_snippets_import_is_there():
    pytest.importorskip("tensorflow")
    pytest.importorskip("torch")
    asked = [(page, each) for page, text in fences("python") for each in imports(text)]
    assert len(asked) > 10
    for page, (module, names) in asked:
        made = importlib.import_module(module)
        for name in names:
            assert hasattr(made, name) or importlib.import_module(f"{module}.{name}"), (page, name)


def test_commands_run_scripts_with_options_that_they_have():
    asked = commands()
    assert len(asked) > 25
    shared = "".join((ROOT / path).read_text("utf-8") for path in SHARED)
    for page, script, options in asked:
        assert (ROOT / script).is_file(), f"{page}: {script}"
        command = ROOT / "converters" / "cli" / pathlib.Path(script).name
        source = (command if command.is_file() else ROOT / script).read_text("utf-8") + shared
        for option in options:
            assert f'"{option}"' in source, f"{page}: {script} {option}"
