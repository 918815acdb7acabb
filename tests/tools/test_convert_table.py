"""tools/convert_table.py, as a process: a table of recorded cases, and what is said below it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from slim_resnet.compat import tf


def record(folder, operation: str = "Relu", note: str = "", **more) -> None:
    """A case of one convolution and an operation after it."""
    folder.mkdir(parents=True)
    images = np.random.default_rng(3).uniform(-1, 1, (1, 9, 11, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.placeholder(tf.float32, [None, 9, 11, 3], "image")
        kernel = tf.get_variable("weights", [3, 3, 3, 4])
        found = tf.nn.conv2d(fed, kernel, strides=[1, 1, 1, 1], padding="SAME")
        found = tf.nn.relu(found) if operation == "Relu" else tf.cast(tf.where(found > 0), "float")
        out = tf.identity(found, "out")
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / "model.ckpt"))
        np.savez(folder / "ref.npz", image=images, out=session.run(out, {fed: images}))
    told = {"inputs": {"image": "image"}, "outputs": {"out": "out"}, "note": note}
    told |= {"checkpoint": "model.ckpt", "ref": "ref.npz", **more}
    (folder / "case.json").write_text(json.dumps(told))


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    record(folder / "my_good", note="one | layer")
    record(folder / "my_where", "Where")
    record(folder / "my_noise", random="masks")
    return folder


def test_the_table_has_numbers_and_sentences(tool, cases, tmp_path):
    page, work = tmp_path / "page.md", tmp_path / "work"
    page.write_text("# Before\n\n<!-- table my_* -->\nold\n<!-- end -->\n\nAfter.\n")
    args = (f"{cases}/my_*", "--to", "torch", "--output", page, "--work", work, "--no-verify")
    found = tool("convert_table", *args)
    assert (found.returncode, found.stderr) == (1, "")  # one is refused
    before, table, after = page.read_text().partition("<!-- table my_* -->")
    assert before == "# Before\n\n"
    assert after.endswith("<!-- end -->\n\nAfter.\n")
    assert "old" not in after
    rows = {line.split(" | ")[0].strip("| "): line for line in after.splitlines() if "|" in line}
    cells = rows["good"].strip("| ").split(" | ")
    assert cells[1:3] == ["108", "3"]
    assert float(cells[4]) < 1e-6
    assert cells[5] == r"one \| layer"
    assert " refused " in rows["where"]
    assert "- where, torch: model.ckpt.meta: its operation 'Where' is a Where" in after
    assert "- noise: not compared, as TensorFlow draws masks" in after


def test_what_was_found_before_is_not_done_again(tool, cases, tmp_path):
    page, work = tmp_path / "page.md", tmp_path / "work"
    work.mkdir()
    value = {"difference": 0.25, "layers": 1, "parameters": 1, "seconds": 1.0}
    (work / "my_good.torch.json").write_text(json.dumps(value))
    found = tool("convert_table", f"{cases}/my_good", "--to", "torch", "--output", page,
                 "--work", work)  # fmt: skip
    assert found.returncode == 1
    assert "| 2e-01 DIFFERS |" in page.read_text()


def test_a_pattern_without_cases_is_an_error(tool, tmp_path):
    found = tool("convert_table", f"{tmp_path}/none_*", "--output", tmp_path / "page.md")
    assert found.returncode == 2
    assert found.stderr.startswith("error: no cases: ")
