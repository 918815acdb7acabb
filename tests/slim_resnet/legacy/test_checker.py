"""tools/run_legacy.py --check: every TensorFlow 1 name of a script, in its group."""

from __future__ import annotations

import functools
import inspect
import io
import pathlib
import subprocess
import sys
import tokenize

import pytest

from slim_resnet.legacy.rewriting.checker import Group, check, python_files
from slim_resnet.legacy.rewriting.script import ABSL_FLAGS
from slim_resnet.legacy.tables import public_names

SCRIPTS = sorted((pathlib.Path(__file__).parent / "scripts").rglob("*.py"))
SCRIPTS = [path for path in SCRIPTS if not path.name.startswith(("test_", "conftest"))]
TOOL = pathlib.Path(__file__).parents[3] / "tools" / "run_legacy.py"
# Estimators left TensorFlow; nothing else that these scripts use did.
GONE = ("tf.estimator.", "tf.contrib.learn.", "tf.contrib.estimator.")

TF = "import tensorflow as tf\n"


@pytest.fixture
def findings(tmp_path):
    """findings(source) -> {symbol: group} of all that it uses, imports included."""

    def of(source: str) -> dict[str, Group]:
        path = tmp_path / "script.py"
        path.write_text(source)
        report = check([path])
        assert not report.unreadable
        return {item.symbol: item.group for item in report.findings}

    return of


