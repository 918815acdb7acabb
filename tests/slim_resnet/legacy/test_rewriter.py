"""tools/run_legacy.py --rewrite: copies need no shim, compute the same, read as the originals."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

from slim_resnet.legacy.rewriting.checker import Group, check
from slim_resnet.legacy.rewriting.rewriter import rewrite, rewrite_files

SCRIPTS = sorted((pathlib.Path(__file__).parent / "scripts").rglob("*.py"))
SCRIPTS = [path for path in SCRIPTS if not path.name.startswith(("test_", "conftest"))]

TF = "import tensorflow as tf\n"
NEW_TF = "import tensorflow.compat.v1 as tf\n"
V1 = "\ntf.disable_v2_behavior()\n"
SLIM = "from slim_resnet.compat import slim\n"
KERAS = (
    'import os\nos.environ["TF_USE_LEGACY_KERAS"] = "1"  # tf.layers and the like, from tf_keras\n'
)
MENDED = "import slim_resnet.compat  # noqa: F401 - mends tf_slim\n"


@pytest.fixture
def rewritten(tmp_path):
    """rewritten(source) -> the copy's text and what is left, as (line, symbol)."""

    def of(source: str) -> tuple[str, list[tuple[int, str]]]:
        path = tmp_path / "script.py"
        path.write_text(source)
        done = rewrite(path)
        return done.code.decode(), [(item.line, item.symbol) for item in done.left]

    return of


