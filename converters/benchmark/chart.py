"""Results as bars: a panel for each kind of work, a bar for each candidate."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

from converters.benchmark.comparison import Result
from slim_resnet.files import check_target
from slim_resnet.frameworks import require

FigureCanvasAgg = require("matplotlib.backends.backend_agg").FigureCanvasAgg
Figure = require("matplotlib.figure").Figure


def check(path: str | os.PathLike) -> None:
    """Raises ValueError or OSError if `draw` could not write this file."""
    check_target(path)
    known = FigureCanvasAgg.get_supported_filetypes()
    suffix = pathlib.Path(path).suffix
    if suffix[1:] not in known:
        raise ValueError(f"{path}: no picture has the suffix {suffix!r}: use .png, .svg or .pdf")


def draw(results: Sequence[Result], title: str, path: str | os.PathLike) -> None:
    """Writes the mean milliseconds of a batch, with the standard deviation, as a picture.

    Args:
        results: from `compare`, of one or several kinds of work; those that failed are left out.
        title: above the panels.
        path: the file; its suffix says the format.
    """
    panels: dict[str, list[Result]] = {}
    for result in results:
        if not result.failure:
            panels.setdefault(result.job.work, []).append(result)
    bars = max(map(len, panels.values()), default=0)
    figure = Figure(figsize=(6 * max(len(panels), 1), 1.5 + 0.5 * bars), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    for i, (work, members) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), i)
        means, sds = ([1000 * getattr(r, name) for r in members] for name in ("mean", "sd"))
        drawn = axes.barh([r.job.label for r in members], means, xerr=sds, capsize=3)
        axes.bar_label(drawn, [f"{mean:.1f}" for mean in means], padding=4)
        axes.set(title=work, xlabel="ms a batch, mean and standard deviation")
        axes.set_xlim(right=1.2 * max(m + s for m, s in zip(means, sds, strict=True)))
        axes.invert_yaxis()  # the first on top
    figure.savefig(path, dpi=150)
