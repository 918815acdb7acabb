"""What `check` found, as one self-contained HTML page."""

from __future__ import annotations

import os
from collections.abc import Iterator

from slim_resnet.files import atomic_path
from slim_resnet.html_page import document, row, table
from slim_resnet.regression.network_check import Checked, bound

# What differs first is the cause of much that follows.
_SHOWN = 100


def write_page(path: str | os.PathLike, checked: Checked) -> None:
    """Writes the page, at once or not at all.

    Raises:
        OSError: the folder does not exist or cannot be written to.
    """
    with atomic_path(path) as partial:
        partial.write_text(page(checked), encoding="utf-8")


def page(checked: Checked) -> str:
    """The page as text: summary, first difference, all differences, every end point."""
    info = checked.record.info
    source = info["builder"] or info["meta"] or info["frozen"]
    versions = ", ".join(f"{name} {version}" for name, version in info["versions"].items())
    return document(
        f"{os.path.basename(checked.record.path)} against its rebuilt network",
        f"Recorded from {source} with {versions}",
        checked.first or "No difference.",
        not checked.first,
        [_aspects(checked), *_differences(checked), _end_points(checked)],
    )


def _aspects(checked: Checked) -> str:
    rows = (
        row([a.name, a.verdict, str(len(a.differences)), a.detail], differs=bool(a.differences))
        for a in checked.aspects
    )
    return table("What was compared", ["", "verdict", "differences", "detail"], rows)


def _differences(checked: Checked) -> Iterator[str]:
    for aspect in checked.aspects:
        if aspect.differences:
            shown = aspect.differences[:_SHOWN]
            title = f"{aspect.name}: {len(aspect.differences)} differences"
            more = len(aspect.differences) - len(shown)
            heads = [f"first {_SHOWN}, {more} more" if more else "all"]
            yield table(title, heads, (row([difference]) for difference in shown))


def _end_points(checked: Checked) -> str:
    """Every end point in the order of the record, with its error in each case."""
    cases = list(dict.fromkeys(m.case for m in checked.measured))
    limits = {case: bound(checked.record, case) for case in cases}
    errors: dict[str, dict[str, float]] = {}
    for m in checked.measured:
        errors.setdefault(m.end_point, {})[m.case] = m.error
    rows = (
        row(
            [name, *(f"{by_case[case]:.1e}" for case in cases)],
            differs=any(limits[c] is not None and not by_case[c] <= limits[c] for c in cases),
            numbers=range(1, len(cases) + 1),
        )
        for name, by_case in errors.items()
    )
    heads = [f"{c} ({'no bound' if limits[c] is None else f'<= {limits[c]:.0e}'})" for c in cases]
    return table(
        "Every end point: largest difference over largest value", ["end point", *heads], rows
    )
