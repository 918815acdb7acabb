"""Self-contained HTML pages: a headline that says whether all is well, tables, no network access.

They are read on a screen and on paper; everything that is put into one is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2430; max-width: 72rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
.about { color: #5b6675; margin-top: .2rem; overflow-wrap: anywhere; }
.headline { padding: .8rem 1rem; border-left: 4px solid; overflow-wrap: anywhere; }
.same { border-color: #1a7f4b; background: #edf8f1; }
.differs { border-color: #b3261e; background: #fdf0ef; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e3e7ec;
         overflow-wrap: anywhere; vertical-align: top; }
th, td.short { white-space: nowrap; overflow-wrap: normal; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.differs td { background: #fdf0ef; }
code { font: 13px/1.5 ui-monospace, monospace; }
svg { width: 100%; height: auto; }
li { overflow-wrap: anywhere; }
@page { margin: 15mm; }
@media print {
  body { font-size: 9pt; max-width: none; margin: 0; padding: 0; }
  h2 { break-after: avoid; }
  tr, svg, .headline { break-inside: avoid; }
  thead { display: table-header-group; }
  .headline, tr.differs td { print-color-adjust: exact; }
}
"""

_TEXT, _SHORT, _NUMBER = "<td>", '<td class="short">', '<td class="number">'
_MOST_SHORT = 20  # characters of a cell that is not broken into lines
_SAME, _DIFFERS = "<tr>", '<tr class="differs">'


def document(title: str, about: str, headline: str, same: bool, parts: Iterable[str]) -> str:
    """A page.

    Args:
        title: of the page.
        about: a line below it.
        headline: the result, a sentence.
        same: whether that is a good one.
        parts: HTML of `table`, `listing`, `section`.
    """
    state = "same" if same else "differs"
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
            '<meta name="viewport" content="width=device-width">',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f'<p class="about">{escape(about)}</p>',
            f'<p class="headline {state}">{escape(headline)}</p>',
            *parts,
            "</body></html>\n",
        ]
    )


def section(title: str, html: str) -> str:
    """A part of a page under a title; `html` is taken as it is."""
    return f"<h2>{escape(title)}</h2>\n{html}"


def listing(title: str, items: Iterable[str]) -> str:
    """Sentences, a point each; "" for none."""
    points = "\n".join(f"<li>{escape(item)}</li>" for item in items)
    return section(title, f"<ul>\n{points}\n</ul>") if points else ""


def table(title: str, heads: Iterable[str], rows: Iterable[str]) -> str:
    """A table of what `row` made; "" where there is none."""
    cells = "".join(f"<th>{escape(head)}</th>" for head in heads)
    lines = "\n".join(rows)
    if not lines:
        return ""
    head = f"<thead><tr>{cells}</tr></thead>"
    return section(title, f"<table>{head}<tbody>\n{lines}\n</tbody></table>")


def row(cells: Sequence[str], *, differs: bool = False, numbers: Iterable[int] = ()) -> str:
    """A row of a table.

    Args:
        cells: texts.
        differs: whether to mark it.
        numbers: the places of cells that are numbers.
    """
    right = set(numbers)
    made = []
    for place, cell in enumerate(cells):
        start = _SHORT if len(cell) <= _MOST_SHORT else _TEXT
        made.append(f"{_NUMBER if place in right else start}{escape(cell)}</td>")
    return f"{_DIFFERS if differs else _SAME}{''.join(made)}</tr>"