CASES = {
    "imports and the call below them": (
        TF + "import os\n\nfrom nets import mine\n\n\nx = tf.Session()\n",
        NEW_TF + "import os\n\nfrom nets import mine\n" + V1 + "\n\nx = tf.Session()\n",
    ),
    "slim by any way": (
        TF + "slim = tf.contrib.slim\ny = slim.conv2d(x, 8, 3)\n",
        NEW_TF + SLIM + V1 + "y = slim.conv2d(x, 8, 3)\n",
    ),
    "slim under another name": (
        "import tensorflow.contrib.slim as contrib_slim\ny = contrib_slim.conv2d(x, 8, 3)\n",
        "from slim_resnet.compat import slim as contrib_slim\ny = contrib_slim.conv2d(x, 8, 3)\n",
    ),
    "contrib inline": (
        TF + "y = tf.contrib.layers.conv2d(x, 8,  3)  # why\n",
        NEW_TF + SLIM + V1 + "y = slim.conv2d(x, 8,  3)  # why\n",
    ),
    "contrib inline where slim is something else": (
        TF + "slim = 3\ny = tf.contrib.layers.flatten(x)\n",
        NEW_TF
        + "from slim_resnet.compat import slim as tf_slim\n"
        + V1
        + "slim = 3\ny = tf_slim.flatten(x)\n",
    ),
    "only what is needed of an import": (
        "import os, tensorflow as tf, sys\ntf.Session()\n",
        "import os, sys\n" + NEW_TF + V1 + "tf.Session()\n",
    ),
    "names of several homes": (
        "from tensorflow.contrib.framework import arg_scope, nest  # both\n",
        MENDED + "from tf_slim import arg_scope  # both\nfrom tensorflow.python.util import nest\n",
    ),
    "a layout that stays": (
        "from tensorflow.contrib.slim.nets import (\n    resnet_v1,  # 1\n    resnet_v2 as b,\n)\n",
        "from slim_resnet import (\n    resnet_v1,  # 1\n    resnet_v2 as b,\n)\n",
    ),
    "python.layers": (
        "from tensorflow.contrib.layers.python.layers import utils\nutils.smart_cond(a, b, c)\n",
        MENDED + "from tf_slim.layers import utils\nutils.smart_cond(a, b, c)\n",
    ),
    "a package that is gone": (
        "import tensorflow.contrib as tc\ntc.layers.flatten(x)\n",
        SLIM + "slim.flatten(x)\n",
    ),
    "a submodule imported for its parent": (
        "import tensorflow as tf\nimport tensorflow.contrib.slim\n"
        "tensorflow.contrib.slim.flatten(tf.zeros([1]))\ntf.Session()\n",
        NEW_TF + SLIM + V1 + "slim.flatten(tf.zeros([1]))\ntf.Session()\n",
    ),
    "tf_slim breaks unmended": (
        "import tf_slim as slim\nslim.conv2d(x, 1, 1)\n",
        SLIM + "slim.conv2d(x, 1, 1)\n",
    ),
    "layers of Keras": (
        '"""Doc."""\n' + TF + "tf.layers.dense(x, 1)\n",
        '"""Doc."""\n' + KERAS + NEW_TF + V1 + "tf.layers.dense(x, 1)\n",
    ),
    "os is there": (
        "import os\n" + TF + "tf.nn.rnn_cell.LSTMCell(1)\n",
        "import os\n" + KERAS.split("\n", 1)[1] + NEW_TF + V1 + "tf.nn.rnn_cell.LSTMCell(1)\n",
    ),
    "in a function": (
        "def f(x):\n    import tensorflow as tf  # late\n    return tf.contrib.layers.flatten(x)\n",
        "def f(x):\n    import tensorflow.compat.v1 as tf  # late\n"
        "    from slim_resnet.compat import slim\n    tf.disable_v2_behavior()\n"
        "    return slim.flatten(x)\n",
    ),
    "a name in a function": (
        "def f():\n    from tensorflow.contrib.framework import arg_scope\n    return arg_scope\n",
        f"def f():\n    {MENDED}    from tf_slim import arg_scope\n    return arg_scope\n",
    ),
    "in a try": (
        "try:\n    import tensorflow.contrib.slim as slim\nexcept ImportError:\n"
        "    import tf_slim as slim\nslim.flatten(x)\n",
        "try:\n    from slim_resnet.compat import slim\nexcept ImportError:\n"
        "    from slim_resnet.compat import slim\nslim.flatten(x)\n",
    ),
    "on one line": (
        "if True: import tensorflow as tf; x = 1\ntf.Session()\n",
        "if True: import tensorflow.compat.v1 as tf; tf.disable_v2_behavior(); x = 1\n"
        "tf.Session()\n",
    ),
    "with others on its line": (
        "import tensorflow as tf ; y = tf.contrib.layers.flatten(x)  # why\n",
        "import tensorflow.compat.v1 as tf; tf.disable_v2_behavior();"
        " from slim_resnet.compat import slim ; y = slim.flatten(x)  # why\n",
    ),
    "what goes leaves its comment": (
        TF + "x = tf.contrib.layers.flatten(x)\nslim = tf.contrib.slim  # short\nslim.flatten(x)\n",
        NEW_TF + SLIM + V1 + "x = slim.flatten(x)\n# short\nslim.flatten(x)\n",
    ),
    "an import that may fail serves only itself": (
        TF + "try:\n    from tensorflow.contrib import slim\nexcept ImportError:\n    pass\n"
        "tf.contrib.layers.flatten(x)\n",
        NEW_TF + "from slim_resnet.compat import slim as tf_slim\n" + V1
        + "try:\n    from slim_resnet.compat import slim\nexcept ImportError:\n    pass\n"
        "tf_slim.flatten(x)\n",
    ),
    "the only statement of a block": (
        TF + "def f():\n    slim = tf.contrib.rnn\n    slim.LSTMCell(1)\n",
        KERAS + NEW_TF + V1 + "def f():\n    tf.nn.rnn_cell.LSTMCell(1)\n",
    ),
    "a wildcard": (
        "from tensorflow.contrib.layers import *\nflatten(x)\n",
        MENDED + "from tf_slim import *\nflatten(x)\n",
    ),
    "decorators and scopes": (
        TF + "slim = tf.contrib.slim\n@slim.add_arg_scope\ndef f(x):\n"
        "  with tf.contrib.slim.arg_scope([slim.conv2d], stride=1):\n    return x\n",
        NEW_TF + SLIM + V1 + "@slim.add_arg_scope\ndef f(x):\n"
        "  with slim.arg_scope([slim.conv2d], stride=1):\n    return x\n",
    ),
    "NumPy": (
        "import numpy as np\nx = y.astype(np.float), np.bool_, np.NaN, np.product(y)\n",
        "import numpy as np\nx = y.astype(float), np.bool_, np.nan, np.prod(y)\n",
    ),
    "what NumPy's packages showed": (
        "import numpy as np\nnp.lib.pad(x, 1), np.lib.stride_tricks, np.core.alltrue(x)\n",
        "import numpy as np\nnp.pad(x, 1), np.lib.stride_tricks, np.all(x)\n",
    ),
    "a flag that absl has": (
        TF + "tf.app.flags.DEFINE_string('log_dir', None,\n    'where',)  # old\n"
        "tf.app.flags.DEFINE_string('logs', None, 'where')\n",
        NEW_TF + V1 + "tf.app.flags.DEFINE_string('log_dir', None,\n"
        "    'where', allow_override=True,)  # old\n"
        "tf.app.flags.DEFINE_string('logs', None, 'where')\n",
    ),
    "NumPy where float is something else": (
        "import numpy as np\nfloat = 3\nx = np.float(2)\n",
        "import numpy as np\nimport builtins\nfloat = 3\nx = builtins.float(2)\n",
    ),
    "flags": (
        "from tensorflow.app import flags\nflags.DEFINE_integer('n', 1, '')\n",
        "from tensorflow.compat.v1 import flags\n" + NEW_TF + V1
        + "flags.DEFINE_integer('n', 1, '')\n",
    ),
    "tflearn": (
        "from tflearn.layers.conv import global_avg_pool\nglobal_avg_pool(x, name='p')\n",
        "from slim_resnet.legacy.replacements.tflearn import global_avg_pool\n"
        "global_avg_pool(x, name='p')\n",
    ),
    "bytes of an array": ("x = y.tostring()\n", "x = y.tobytes()\n"),
    "a private name that moved": (
        "from tensorflow.python.framework import ops\nisinstance(x, ops.Tensor)\n",
        "from tensorflow.python.framework import ops\n"
        "from tensorflow.python.framework import tensor\nisinstance(x, tensor.Tensor)\n",
    ),
    "names of one home stay together": (
        "from tensorflow.contrib.framework import arg_scope, nest, add_arg_scope as a\n",
        MENDED + "from tf_slim import arg_scope, add_arg_scope as a\n"
        "from tensorflow.python.util import nest\n",
    ),
    "Keras of that time": (
        "from keras.layers.core import Dense\nfrom keras.layers.merge import add\n"
        "from keras.utils import np_utils\nimport numpy as np\n",
        "from slim_resnet.legacy.replacements.keras1 import Dense\n"
        "from slim_resnet.legacy.replacements import keras1; add = keras1.merge.add\n"
        "from tf_keras.src.utils import np_utils\nimport numpy as np\n"
        + NEW_TF + V1,
    ),
    "Keras in a TensorFlow 1 script": (
        "import keras\n" + TF + "tf.Session()\nkeras.backend.set_session(s)\n",
        "from tf_keras.api._v1 import keras\n" + NEW_TF + V1
        + "tf.Session()\nkeras.backend.set_session(s)\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_rewrite(rewritten, case):
    source, expected = CASES[case]
    code, left = rewritten(source)
    assert code == expected
    assert left == []
    assert rewritten(expected) == (expected, [])


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"print('tf.contrib')  # tf.contrib.slim\n",
        b"import tensorflow as tf\nx = tf.add(1, 2)\r\ny = tf.keras.layers.Dense(1)\n",
        b"import tensorflow as tf\ntf.compat.v1.disable_eager_execution()\ntf.compat.v1.Session()",
        b"import tensorflow.compat.v1 as tf\ntf.disable_v2_behavior()\ntf.Session()\n",
        b"import keras\nimport numpy as np\nx = np.bool_(1)\n\tif_ = 1\n".replace(b"\t", b""),
        b"import torch as tf\ntf.float\n",
    ],
)
def test_without_tensorflow_1_no_byte_changes(tmp_path, source):
    path = tmp_path / "script.py"
    path.write_bytes(source)
    done = rewrite(path)
    assert (done.code, done.changed, done.left) == (source, False, ())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"import tensorflow as tf\r\n\r\nx = 'a'\r\ntf.Session( )  # b\r\n",
         b"import tensorflow.compat.v1 as tf\r\n\r\ntf.disable_v2_behavior()\r\n\r\nx = 'a'\r\n"
         b"tf.Session( )  # b\r\n"),
        (b"import tensorflow as tf\ntf.Session()",
         b"import tensorflow.compat.v1 as tf\n\ntf.disable_v2_behavior()\ntf.Session()"),
        (b"# coding: latin-1\nx = '\xe9'; import numpy as np; np.float('\xe9')\n",
         b"# coding: latin-1\nx = '\xe9'; import numpy as np; float('\xe9')\n"),
        (b"\xef\xbb\xbfimport numpy as np\nx = '\xc3\xa9', np.float(1)\n",
         b"\xef\xbb\xbfimport numpy as np\nx = '\xc3\xa9', float(1)\n"),
        (b"import numpy as np\nx = {'a' :np.float , \"b\": np.int}\n\n\n\ny = (1 ,)\n",
         b"import numpy as np\nx = {'a' :float , \"b\": int}\n\n\n\ny = (1 ,)\n"),
    ],
)  # fmt: skip
def test_line_ends_encodings_and_layout_stay(tmp_path, before, after):
    path = tmp_path / "script.py"
    path.write_bytes(before)
    assert rewrite(path).code == after


