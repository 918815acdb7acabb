"""What scripts had beside TensorFlow: Pillow, SciPy, Python 3.7; what the old libraries gave."""

from __future__ import annotations

import json
import pathlib

import pytest

from slim_resnet.legacy.rewriting.checker import Group, check
from slim_resnet.legacy.rewriting.rewriter import rewrite
from slim_resnet.legacy.tables import image_libraries, python_stdlib

FAULTS = pathlib.Path(__file__).parent / "faults"


def test_scipys_images_are_those_of_scipy_1_1(run, data, tmp_path):
    ran = run(FAULTS / "scipy_images.py", tmp_path / "image.png", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert json.loads(ran.out) == json.loads(
        (data / "legacy_scripts" / "scipy_images.json").read_text()
    )


OTHERS = """
import base64, json, xml.dom.minidom
import xml.etree.cElementTree as ET
from collections import Iterable
from PIL import Image, ImageDraw, ImageFont
import tensorflow as tf
from tflearn.layers.conv import global_avg_pool

font = ImageFont.load_default()
draw = ImageDraw.Draw(Image.new("L", (200, 60)))
print(base64.encodestring(b"ab"), json.loads("[1]", encoding="utf8"), ET.fromstring("<a/>").tag)
print(font.getsize("Hello, gy"), draw.textsize("Hello\\nworld!! g"), draw.textsize("Hi", font=font))
print(Image.ANTIALIAS == 1, Image.LINEAR == 2, Image.CUBIC == 3, isinstance([], Iterable))
print([(v.op.name, v.dtype.base_dtype.name) for v in tf.global_variables()])
"""


def test_pillow_python_and_tflearn(run, tmp_path):
    """The sizes are those of Pillow 8.4; the variable is in every checkpoint of tflearn's."""
    (tmp_path / "others.py").write_text(OTHERS)
    ran = run("others.py", cwd=tmp_path)
    assert ran.out.splitlines() == [
        "b'YWI=\\n' [1] a",
        "(54, 11) (54, 26) (12, 11)",
        "True True True True",
        "[('is_training', 'bool')]",
    ], ran.err


@pytest.mark.parametrize(
    ("source", "symbol", "group"),
    [
        ("from scipy.misc import imread", "scipy.misc.imread", Group.SHIM),
        ("import scipy.misc\nscipy.misc.imresize", "scipy.misc.imresize", Group.SHIM),
        ("from scipy import misc\nmisc.imshow(x)", "scipy.misc.imshow", Group.NO_SUCCESSOR),
        ("from PIL import Image\nImage.ANTIALIAS", "PIL.Image.ANTIALIAS", Group.SHIM),
        ("import cv2\ncv2.cv.CV_AA", "cv2.cv.CV_AA", Group.NO_SUCCESSOR),
        ("import base64\nbase64.encodestring", "base64.encodestring", Group.SHIM),
    ],
)
def test_check_lists_them(tmp_path, source, symbol, group):
    path = tmp_path / "script.py"
    path.write_text(source + "\n")
    found = {item.symbol: item for item in check([path]).findings}
    assert found[symbol].group is group
    assert found[symbol].successor or found[symbol].remedy


def test_what_is_still_there_is_left_alone(tmp_path):
    path = tmp_path / "script.py"
    modules = (*python_stdlib.MODULES, *image_libraries.MODULES)
    path.write_text(
        f"import {', '.join(modules)}\nfrom PIL import Image\nImage.open(x), cv2.imread(x)\n"
        "json.loads(x), time.time(), scipy.optimize.minimize, xml.etree.ElementTree\n"
    )
    assert [item.symbol for item in check([path]).findings] == ["json.loads"]


# Syntax of Python 3.7

SYNTAX = {
    "f(0, (*(1, 2)))\n": "f(0, *(1, 2))\n",
    "f((*a), (*b))  # (x\n": "f(*a, *b)  # (x\n",
    "f((a)=1, b=(2))\n": "f(a=1, b=(2))\n",
    "import tensorflow as tf\nf((*tf.contrib.slim))\n": "from slim_resnet.compat import slim\n",
}


@pytest.mark.parametrize("code", SYNTAX)
def test_syntax_of_python_3_7_is_named_and_mended(tmp_path, code):
    path = tmp_path / "old.py"
    path.write_text(code)
    (message,) = check([path]).unreadable
    line = len(code.splitlines())
    assert message.startswith(f"{path}:{line}: Python 3.7 took this, later ones do not (f(")
    assert "--rewrite" in message
    done = rewrite(path)
    assert SYNTAX[code] in done.code.decode()
    compile(done.code, "old.py", "exec")


def test_the_runner_names_it(run, tmp_path):
    (tmp_path / "old.py").write_text("print(0, (*(1, 2)))\n")
    ran = run("old.py", cwd=tmp_path)
    assert ran.code == 2
    assert ran.err.startswith("error: old.py:1: Python 3.7 took this, later ones do not (print(")


@pytest.mark.parametrize("code", ["x = (*a)\n", "def f(:\n", "f(1)=2\n"])
def test_what_no_python_took_stays(tmp_path, code):
    path = tmp_path / "broken.py"
    path.write_text(code)
    with pytest.raises(ValueError, match="broken.py:1"):
        rewrite(path)