@pytest.mark.parametrize(
    ("source", "symbol", "group"),
    [
        (TF + "tf.nn.relu(1)", "tf.nn.relu", Group.AS_IT_IS),
        (TF + "tf.placeholder(tf.float32)", "tf.placeholder", Group.SHIM),
        (TF + "tf.app.flags.DEFINE_integer('n', 1, '')", "tf.app.flags.DEFINE_integer", Group.SHIM),
        (TF + "tf.train.Saver().save(s, 'm')", "tf.train.Saver", Group.SHIM),
        (TF + "tf.layers.dense(x, 1)", "tf.layers.dense", Group.SHIM),
        (TF + "tf.compat.v1.Session()", "tf.compat.v1.Session", Group.AS_IT_IS),
        (TF + "tf.compat.v1.layers.dense", "tf.compat.v1.layers.dense", Group.SHIM),
        (TF + "tf.no_such_name", "tf.no_such_name", Group.NO_SUCCESSOR),
        (TF + "tf.Session()\ntf.optimizers.Optimizer", "tf.optimizers.Optimizer",
         Group.NO_SUCCESSOR),
        (TF + "tf.optimizers.Optimizer", "tf.optimizers.Optimizer", Group.UNDECIDED),
        (TF + "tf.compat.v2.optimizers.Adam", "tf.compat.v2.optimizers.Adam", Group.AS_IT_IS),
        (TF + "tf.compat.v2.keras.layers.Dense", "tf.compat.v2.keras.layers.Dense",
         Group.AS_IT_IS),
        ("import tensorflow.compat.v2 as tf\ntf.random_uniform", "tf.compat.v2.random_uniform",
         Group.UNDECIDED),
        ("import tensorflow.compat.v2 as tf\ntf.nn.xw_plus_b", "tf.compat.v2.nn.xw_plus_b",
         Group.NO_SUCCESSOR),
        ("import tensorflow.compat.v2 as tf\ntf.nn.conv2d", "tf.compat.v2.nn.conv2d",
         Group.AS_IT_IS),
        (TF + "tf.contrib.layers.xavier_initializer()", "tf.contrib.layers.xavier_initializer",
         Group.SHIM),
        (TF + "tf.contrib.layers.no_such_name()", "tf.contrib.layers.no_such_name",
         Group.NO_SUCCESSOR),
        (TF + "tf.contrib.seq2seq.AttentionWrapper", "tf.contrib.seq2seq.AttentionWrapper",
         Group.NO_SUCCESSOR),
        (TF + "tf.estimator.Estimator(f)", "tf.estimator.Estimator", Group.NO_SUCCESSOR),
        (TF + "slim = tf.contrib.slim\nslim.conv2d(x, 1, 1)", "tf.contrib.slim.conv2d", Group.SHIM),
        (TF + "c = tf.contrib\ns = c.slim\ndef f():\n  s.conv2d", "tf.contrib.slim.conv2d",
         Group.SHIM),
        (TF + "FLAGS = tf.app.flags.FLAGS\nrate = FLAGS.rate\nrate = 3\nf(rate)",
         "tf.app.flags.FLAGS", Group.SHIM),
        (TF + "getattr(tf.contrib, name)", "tf.contrib", Group.UNDECIDED),
        (TF + "layers = tf.layers\nlayers = f()\nlayers.dense", "tf.layers.dense", Group.UNDECIDED),
        ("import tensorflow.contrib.slim as slim\nslim.flatten(x)", "tf.contrib.slim.flatten",
         Group.SHIM),
        ("import tensorflow.contrib.slim\ntensorflow.contrib.slim.flatten(x)",
         "tf.contrib.slim.flatten", Group.SHIM),
        ("import tensorflow.contrib as tc\ntc.rnn.LSTMBlockCell(1)", "tf.contrib.rnn.LSTMBlockCell",
         Group.NO_SUCCESSOR),
        ("from tensorflow.contrib import slim, layers as L\nL.flatten(x)",
         "tf.contrib.layers.flatten", Group.SHIM),
        ("from tensorflow.contrib.framework import arg_scope\nwith arg_scope([f]): pass",
         "tf.contrib.framework.arg_scope", Group.SHIM),
        ("from tensorflow.contrib.slim.nets import resnet_v1\nresnet_v1.resnet_v1_50",
         "tf.contrib.slim.nets.resnet_v1.resnet_v1_50", Group.SHIM),
        ("from tensorflow.contrib.layers.python.layers import utils\nutils.smart_cond",
         "tf.contrib.layers.python.layers.utils.smart_cond", Group.SHIM),
        ("from tensorflow.contrib.layers import *\nx = xavier_initializer()",
         "tf.contrib.layers.xavier_initializer", Group.SHIM),
        ("from tensorflow.contrib.slim import *\n@add_arg_scope\ndef f(): pass",
         "tf.contrib.slim.add_arg_scope", Group.SHIM),
        ("from tensorflow.python.framework import ops\nops.get_default_graph",
         "tensorflow.python.framework.ops.get_default_graph", Group.AS_IT_IS),
        ("from tensorflow.python.framework import ops\nops.Tensor",
         "tensorflow.python.framework.ops.Tensor", Group.SHIM),
        ("from tensorflow.python.nowhere import x", "tensorflow.python.nowhere.x",
         Group.NO_SUCCESSOR),
        ("from tensorflow.examples.tutorials.mnist import input_data",
         "tf.examples.tutorials.mnist.input_data", Group.NO_SUCCESSOR),
        ("import tf_slim as slim\nslim.conv2d", "tf_slim.conv2d", Group.SHIM),
        ("from slim_resnet.compat import slim\nslim.conv2d", "slim_resnet.compat.slim.conv2d",
         Group.AS_IT_IS),
        ("import tflearn\ntflearn.layers.conv.global_avg_pool(x)",
         "tflearn.layers.conv.global_avg_pool", Group.SHIM),
        ("import numpy as np\nnp.float(1)", "np.float", Group.NUMPY),
        ("import time\ntime.clock()", "time.clock", Group.SHIM),
        ("from collections import Mapping", "collections.Mapping", Group.SHIM),
        ("import tensorflow as tf\ntf.contrib.image.rotate", "tf.contrib.image.rotate", Group.SHIM),
        ("f(x).tostring()", "np.ndarray.tostring", Group.NUMPY),
        ("for i in xrange(3): pass", "xrange", Group.NO_SUCCESSOR),
        ("d.iteritems()", "dict.iteritems", Group.NO_SUCCESSOR),
    ],
)  # fmt: skip
def test_group(findings, source, symbol, group):
    assert findings(source).get(symbol) is group


@pytest.mark.parametrize(
    "source",
    [
        "def f(tf):\n  return tf.contrib.nope",
        "from mine import tf\ntf.contrib.nope",
        "tf = 3\ntf.contrib.nope",
        "f(tf=3).contrib.nope",
        "import numpy as np\na = np\nb = a\na = b\nb = a\na.zeros(b)",
        TF + "class A:\n  tf = 1\n  x = tf.contrib",
        "'tf.contrib.nope'  # tf.contrib.nope",
        "import numpy as np\nnp.float32(1), np.zeros(3, np.int32)",
        "import time, collections\ntime.time(), collections.OrderedDict(), time.sleep(1)",
        "import keras\nkeras.layers.Dense(1)\nimport torch\ntorch.float",
        "try:\n  xrange\nexcept NameError:\n  xrange = range\nfor i in xrange(3): pass",
        "import sys\nr = xrange if sys.version_info[0] < 3 else range",
        "import xml.etree.ElementTree as ET\nET.tostring(root)",
    ],
)
def test_what_is_not_tensorflow_1_is_left_alone(findings, source):
    assert set(findings(source).values()) <= {Group.AS_IT_IS}


