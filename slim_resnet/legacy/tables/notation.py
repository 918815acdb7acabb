"""How the tables are written: one row for the names of one package."""

from __future__ import annotations


def moved(package: str, names: str, home: str) -> dict[str, str]:
    """Each of `package.name` -> `home.name`."""
    return {f"{package}.{name}": f"{home}.{name}" for name in names.split()}


def answered(package: str, names: str, remedy: str) -> dict[str, str]:
    """Each of `package.name` -> the same remedy."""
    return {f"{package}.{name}": remedy for name in names.split()}