@pytest.mark.parametrize(
    ("source", "left"),
    [
        (TF + "f = getattr(tf.contrib, name)\ntf.Session()\n", [(2, "tf.contrib")]),
        (TF + "\nx = tf.contrib.seq2seq.AttentionWrapper\n", [(3, "tf.contrib.seq2seq."
                                                               "AttentionWrapper")]),
        (TF + "tf.Session()\nprint(tf.__version__)\n", [(3, "tf.__version__")]),
        (TF + "tf.Session()\ntf.optimizers.Adam()\n", [(3, "tf.optimizers.Adam")]),
        ("import numpy as np\nnp.in1d(a, b)\n", [(2, "np.in1d")]),
        (TF + "layers = tf.layers\nlayers = f()\nlayers.dense(x)\n", [(4, "tf.layers.dense")]),
        ("class A:\n  def tostring(self): pass\nA().tostring()\n", [(3, "np.ndarray.tostring")]),
        ("import tensorflow.contrib as tc\ntc.rnn.LSTMBlockCell(1)\n",
         [(2, "tf.contrib.rnn.LSTMBlockCell"), (1, "tf.contrib")]),
    ],
)  # fmt: skip
def test_what_is_left_is_said(rewritten, source, left):
    code, found = rewritten(source)
    assert found == left
    used = re.escape(source.splitlines()[left[0][0] - 1])
    assert re.search(used, code), "what could not be decided stays as it was"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_copies_of_the_scripts(tmp_path, path):
    done = rewrite(path)
    copy = tmp_path / path.name
    copy.write_bytes(done.code)
    again = rewrite(copy)
    assert (again.code, again.changed) == (done.code, False)
    gone = {item.symbol for item in done.left if item.group is Group.NO_SUCCESSOR}
    assert bool(gone) == ("estimator" in path.stem)
    for item in check([copy]).findings:
        symbol = item.symbol.replace("tf.compat.v1.", "tf.")
        assert item.group is Group.AS_IT_IS or symbol in gone, item
    # What is not TensorFlow is as it was: every old line is there, but for imports and findings.
    touched = {item.line for item in check([path]).findings}
    kept = [
        line
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if number not in touched and not line.startswith((b"import", b"from"))
    ]
    lines = iter(done.code.splitlines())
    assert all(line in lines for line in kept), "in the same order"


