"""What `check` found, as one self-contained HTML page."""

from __future__ import annotations

import os
from collections.abc import Iterable
from html import escape

from slim_resnet.files import atomic_path
from slim_resnet.regression.measured import Measured
from slim_resnet.regression.network_check import Checked, bound, exceeds

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2430; max-width: 72rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
.about { color: #5b6675; margin-top: .2rem; }
.headline { padding: .8rem 1rem; border-left: 4px solid; overflow-wrap: anywhere; }
.same { border-color: #1a7f4b; background: #edf8f1; }
.differs { border-color: #b3261e; background: #fdf0ef; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e3e7ec;
         overflow-wrap: anywhere; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.differs td { background: #fdf0ef; }
code { font: 13px/1.5 ui-monospace, monospace; }
"""
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
    title = f"{os.path.basename(checked.record.path)} against its rebuilt network"
    source = info["builder"] or info["meta"] or info["frozen"]
    versions = ", ".join(f"{name} {version}" for name, version in info["versions"].items())
    state, headline = ("differs", checked.first) if checked.first else ("same", "No difference.")
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="about">Recorded from {escape(str(source))} with {escape(versions)}</p>',
            f'<p class="headline {state}">{escape(headline)}</p>',
            *_aspects(checked),
            *_differences(checked),
            *_end_points(checked),
            "</body></html>\n",
        ]
    )


def _aspects(checked: Checked) -> Iterable[str]:
    rows = [
        _row([a.name, a.verdict, str(len(a.differences)), a.detail], bool(a.differences))
        for a in checked.aspects
    ]
    return _table("What was compared", ["", "verdict", "differences", "detail"], rows)


def _differences(checked: Checked) -> Iterable[str]:
    for aspect in checked.aspects:
        if aspect.differences:
            shown = aspect.differences[:_SHOWN]
            rows = [f"<tr><td><code>{escape(d)}</code></td></tr>" for d in shown]
            title = f"{aspect.name}: {len(aspect.differences)} differences"
            more = len(aspect.differences) - len(shown)
            yield from _table(title, [f"first {_SHOWN}, {more} more" if more else "all"], rows)


def _end_points(checked: Checked) -> Iterable[str]:
    """Every end point in the order of the record, with its error in each case."""
    cases = list(dict.fromkeys(m.case for m in checked.measured))
    limits = {case: bound(checked.record, case.partition("|")[0]) for case in cases}
    found: dict[str, dict[str, Measured]] = {}
    for m in checked.measured:
        found.setdefault(m.end_point, {})[m.case] = m
    rows = [
        _row(
            [name, *(f"{by_case[case].error:.1e}" for case in cases)],
            any(exceeds(checked.record, by_case[case]) for case in cases),
            numbers=True,
        )
        for name, by_case in found.items()
    ]
    heads = [f"{c} ({'no bound' if limits[c] is None else f'<= {limits[c]:.0e}'})" for c in cases]
    title = "Every end point: largest difference over largest value"
    return _table(title, ["end point", *heads], rows) if rows else []


def _table(title: str, heads: Iterable[str], rows: Iterable[str]) -> list[str]:
    cells = "".join(f"<th>{escape(head)}</th>" for head in heads)
    return [f"<h2>{escape(title)}</h2>", f"<table><tr>{cells}</tr>", *rows, "</table>"]


def _row(cells: list[str], differs: bool, numbers: bool = False) -> str:
    row = '<tr class="differs">' if differs else "<tr>"
    column = '<td class="number">' if numbers else "<td>"
    first, *rest = (escape(cell) for cell in cells)
    return f"{row}<td>{first}</td>{''.join(f'{column}{cell}</td>' for cell in rest)}</tr>"
