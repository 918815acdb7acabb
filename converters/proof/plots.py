"""How far the sides of a proof are from the reference, by depth, as an SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from converters.proof.comparison import Comparison
from converters.proof.report import MOVED, Proof, Report

_WIDTH, _HEIGHT = 1120, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 34, 40  # margins
_LOWEST, _HIGHEST = -18, 0  # powers of ten; what is beyond lies on the edge
# Colours and shapes: on paper the shapes tell the series apart.
_SERIES = (("#1f5fa8", "circle"), ("#b35900", "square"), ("#1a7f4b", "diamond"))
_TEXT = 'font-family="system-ui, sans-serif" font-size="12" fill="#1d2430"'


def parity_plot(proof: Proof) -> str:
    """An SVG: depth from left to right, largest difference over largest value upwards (log).

    A series for each report: the worst of every value over all image sizes; moving statistics are
    where their order puts them. The bounds are dashed lines.
    """
    series = [(_label(report), report, _worst(report)) for report in proof.all_reports]
    names = dict.fromkeys(name for _, _, worst in series for name in worst)
    order = [*(n for n in names if not n.endswith(MOVED)), *(n for n in names if n.endswith(MOVED))]
    places = {name: _across(i, len(order)) for i, name in enumerate(order)}
    moved = sum(name.endswith(MOVED) for name in order)
    parts = [*_axes(len(order) - moved, moved)]
    for bound in dict.fromkeys(report.tolerance for _, report, _ in series if report.tolerance):
        parts.append(_bound(bound))
    for (label, report, worst), (colour, shape) in zip(series, _SERIES, strict=False):
        for name, found in worst.items():
            x, y = places[name], _up(found.max_rel_error)
            allowed = f"{label}, allowed {report.allowed(found):.0e}"
            told = f"{name}: {found.max_rel_error:.1e} ({allowed})"
            parts.append(_mark(shape, x, y, colour, told))
    parts += _legend([label for label, _, _ in series])
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>Largest difference over largest value, by depth</title>{''.join(parts)}</svg>"
    )


def _label(report: Report) -> str:
    targets = ", ".join(dict.fromkeys(c.target for c in report.comparisons))
    return f"{targets}, {report.dtype}"


def _worst(report: Report) -> dict[str, Comparison]:
    """Every value's worst comparison; NaN is worse than any."""
    found: dict[str, Comparison] = {}
    for each in report.comparisons:
        before = found.get(each.end_point)
        if before is None or not each.max_rel_error <= before.max_rel_error:
            found[each.end_point] = each
    return found


def _across(index: int, count: int) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (index + 0.5) / max(count, 1)


def _up(error: float) -> float:
    power = math.log10(error) if 0 < error < math.inf else (_LOWEST if error == 0 else _HIGHEST)
    share = (min(max(power, _LOWEST), _HIGHEST) - _LOWEST) / (_HIGHEST - _LOWEST)
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _axes(values: int, moved: int) -> list[str]:
    parts = []
    for power in range(_LOWEST, _HIGHEST + 1, 3):
        y = _up(10.0**power) if power > _LOWEST else _up(0.0)
        label = f"1e{power}" if power > _LOWEST else "0"
        parts.append(_line(y, "#e3e7ec"))
        place = f'x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end"'
        parts.append(f"<text {place} {_TEXT}>{label}</text>")
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    then = f", then {moved} moving statistics after a step" if moved else ""
    told = f"{values} values, from the input to the outputs{then}"
    parts.append(
        f'<text x="{middle:.0f}" y="{_HEIGHT - 12}" text-anchor="middle" {_TEXT}>{told}</text>'
    )
    return parts


def _bound(bound: float) -> str:
    y = _up(bound)
    label = f'<text x="{_WIDTH - _RIGHT}" y="{y - 4:.1f}" text-anchor="end" {_TEXT}>'
    dashed = _line(y, "#b3261e", "6 4")
    return f"{dashed}{label}allowed: {bound:.0e}</text>"


def _line(y: float, colour: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    ends = f'x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"'
    return f'<line {ends} stroke="{colour}"{dashed}/>'


def _mark(shape: str, x: float, y: float, colour: str, told: str = "") -> str:
    title = f"<title>{escape(told)}</title>" if told else ""
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">{title}</circle>'
    turned = f' transform="rotate(45 {x:.1f} {y:.1f})"' if shape == "diamond" else ""
    corner = f'x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"'
    return f'<rect {corner} fill="{colour}"{turned}>{title}</rect>'


def _legend(labels: Sequence[str]) -> list[str]:
    parts = []
    for i, (label, (colour, shape)) in enumerate(zip(labels, _SERIES, strict=False)):
        x = _LEFT + 10 + i * 260
        parts.append(_mark(shape, x, 14, colour))
        parts.append(f'<text x="{x + 10}" y="18" {_TEXT}>{escape(label)}</text>')
    return parts