@pytest.fixture
def project(tmp_path) -> pathlib.Path:
    """A script with a module of its own, and one that has nothing of TensorFlow."""
    folder = tmp_path / "project"
    (folder / "nets").mkdir(parents=True)
    (folder / "train.py").write_text(TF + "from nets import mine\ntf.Session()\n")
    (folder / "train.py").chmod(0o755)
    (folder / "nets" / "mine.py").write_text(TF + "slim = tf.contrib.slim\nslim.conv2d\n")
    (folder / "nets" / "__init__.py").write_text("# nothing\n")
    return folder


def test_names_through_a_module_of_the_scripts_own(tmp_path):
    (tmp_path / "ops.py").write_text(TF + "slim = tf.contrib.slim\n")
    script = tmp_path / "main.py"
    script.write_text("from ops import slim, tf\nx = slim.conv2d(tf.contrib.layers.flatten(x))\n")
    done = rewrite(script)
    assert done.code.decode() == ("from ops import slim, tf\nx = slim.conv2d(slim.flatten(x))\n")
    assert done.left == ()


def _texts(folder: pathlib.Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_a_folder(tool, project, tmp_path):
    before = _texts(project)
    found = tool("run_legacy", "--rewrite", project, "--output", tmp_path / "copy")
    assert (found.returncode, found.stderr) == (0, "")
    assert _texts(project) == before
    assert _texts(tmp_path / "copy") == {
        "train.py": NEW_TF + "from nets import mine\n" + V1 + "tf.Session()\n",
        "nets/mine.py": NEW_TF + SLIM + V1 + "slim.conv2d\n",
        "nets/__init__.py": "# nothing\n",
    }
    assert (tmp_path / "copy" / "train.py").stat().st_mode & 0o777 == 0o755
    assert f"{tmp_path}/copy/nets/__init__.py: no change needed\n" in found.stdout
    assert tool("run_legacy", "--check", tmp_path / "copy").stdout.count("through the shim") == 1


def test_one_file_to_a_file(tool, project, tmp_path):
    target = tmp_path / "new.py"
    found = tool("run_legacy", "--rewrite", project / "train.py", "--output", target)
    assert (found.returncode, found.stdout) == (0, f"{target}: rewritten\n")
    assert target.read_text().startswith(NEW_TF)


def test_originals_are_changed_only_when_asked(tool, project):
    before = _texts(project)
    for output in (project, project / "train.py"):
        found = tool("run_legacy", "--rewrite", project / "train.py", "--output", output)
        assert found.returncode == 2
        assert f"{project}/train.py is an original" in found.stderr
    assert tool("run_legacy", "--rewrite", project / "train.py").returncode == 2
    assert _texts(project) == before
    assert tool("run_legacy", "--rewrite", project, "--in-place").returncode == 0
    assert _texts(project)["nets/mine.py"] == NEW_TF + SLIM + V1 + "slim.conv2d\n"
    assert (project / "train.py").stat().st_mode & 0o777 == 0o755


def test_what_is_left_and_what_is_unreadable(tool, project, tmp_path):
    (project / "gone.py").write_text(TF + "tf.contrib.resampler.resampler(x, y)\n")
    copy = tmp_path / "copy"
    found = tool("run_legacy", "--rewrite", project, "--output", copy)
    assert found.returncode == 1
    line = next(line for line in found.stdout.splitlines() if "left to do by hand" in line)
    assert line.startswith(f"{project}/gone.py:2:1: left to do by hand: tf.contrib.resampler")
    (project / "old.py").write_text("print 'a'\n")
    found = tool("run_legacy", "--rewrite", project, "--output", copy)
    assert found.returncode == 2
    assert f"{project}/old.py:1: this is Python 2" in found.stderr
    assert not (copy / "old.py").exists()


def write(folder, files: dict[str, str]) -> None:
    for name, code in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code)


