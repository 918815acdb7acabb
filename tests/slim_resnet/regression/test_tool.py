"""tools/check_legacy.py as a user runs it: exit codes, what it prints, the page it writes."""

from __future__ import annotations

import html.parser
import pathlib
import shutil

import pytest

from slim_resnet.regression import rebuilt
from slim_resnet.regression.aspects import Aspect
from slim_resnet.regression.html_report import page
from slim_resnet.regression.measured import Measured
from slim_resnet.regression.network_check import Checked

HERE = pathlib.Path(__file__).parent
CONTRIB_NET = HERE.parent / "legacy" / "faults" / "contrib_net.py"
VOID = {"meta"}
NETWORKS = "tests.slim_resnet.regression.networks"


@pytest.fixture
def run(tool, monkeypatch):
    """run(RECORD, ...) -> the finished process, in the folder that holds networks.py."""

    def start(*args, cwd=HERE):
        monkeypatch.chdir(cwd)
        return tool("check_legacy", *args)

    return start


class Page(html.parser.HTMLParser):
    """Checks that tags nest; keeps the text and every tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def is_self_contained(self):
        loading = {"src", "href", "srcset", "style"}
        return not any(
            tag in ("script", "link", "iframe", "img") or loading & set(attrs)
            for tag, attrs in self.tags
        )


def test_the_same_network(run, legacy, data):
    found = run(
        legacy / "slim_v1_frozen.npz", "--builder", "networks:slim_v1", "--arg-scope",
        "slim_resnet.resnet_v1:resnet_arg_scope", "--checkpoint", data / "slim_v1/v2",
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    assert "this is the network that was recorded" in found.stdout
    assert found.stdout.count(" same ") == 3
    assert found.stdout.count("a frozen graph has none") == 3


@pytest.mark.parametrize(
    ("words", "changed", "said"),
    [
        ("", "", "no difference: this is the network that was recorded"),
        ("stride=2, scope='transposed'", "stride=1, scope='transposed'", "transposed"),
    ],
)
def test_a_module_of_tf_contrib_is_rebuilt_as_it_is(run, data, tmp_path, words, changed, said):
    """Recorded under TensorFlow 1.15.5; its flatten gives Reshape a Pack there, a constant here."""
    (tmp_path / "contrib_net.py").write_text(CONTRIB_NET.read_text().replace(words, changed, 1))
    record = data / "legacy_scripts" / "contrib_net.npz"
    found = run(record, "--builder", "contrib_net:net", cwd=tmp_path)
    assert found.returncode == bool(words), found.stderr
    assert said in found.stdout.splitlines()[-1]


@pytest.mark.slow
def test_another_network_and_its_page(run, legacy, tmp_path):
    record = tmp_path / "a <b>&amp; record.npz"
    shutil.copy(legacy / "slim_v1_meta.npz", record)
    report = tmp_path / "report.html"
    found = run(
        record, "--arch", "resnet_v1_50", "--html", report, "--kwargs",
        '{"num_classes": 10, "depth_multiplier": 0.0625, "min_base_depth": 4, "scope": "net"}',
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (1, "")
    assert "first difference: " in found.stdout
    assert "give the checkpoint" in found.stdout
    text = report.read_text()
    assert "<b>" not in text
    parsed = Page(text)
    assert parsed.is_self_contained()
    assert "a <b>&amp; record.npz against its rebuilt network" in parsed.text
    assert "variable resnet_v1_50/conv1/weights: is missing" in parsed.text
    assert "Recorded from inference.meta with " in parsed.text
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([record.name, report.name])


def test_the_page_shows_every_end_point_and_marks_what_differs(read):
    record = read("resnet_v1_50")
    measured = [
        Measured("float64|64x64", "conv1", 1e-15),
        Measured("float64|64x64", "<block1>", 1e-3),
        Measured("float64|64x64", "logits", float("nan")),
    ]
    aspects = (Aspect("numbers <float64>", "3 end points", ("<block1>: differs",) * 101),)
    text = page(Checked(record, aspects, tuple(measured)))
    parsed = Page(text)
    assert "<block1>" not in text
    assert parsed.text.count("<block1>: differs") == 1 + 100
    assert "first 100, 1 more" in parsed.text
    for cell in ("1.0e-15", "1.0e-03", "nan", "float64|64x64 (<= 1e-12)"):
        assert cell in parsed.text
    assert parsed.tags.count(("tr", {"class": "differs"})) == 1 + 2


def test_the_page_of_the_same_network(read):
    text = page(Checked(read("resnet_v1_50"), (Aspect("graph", "186 nodes"),), ()))
    assert "No difference." in Page(text).text
    assert '<p class="headline same">' in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["no.npz", "--arch", "resnet_v1_50"], "no.npz: not a record"),
        (["{record}", "--arch", "resnet_v1_50", "--html", "/no/such.html"], "make it first"),
        (["{record}", "--arch", "resnet_v1_50", "--kwargs", "[1]"], "is not a JSON object"),
        (["{record}"], "one of the arguments --arch --builder is required"),
        (["{record}", "--arch", "resnet_v1_50", "--arg-scope", ""], "goes with --builder"),
    ],
)  # fmt: skip
def test_bad_input(run, legacy, args, message):
    found = run(*(arg.replace("{record}", str(legacy / "resnet_v1_50.npz")) for arg in args))
    assert (found.returncode, found.stdout) == (2, "")
    assert message in found.stderr
    assert "Traceback" not in found.stderr


def test_networks_that_cannot_be_built(read):
    record = read("resnet_v1_50")
    with pytest.raises(ValueError, match="did you mean resnet_v1_50"):
        rebuilt.arch_builder(record, "resnet_v1_51")
    with pytest.raises(
        rebuilt.RebuildError, match="--builder [a-z_.]+networks:no_such: AttributeError"
    ):
        rebuilt.spec_builder(record, f"{NETWORKS}:no_such")
    with pytest.raises(rebuilt.RebuildError, match="--arg-scope nets:scope: ModuleNotFoundError"):
        rebuilt.spec_builder(record, f"{NETWORKS}:slim_v1", "nets:scope")
    build = rebuilt.arch_builder(record, "resnet_v1_50", {"output_stride": 5})
    with pytest.raises(rebuilt.RebuildError, match="float32 network failed: ValueError: The outp"):
        rebuilt.rebuild(record, build)
    with pytest.raises(rebuilt.RebuildError, match="returned int: let it return a tensor"):
        rebuilt.rebuild(record, lambda images: 7)


def test_the_arguments_of_a_users_network_are_those_of_the_record(read):
    record = read("resnet_v1_50_os8")
    build = rebuilt.spec_builder(record, f"{NETWORKS}:slim_v1", None, {"output_stride": 16})
    assert build.kwargs == {
        "num_classes": 21, "is_training": False, "global_pool": False, "output_stride": 16
    }  # fmt: skip
    assert build.arg_scope  # tf.contrib's, as this project has it
    assert not rebuilt.spec_builder(record, f"{NETWORKS}:slim_v1", "").arg_scope
