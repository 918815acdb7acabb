"""The spine: open -> recognise -> write (hidden) -> prove -> publish.

Each stage takes what the one before gave: `files` a path, `recognise` the file, `formats` the
network that was recognised in it, `proof` that network and the file that was written. Nothing has
its name before it is proved.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from converters import formats
from converters.formats.library_files import load_weights
from converters.models.resume import Recipe
from converters.proof.conversions import prove_written
from converters.proof.report import Proof, Report
from converters.proof.report_page import page
from converters.recognise.layer_table import LayerRow, layer_rows
from converters.recognise.loading import load_checkpoint
from converters.recognise.recognised import Recognised
from slim_resnet.files import atomic_path, check_new, check_target, is_part

_PAGE = ".html"  # the suffix of a report for people

LeftOut = tuple[tuple[str, tuple[str, ...]], ...]

# What of `load_checkpoint`'s keywords other libraries' weights have.
_OF_WEIGHTS = ("arch", "convention", "scope", "prefix", "rules", "ignore", "facts")


@dataclass(frozen=True)
class Outcome:
    """What came of a conversion.

    Attributes:
        source: what was converted.
        output: where to.
        network: the name of the network; "" when it was not recognised.
        notes: of how the source was read, a sentence each.
        left_out: (kind, names) of the variables that were not written.
        proof: what was compared with what; None where none was wanted.
        error: why nothing was written; "" when it was.
        seconds: how long it took.
        description: the network in a line.
        layers: its layers in order, where a report was wanted.
    """

    source: str
    output: str
    network: str = ""
    notes: tuple[str, ...] = ()
    left_out: LeftOut = ()
    proof: Proof | None = None
    error: str = ""
    seconds: float = 0.0
    description: str = ""
    layers: tuple[LayerRow, ...] = ()

    @property
    def reports(self) -> tuple[Report, ...]:
        """Those of the proof, in float64 first, that of training last."""
        return self.proof.all_reports if self.proof else ()

    @property
    def difference(self) -> float | None:
        """The largest relative difference, in float64 where that was compared; None: not proved."""
        return self.reports[0].max_rel_error if self.reports else None

    def write_report(self, path: str | os.PathLike) -> None:
        """Writes everything, whole or not at all: a page (`.html`), or JSON."""
        is_page = os.fspath(path).endswith(_PAGE)
        text = self._page() if is_page else json.dumps(self._values(), indent=1) + "\n"
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _values(self) -> dict[str, object]:
        return {
            "source": self.source,
            "output": None if self.error else self.output,
            "network": self.network,
            "error": self.error,
            "seconds": round(self.seconds, 3),
            "notes": self.notes,
            "left_out": dict(self.left_out),
            **(self.proof.to_dict() if self.proof else {}),
        }

    def _page(self) -> str:
        facts = {
            "source": self.source,
            "file": f"{self.output} (not written)" if self.error else self.output,
            "network": self.network,
            "what it is": self.description,
            "outputs": ", ".join(self.proof.outputs) if self.proof else "",
            "seconds": f"{self.seconds:.1f}",
        }
        return page(
            f"{os.path.basename(self.source)} to {os.path.basename(self.output)}",
            {name: value for name, value in facts.items() if value},
            self.proof,
            error=self.error,
            notes=self.notes,
            left_out=dict(self.left_out),
            layers=self.layers,
        )


class Unproved(ValueError):
    """The written file, or the model it was made from, does not compute what the source does."""


def convert(
    source: str | os.PathLike,
    output: str | os.PathLike,
    target: str,
    *,
    library: str = "slim",
    verified: bool = True,
    recipe: Recipe | None = None,
    fold: bool = False,
    report: str | os.PathLike | None = None,
    overwrite: bool = False,
    opened: Callable[[Recognised, LeftOut], None] = lambda ckpt, left_out: None,
    progress: Callable[[str], None] = lambda step: None,
    **network,
) -> Outcome:
    """Converts one source; what is not proved is not published.

    Args:
        source: what `load_checkpoint` takes, or weights of another `library`.
        output: the file, prefix or folder to write.
        target: one of `formats.targets()`.
        library: whose weights the source holds: "slim", or a key of `libraries.LIBRARIES`.
        verified: whether to prove the conversion before anything is published.
        recipe: with which the optimizer goes along; None: it does not.
        fold: whether batch norms go into the convolutions before them.
        report: a file to write about it, whatever comes of it: a page (`.html`), or JSON.
        overwrite: whether an older `output`, and `report`, may be replaced; folders never are.
        opened: called with the checkpoint and what will be left out of it.
        progress: called with a line for each step.
        **network: more keywords of `load_checkpoint`.

    Returns:
        What came of it; its `error` tells of a failed proof.

    Raises:
        FileExistsError: there is such an output, or report, already (without `overwrite`).
        ValueError, OSError, ImportError: the input is bad, the file cannot be written, or a
            framework is missing. Nothing is written then.
    """
    start = time.perf_counter()
    source, output = os.fspath(source), os.fspath(output)
    writer = formats.writer(target, output, recipe, fold=fold)
    if report is not None:
        check_target(report)
    if writer.format.whole_graph:
        network["whole_graph"] = True
    ckpt = recognised(source, library, **network)
    ckpt.verified = verified
    check_apart(ckpt, output, report)
    if not overwrite:
        check_new(output, *(() if report is None else (report,)))
    left_out = tuple((kind, tuple(names)) for kind, names in writer.left_out(ckpt))
    opened(ckpt, left_out)
    proof: Proof | None = None
    error = ""
    try:
        progress(f"writing {output}")
        with writer.hidden(ckpt) as hidden:
            if verified:
                proof = prove_written(ckpt, writer.format, hidden, progress=progress)
                if not proof.passed:
                    raise Unproved(f"verification failed: {proof.sentence()}; nothing written")
    except Unproved as failure:
        error = str(failure)
    seconds = time.perf_counter() - start
    outcome = Outcome(
        source, output, ckpt.name, tuple(ckpt.notes), left_out, proof, error, seconds,
        description=ckpt.describe(), layers=layer_rows(ckpt) if report is not None else (),
    )  # fmt: skip
    if report is not None:
        outcome.write_report(report)
    return outcome


def check_apart(ckpt: Recognised, output: str, report: str | os.PathLike | None = None) -> None:
    """Raises ValueError where a source, or the output, would be written over."""
    written = os.path.realpath(output)
    graph = () if ckpt.graph is None else (ckpt.graph.path,)
    for path in map(os.path.realpath, (*ckpt.file.files, *graph)):
        if path == written or is_part(path, written):
            raise ValueError(f"{output}: it is what is converted: name another output")
        if report is not None and path == os.path.realpath(report):
            raise ValueError(f"{os.fspath(report)}: it is what is converted: name another report")
    if report is None:
        return
    about = os.path.realpath(report)
    if about == written or is_part(about, written):
        raise ValueError(f"{output}: it is the report, too: name another")


def recognised(source: str, library: str = "slim", **network) -> Recognised:
    """The checkpoint in a file, whoever's weights it holds.

    Raises:
        ValueError: as `load_checkpoint` and `library_files.load_weights`.
    """
    if library == "slim":
        return load_checkpoint(source, **network)
    given = {name: network[name] for name in _OF_WEIGHTS if name in network}
    return load_weights(source, library, **given)