def names(folder) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}


PROJECT = {
    "train.py": TF + "from nets import vgg\nfrom lib.nets import vgg as other\n"
    "print(vgg.net(), other.net())\n",
    "nets/__init__.py": "",
    "nets/vgg.py": TF + "def net():\n    return int(tf.contrib.slim.conv2d is not None)\n",
    "lib/nets/__init__.py": "",
    "lib/nets/vgg.py": "def net():\n    return 2\n",
}


def test_packages_stay_packages_and_the_copy_runs(tool, tmp_path):
    """Two of them have files of one name."""
    write(tmp_path, PROJECT)
    paths = [tmp_path / name for name in ("train.py", "nets", "lib/nets")]
    copy = tmp_path / "copy"
    assert tool("run_legacy", "--rewrite", *paths, "--output", copy).returncode == 0
    assert names(copy) == set(PROJECT)
    command = [sys.executable, copy / "train.py"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "1 2\n"), found.stderr


@pytest.mark.parametrize(
    ("given", "copies"),
    [
        (["project"], {"train.py", "nets/__init__.py", "nets/types.py", "lib/queue.py"}),
        (["project/nets"], {"nets/__init__.py", "nets/types.py"}),
        (["project/nets/types.py"], {"nets/types.py"}),
        (["project/lib/queue.py"], {"lib/queue.py"}),
        (["project/train.py", "project/lib"], {"train.py", "lib/queue.py"}),
        (["project/train.py", "other/train.py"], {"project/train.py", "other/train.py"}),
    ],
)
def test_a_copy_hides_no_module_of_python(tmp_path, monkeypatch, given, copies):
    """`copy/types.py` would be `types` to every script beside it."""
    files = ("train.py", "nets/__init__.py", "nets/types.py", "lib/queue.py")
    write(tmp_path, {f"project/{name}": "" for name in files} | {"other/train.py": ""})
    monkeypatch.chdir(tmp_path)
    rewrite_files(given, "copy")
    assert names(tmp_path / "copy") == copies


def test_a_project_with_a_module_of_pythons_name_keeps_its_folder(tmp_path):
    write(tmp_path, {"project/train.py": "", "project/types.py": ""})
    rewrite_files([tmp_path / "project"], tmp_path / "copy")
    assert names(tmp_path / "copy") == {"project/train.py", "project/types.py"}