def test_a_function_of_the_scripts_own_hides_a_library(tmp_path):
    (tmp_path / "ops.py").write_text("def conv2d(x):\n  return x\n")
    star = "from {} import *\n"
    code = star.format("tensorflow.contrib.layers") + star.format("ops") + "conv2d(flatten(x))\n"
    (tmp_path / "main.py").write_text(code)
    found = [item.symbol for item in check([tmp_path / "main.py"]).findings if item.line == 3]
    assert found == ["tf.contrib.layers.flatten"]


@pytest.mark.parametrize("names", ["*", "slim, tf"])
def test_names_through_a_module_of_the_scripts_own(tmp_path, names):
    (tmp_path / "ops.py").write_text(TF + "from main import a\nslim = tf.contrib.slim\n")
    code = f"from ops import {names}\nslim.conv2d(tf.nn.relu(x), unknown)\n"
    (tmp_path / "main.py").write_text(code)
    found = check([tmp_path / "main.py"]).findings
    assert [(item.symbol, item.column) for item in found] == [
        ("tf.contrib.slim.conv2d", 1),
        ("tf.nn.relu", 13),
    ]


def test_every_line_of_the_scripts_is_read():
    """Against Python's own tokenizer: each `tf.` chain in code is found, at its place."""
    for path in SCRIPTS:
        found = {(item.line, item.column) for item in check([path]).findings}
        assert found
        for line, column, chain in _chains(path, "tf"):
            is_module = public_names.find(chain.partition(".")[2]) is public_names.Where.MODULE
            assert is_module or (line, column) in found, f"{path.name}:{line}: {chain}"


def _chains(path: pathlib.Path, root: str):
    tokens = list(tokenize.generate_tokens(io.StringIO(path.read_text()).readline))
    for i, token in enumerate(tokens):
        if token.string != root or (i and tokens[i - 1].string in (".", "import", "as")):
            continue
        words = [root]
        while tokens[i + 1].string == ".":
            words.append(tokens[i + 2].string)
            i += 2
        if len(words) > 1:
            yield token.start[0], token.start[1] + 1, ".".join(words)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts(tool, path):
    found = tool("run_legacy", "--check", path)
    missing = [line for line in found.stdout.splitlines() if ": has no successor: " in line]
    assert found.returncode == (1 if missing else 0)
    assert bool(missing) == ("estimator" in path.stem)
    for line in missing:
        assert line.split(": has no successor: ")[1].startswith(GONE)
        assert "estimators left with TensorFlow 2.16" in line
    assert found.stderr == ""
    assert f"{path}:" in found.stdout


def test_what_the_groups_promise_is_true():
    """What works as it is is the same in both; a successor can be had."""
    import tensorflow

    from slim_resnet.compat import tf
    from slim_resnet.legacy.running.old_modules import resolve

    v1 = "tensorflow.compat.v1."
    kinds = {"same": set(), "v1": set(), "elsewhere": set()}
    for item in check(SCRIPTS).findings:
        if item.group is Group.AS_IT_IS and item.symbol.startswith("tf."):
            name = item.symbol.partition(".")[2]
            old, new = _get(tf, name), _get(tensorflow, name)
            assert inspect.unwrap(old) is inspect.unwrap(new), item.symbol
            kinds["same"].add(name)
        elif item.group is Group.SHIM and (item.successor or "").startswith(v1) and not item.remedy:
            _get(tf, item.successor.removeprefix(v1))
            kinds["v1"].add(item.successor)
        elif (
            item.group is Group.SHIM
            and item.successor
            and not item.successor.startswith("builtins.")
        ):
            resolve(item.successor)
            kinds["elsewhere"].add(item.successor)
    assert all(len(names) >= 10 for names in kinds.values())


def _get(module, name: str):
    return functools.reduce(getattr, name.split("."), module)


