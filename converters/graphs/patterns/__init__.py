"""Several layers that are one: each pattern is a function that tries to match at a layer."""

from __future__ import annotations

from collections.abc import Sequence

from converters.graphs.drafts import Builder, Value


def simplify(builder: Builder, outputs: Sequence[Value]) -> None:
    """Makes the layers that outputs need into as few as there are names for."""
