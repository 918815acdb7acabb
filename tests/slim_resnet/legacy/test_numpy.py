"""The NumPy of the time: what it gave (recorded under 1.18.5 with TensorFlow 1.15.5), and today."""

from __future__ import annotations

import json
import math
import pathlib
import re

import numpy as np
import pytest

from slim_resnet.legacy.rewriting.checker import Group, check
from slim_resnet.legacy.tables import numpy_changes

SCRIPT = pathlib.Path(__file__).parent / "faults" / "numpy_of_2018.py"
# With NumPy 2, these lines of the script give something else or stop.
CHANGED = {
    "float(v)", "int(v)", "'%d' % v", "'%.2f' % v", "math.exp(v)", "put(v)",
    "np.uint8(100) + 200", "np.float32(3) * 0.1", "np.float32(1) + 1e-9",
    "np.array([5], np.uint8) - 300", "np.array([1], np.uint8) + np.array(300)",
    "np.array([300, -1], np.uint8)", "np.uint8(300)", "bool(np.array([]))",
    "np.unique(np.array([[1, 2], [2, 1]]), return_inverse=True)[1]", "tf.py_func",
}  # fmt: skip
IS_NUMPY_2 = not np.__version__.startswith("1.")


@pytest.fixture(scope="module")
def expected(data) -> dict:
    return json.loads((data / "legacy_scripts" / "numpy_of_2018.json").read_text())


def test_with_numpy_1_everything_is_as_it_was(run_with_numpy_1, expected, tmp_path):
    ran = run_with_numpy_1(SCRIPT, cwd=tmp_path)
    assert re.fullmatch(r"slim_resnet.legacy: TensorFlow 2\.\S+, NumPy 1\.26\.\d\n", ran.err)
    assert json.loads(ran.out) == expected


def test_with_numpy_2_what_differs_is_known_and_said_once(run, expected, tmp_path):
    ran = run(SCRIPT, cwd=tmp_path)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert {line for line in expected if found[line] != expected[line]} == CHANGED
    assert ran.err.count("NumPy 2 refuses float(v)") == 1
    assert "make legacy" in ran.err


def test_a_script_that_numpy_2_stops_gets_its_line_and_the_remedy(run, tmp_path):
    (tmp_path / "loss.py").write_text(
        "import numpy as np\n\n\ndef mean(values):\n    return float(np.array([sum(values)]))\n\n\n"
        "print(mean([1, 2]))\n"
    )
    ran = run("loss.py", cwd=tmp_path)
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith(
        "loss.py:5: since NumPy 2.4 an array with one element is no number: take its element"
    )


STOPS = {
    "float(np.array([2.5]))": "2.4",
    "'%d' % np.array([2])": "2.4",
    "math.exp(np.array([2.5]))": "2.4",
    "np.zeros(2).__setitem__(0, np.array([2.5]))": "2.4",
    "np.array([5], np.uint8) - 300": "2.0",
    "np.uint8(300)": "2.0",
    "np.array([[1, 2], [3]])": "1.24",
    "np.array([1, 2]) == [1, 2, 3]": "1.25",
    "np.array([1, 2], copy=False)": "2.0",
    "bool(np.array([]))": "2.2",
}


@pytest.mark.skipif(not IS_NUMPY_2, reason="NumPy 1 stops at none of it")
@pytest.mark.parametrize("code", STOPS)
def test_every_refusal_of_numpy_2_is_known(code):
    with pytest.raises((TypeError, ValueError, OverflowError)) as raised:
        eval(code, {"np": np, "math": math})
    row = numpy_changes.refusal(str(raised.value), code, np.__version__)
    assert row.since == STOPS[code]
    assert numpy_changes.refusal(str(raised.value), code, "1.18.5") is None


def test_what_numpy_always_refused_has_no_remedy():
    with pytest.raises(ValueError, match="broadcast") as raised:
        np.zeros(2) + np.zeros(3)
    assert numpy_changes.refusal(str(raised.value), "a + b", np.__version__) is None


RULES = {
    "np.array([[1, 2], [3]])": "dtype=object",
    "np.asarray([1, [2, 3]])": "dtype=object",
    "np.uint8(100) + 200": "NumPy 2 computes it in uint8",
    "0.1 * np.float32(3)": "NumPy 2 computes it in float32",
    "small - 300": "300 is no uint8",
    "image.astype(np.uint8) + 256": "256 is no uint8",
    "np.zeros(3, dtype='int8') - 129": "129 is no int8",
    "np.uint8(-1)": "-1 is no uint8",
    "np.array([1, 256], np.uint8)": "256 is no uint8",
    "np.array([1, 2]) == [1, 2, 3]": "np.array_equal",
    "np.array([1, 2]) != []": "np.array_equal",
    "np.unique(x, return_inverse=True)": "ravel",
    "float(np.array([2.5]))": "v.item()",
    "math.exp(np.array([2.5]))": "v.item()",
    "np.float": "builtins.float",
}
HEAD = "import math\nimport numpy as np\nimage = read()\nsmall = np.array([5], np.uint8)\n"


@pytest.mark.parametrize("code", RULES)
def test_check_lists_what_depends_on_numpy(tmp_path, code):
    path = tmp_path / "script.py"
    path.write_text(f"{HEAD}x = {code}\n")
    (found,) = check([path]).findings
    assert (found.line, found.column) == (5, 5)
    assert found.group is Group.NUMPY
    assert RULES[code] in (found.remedy or found.successor)
    assert check([path]).exit_code == 0


@pytest.mark.parametrize(
    "code",
    [
        "np.array([[1, 2], [3, 4]])", "np.array([[1, 2], [3]], dtype=object)", "small + 3",
        "small + image", "np.array([1, 2]) == [1, 2]", "np.array([1, 2]) == 3",
        "np.float64(3) * 0.1", "np.zeros(3, np.float32) * 0.1", "np.array([small, 1])",
        "np.unique(image)", "float(image)", "np.array([*image, [1]])", "100 + 200", "image == []",
    ],
)  # fmt: skip
def test_check_leaves_the_rest_alone(tmp_path, code):
    path = tmp_path / "script.py"
    path.write_text(f"{HEAD}x = {code}\n")
    assert check([path]).findings == ()
