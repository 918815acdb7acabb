"""The page of a conversion: what was proved, by depth too, the layers, what was assumed."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from converters import convert
from converters.conversion import Outcome
from converters.proof.comparison import Comparison
from converters.proof.report import Proof, Report
from converters.recognise.layer_table import LayerRow

EVIL = '<script>alert("&")</script>'


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(dtype, tolerance, target, **errors):
    found = (Comparison(target, (97, 113), name, error, error) for name, error in errors.items())
    return Report("model.ckpt", "3 layers", "a.meta", dtype, tolerance, tuple(found))


def outcome(proof, **changes):
    made = {
        "network": EVIL,
        "notes": (f"a note {EVIL}",),
        "left_out": (("unknown variables", tuple(f"head/{i}" for i in range(50))),),
        "description": f"3 layers {EVIL}",
        "layers": (
            LayerRow("conv", "conv", ("image",), (None, 8, 8, 4), 1728),
            LayerRow(EVIL, "relu", ("conv",)),
        ),
    }
    return Outcome(f"a/{EVIL}.ckpt", "out.pt", proof=proof, **made | changes)


def written(made, tmp_path) -> tuple[str, Page]:
    path = tmp_path / "report.html"
    made.write_report(path)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def proof(**changes):
    values = {
        "reference": f"a {EVIL}.meta",
        "outputs": ("logits",),
        "reports": (
            report("float64", 1e-12, "torch", conv=1e-15, relu=0.0, logits=3e-15),
            report("float32", 2e-5, "torch file", logits=1e-6),
        ),
        "assumptions": (f"stride in the last unit {EVIL}",),
        "notes": ("fed besides: is_training = False",),
        "training": report(
            "float64", 1e-12, "torch in training", conv=1e-15, **{"bn/mean, moved": 2e-15}
        ),
    }
    return Proof(**values | changes)


def test_everything_is_on_it_and_nothing_is_markup(tmp_path):
    text, page = written(outcome(proof()), tmp_path)
    assert "<script" not in text
    assert page.text.count(EVIL) >= 6
    for told in (
        proof().sentence(), "is_training = False", "stride in the last unit", "50", "and 10 more",
        "[?, 8, 8, 4]", "1,728", "bn/mean, moved", "3.0e-15", "allowed: 2e-05",
    ):  # fmt: skip
        assert told in page.text
    assert {"class": "headline same"} in page.of("p")
    assert {"class": "differs"} not in page.of("tr")


def test_it_opens_without_a_network(tmp_path):
    text, page = written(outcome(proof()), tmp_path)
    assert not {"link", "script", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not any({"src", "href"} & attributes.keys() for _, attributes in page.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert "@media print" in text


def test_the_plot_has_a_mark_for_every_value(tmp_path):
    _, page = written(outcome(proof()), tmp_path)
    marks = [(a["cx"], a["cy"]) for a in page.of("circle")][:-1]  # the last is the legend's
    across = [float(x) for x, _ in marks]
    up = {name: float(y) for name, (_, y) in zip(("conv", "relu", "logits"), marks, strict=True)}
    assert across == sorted(across)
    assert up["logits"] < up["conv"] < up["relu"]  # a larger difference is higher
    squares = [a for a in page.of("rect") if "transform" not in a][:-1]
    diamonds = [a for a in page.of("rect") if "transform" in a][:-1]
    assert (len(squares), len(diamonds)) == (1, 2)
    assert float(squares[0]["x"]) + 3 == pytest.approx(across[-1])  # the same value, above it


@pytest.mark.parametrize("error", [1e-3, np.nan, np.inf])
def test_what_differs_is_marked(tmp_path, error):
    reports = (report("float64", 1e-12, "torch", conv=1e-15, logits=error),)
    made = proof(reports=reports, training=None)
    _, page = written(outcome(made, error=f"verification failed: {made.sentence()}"), tmp_path)
    assert {"class": "headline differs"} in page.of("p")
    assert page.of("tr").count({"class": "differs"}) == 2  # in the summary and among the values
    assert "out.pt (not written)" in page.text
    assert all(re.fullmatch(r"[\d.]+", mark["cy"]) for mark in page.of("circle"))


def test_without_a_proof(tmp_path):
    _, page = written(outcome(None), tmp_path)
    assert "Written without a proof" in page.text
    assert {"class": "headline differs"} in page.of("p")
    assert not page.of("svg")


def test_a_conversion_writes_it(data, tmp_path):
    path = tmp_path / "report.html"
    convert(
        data / "wild/lrn/model.ckpt-100", tmp_path / "net.npz", "npz", report=path, whole_graph=True
    )
    page = Page(path.read_text(encoding="utf-8"))
    assert "lrn" in page.text
    assert "conv" in page.text
    assert "the variables of " in page.text
