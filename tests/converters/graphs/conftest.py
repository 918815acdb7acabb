"""Graphs that are made and read."""

from __future__ import annotations

import pytest


@pytest.fixture
def build(tmp_path):
    """`built.build` in a folder of its own."""
    from built import build as build_graph

    return lambda make, *outputs, **feeds: build_graph(tmp_path, make, outputs, feeds)
