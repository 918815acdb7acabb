"""Runs the scripts as a user does: as processes, looking at exit codes, output and files."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

TOOLS = pathlib.Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="session")
def tool():
    """tool("build_graph", "--list") -> the finished process."""

    def run(name, *args):
        command = [sys.executable, str(TOOLS / f"{name}.py"), *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run