def test_the_list_of_names_is_that_of_the_installed_tensorflow():
    # In a process of its own: what Keras is loaded already changes what its loaders list.
    code = (
        "from slim_resnet.legacy.tables import public_names; print(public_names.generate(), end='')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert public_names.FILE.read_text(encoding="utf-8") == found.stdout


def test_the_flags_of_absl():
    code = (
        "from absl import app, flags, logging\n"
        "found = flags.FLAGS.flags_by_module_dict().items()\n"
        "own = [f for module, own in found if module.startswith('absl.') for f in own]\n"
        "print(*{name for f in own for name in (f.name, f.short_name) if name})\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted(found.stdout.split()) == sorted(ABSL_FLAGS)


def test_no_framework_is_imported(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(TF + "tf.contrib.slim.conv2d(tf.layers.dense(tf.nn.relu(x), 1), 1, 1)\n")
    code = (
        "import sys\n"
        "from slim_resnet.legacy.rewriting.checker import check\n"
        f"assert len(check([{str(script)!r}]).findings) == 3\n"
        "loaded = {'tensorflow', 'tf_slim', 'tf_keras', 'keras', 'torch'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lines_remedies_and_exit_code(tool, tmp_path):
    folder = tmp_path / "nets"
    (folder / ".hidden").mkdir(parents=True)
    (folder / ".hidden" / "old.py").write_text("print 'no'")
    (folder / "a.py").write_text(TF + "\nx = tf.placeholder(\n    tf.float32)\n")
    (folder / "b.py").write_text(TF + "tf.contrib.resampler.resampler(x, y)\n")
    found = tool("run_legacy", "--check", folder)
    assert (found.returncode, found.stderr) == (1, "")
    lines = found.stdout.splitlines()
    assert f"{folder}/a.py:4:5: works as it is: tf.float32" in lines
    assert (
        f"{folder}/a.py:3:5: works through the shim: tf.placeholder: "
        "tensorflow.compat.v1.placeholder" in lines
    )
    remedy = next(
        line for line in lines if line.startswith(f"{folder}/b.py:2:1: has no successor: ")
    )
    assert "tf.gather_nd" in remedy
    assert lines[-1].startswith("2 files; works as it is: 1, works through the shim: 1, has no")
    assert tool("run_legacy", "--check", folder / "a.py").returncode == 0


def test_python_2_and_other_unreadable_files(tool, tmp_path):
    (tmp_path / "old.py").write_text("import tensorflow as tf\nprint 'loss', loss\n")
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "bytes.py").write_bytes(b"x = '\xff'\n")
    (tmp_path / "good.py").write_text(TF + "tf.Session()\n")
    found = tool("run_legacy", "--check", tmp_path)
    assert found.returncode == 2
    assert f"{tmp_path}/old.py:2: this is Python 2 (print 'loss', loss)" in found.stderr
    assert f"2to3 -w {tmp_path}/old.py" in found.stderr
    assert f"{tmp_path}/broken.py:1" in found.stderr
    assert f"{tmp_path}/bytes.py" in found.stderr
    assert "tf.Session" in found.stdout
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    "source",
    ["print 'a'", "exec 'a'", "raise E, 'a'", "try: pass\nexcept E, e: pass", "a = 0777", "a <> b",
     "a = `b`", "ur'a'", "10L", "def f((a, b)): pass", "if a:\n\tb\n        c"],
)  # fmt: skip
def test_python_2(tmp_path, source):
    path = tmp_path / "old.py"
    path.write_text(source + "\n")
    (message,) = check([path]).unreadable
    assert "this is Python 2" in message


def test_a_path_that_is_not_there(tool, tmp_path):
    for path in (tmp_path / "none.py", tmp_path):
        found = tool("run_legacy", "--check", path)
        assert found.returncode == 2
        assert found.stderr == f"error: {path}: no such file, or no .py file in it\n"


def test_without_libcst_the_extra_is_named(tmp_path, tools_on_path):
    code = (
        "import sys\n"
        "sys.modules['libcst'] = None\n"
        f"sys.argv = ['run_legacy.py', '--check', {str(tmp_path)!r}]\n"
        "import runpy\n"
        f"runpy.run_path({str(TOOL)!r}, run_name='__main__')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], env=tools_on_path, capture_output=True, text=True
    )
    assert found.returncode == 2
    assert "pip install -e '.[legacy]' in the folder of slim-resnet" in found.stderr


def test_files_are_read_once(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("")
    assert list(python_files([path, tmp_path, path])) == [path]
