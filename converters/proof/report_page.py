"""What came of a conversion as a page: the proof, by depth too, the layers, what was assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from converters.proof.plots import parity_plot
from converters.proof.report import Proof
from converters.recognise.layer_table import LayerRow, shape_text
from slim_resnet.html_page import document, listing, row, section, table

_MOST_NAMES = 40  # of variables that were left out, of a kind


def page(
    title: str,
    facts: Mapping[str, str],
    proof: Proof | None,
    *,
    error: str = "",
    notes: Sequence[str] = (),
    left_out: Mapping[str, Sequence[str]],
    layers: Sequence[LayerRow] = (),
) -> str:
    """The page of a conversion; it needs no network access, and can be printed.

    Args:
        title: of the page.
        facts: what was converted into what, by what that is called.
        proof: None where none was wanted, or nothing came so far.
        error: why nothing was written; "" when it was.
        notes: of how the source was read, a sentence each.
        left_out: kind -> names of the variables that were not written.
        layers: of the network.
    """
    headline = error or (proof.sentence() if proof else "Written without a proof.")
    parts = [
        table("The conversion", ["", ""], (row(fact) for fact in facts.items())),
        *(_of_proof(proof) if proof else ()),
        listing("Assumed", proof.assumptions if proof else ()),
        listing("Notes", (*notes, *(proof.notes if proof else ()))),
        _left_out(left_out),
        _layers(layers),
        *([_end_points(proof)] if proof else ()),
    ]
    about = f"Compared with {proof.reference}" if proof else "Not compared with anything"
    good = not error and proof is not None and proof.passed
    return document(title, about, headline, good, parts)


def _of_proof(proof: Proof) -> list[str]:
    heads = ["", "type", "against", "images", "values", "largest difference", "allowed", "at"]
    rows = []
    for report in proof.all_reports:
        for target, size, count, worst in report.worst():
            differs = not worst.max_rel_error <= report.allowed(worst)
            images = "x".join(map(str, size))
            cells = [target, report.dtype, report.reference, images, str(count)]
            cells += [f"{worst.max_rel_error:.1e}", f"{report.allowed(worst):.0e}"]
            rows.append(row([*cells, worst.end_point], differs=differs, numbers=(4, 5, 6)))
    shown = table("The proof: largest difference over largest value", heads, rows)
    plot = section("By depth", parity_plot(proof)) if proof.reports else ""
    return [shown, plot]


def _left_out(left_out: Mapping[str, Sequence[str]]) -> str:
    rows = []
    for kind, names in left_out.items():
        more = f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        rows.append(
            row([kind, str(len(names)), ", ".join(names[:_MOST_NAMES]) + more], numbers=(1,))
        )
    return table("Left out", ["kind", "variables", "names"], rows)


def _layers(layers: Sequence[LayerRow]) -> str:
    heads = ["layer", "kind", "reads", "shape", "parameters"]
    rows = (
        row(
            [each.name, each.kind, ", ".join(each.reads), shape_text(each.shape),
             f"{each.parameters:,}" if each.parameters else ""],
            numbers=(4,),
        )
        for each in layers
    )  # fmt: skip
    total = sum(each.parameters for each in layers)
    return table(f"The network: {len(layers)} layers, {total:,} numbers", heads, rows)


def _end_points(proof: Proof) -> str:
    """Every value, its worst difference in each report."""
    told = (report for report in proof.all_reports if report.comparisons)
    series = [(report, f"{report.comparisons[0].target}, {report.dtype}") for report in told]
    errors: dict[str, dict[str, tuple[float, bool]]] = {}
    for report, label in series:
        for each in report.comparisons:
            by_label = errors.setdefault(each.end_point, {})
            before = by_label.get(label)
            if before is None or not each.max_rel_error <= before[0]:
                differs = not each.max_rel_error <= report.allowed(each)
                by_label[label] = each.max_rel_error, differs
    labels = [label for _, label in series]
    rows = (
        row(
            [name, *(f"{found[label][0]:.1e}" if label in found else "" for label in labels)],
            differs=any(differs for _, differs in found.values()),
            numbers=range(1, len(labels) + 1),
        )
        for name, found in errors.items()
    )
    return table("Every value that was compared", ["value", *labels], rows)
