"""A library that is not installed is named, with the extra that brings it."""

from __future__ import annotations

import pathlib
import re
import sys

import pytest

from slim_resnet.frameworks import MissingFrameworkError, require

ROOT = pathlib.Path(__file__).parents[2]


def required() -> set[str]:
    """The libraries that the project asks `require` for, by the first part of their modules."""
    files = [
        p
        for folder in ("slim_resnet", "converters", "tools")
        for p in (ROOT / folder).rglob("*.py")
    ]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return set(re.findall(r'\brequire\("(\w+)', text))


@pytest.mark.parametrize("name", sorted(required()))
def test_a_missing_library_is_named_with_its_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingFrameworkError, match=r"this needs .*: pip install") as caught:
        require(name)
    extra = re.search(r"-e '\.\[(\w+)\]'", str(caught.value))[1]
    assert f'"{extra}": ' in (ROOT / "setup.py").read_text(encoding="utf-8")


def test_what_a_library_itself_misses_is_not_blamed_on_it(tmp_path, monkeypatch):
    (tmp_path / "halfway.py").write_text("import gone_library")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="gone_library") as caught:
        require("halfway")
    assert not isinstance(caught.value, MissingFrameworkError)
