"""The shim: what it gives, what it leaves alone, what is left of it; and the runner's manners."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

from tests.slim_resnet.legacy.runs import without_versions

ROOT = pathlib.Path(__file__).parents[3]


def python(code: str, cwd, *args) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *args, "-c", textwrap.dedent(code)],
        cwd=cwd, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


# What importing does, and what install() and uninstall() do


def test_importing_the_package_changes_nothing(tmp_path):
    code = """
        import builtins, sys
        import slim_resnet, slim_resnet.legacy, slim_resnet.legacy.__main__
        assert not {"tensorflow", "keras", "tf_slim"} & set(sys.modules), sorted(sys.modules)
        import tensorflow as tf, numpy as np, keras
        before = (sys.modules["tensorflow"], sys.modules["numpy"], sys.modules["keras"],
                  builtins.__import__, list(sys.meta_path), set(dir(tf)), set(dir(np)))
        import slim_resnet.resnet_v1, slim_resnet.legacy.running.installation
        after = (sys.modules["tensorflow"], sys.modules["numpy"], sys.modules["keras"],
                 builtins.__import__, list(sys.meta_path), set(dir(tf)), set(dir(np)))
        assert before == after
        assert tf is sys.modules["tensorflow"] and tf.__version__[0] == "2"
        assert tf.executing_eagerly() and not hasattr(tf, "contrib") and not hasattr(np, "float")
    """
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr


INSTALL = """
    import builtins, importlib, json, sys, warnings
    import numpy, keras, torch
    import tensorflow
    from absl.flags import FLAGS
    from slim_resnet import legacy

    def state():
        names = ("tensorflow", "numpy", "keras", "tf_keras", "tf_slim", "torch")
        return {
            "modules": [id(sys.modules.get(name)) for name in names],
            "contrib": [n for n in sys.modules if ".contrib" in n and "tensorflow" in n],
            "import": id(builtins.__import__),
            "finders": [id(finder) for finder in sys.meta_path],
            "filters": list(map(repr, warnings.filters)),
            "tensorflow": sorted(set(dir(tensorflow)) - {"compat"}),
            "numpy": sorted(dir(numpy)),
            "flags": [flag.name for flags in FLAGS.flags_by_module_dict().values()
                      for flag in flags if flag.allow_override],
            "eager": tensorflow.executing_eagerly(),
            "equality": bool((tensorflow.constant([1]) == 1).shape == (1,))
            if tensorflow.executing_eagerly() else False,
            "resource": tensorflow.compat.v1.resource_variables_enabled(),
            "control flow": tensorflow.compat.v1.control_flow_v2_enabled(),
            "shape": tensorflow.TensorShape([3])[0] == 3
            and not hasattr(tensorflow.TensorShape([3])[0], "value"),
        }

    import slim_resnet.legacy.running.installation
    before = state()
    with legacy.install():
        legacy.install()  # twice is once
        during = state()
        facts = {}
        exec('''
    import tensorflow as tf, numpy as np
    import tensorflow.contrib.slim as slim
    from tensorflow.contrib.framework import arg_scope
    from tensorflow.contrib.framework.python.ops import arg_scope as scope
    from tensorflow.contrib.framework.python.ops.arg_scope import arg_scope as scope_module
    from keras.layers import Dense
    from collections import Mapping
    from fractions import gcd
    import importlib, inspect, time
    tf.get_variable("w", [2], initializer=tf.ones_initializer(),
                    regularizer=tf.contrib.layers.l2_regularizer(0.5))
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    ema = tf.train.ExponentialMovingAverage(0.5)
    average = ema.apply(losses)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    session.run(average)
    averages = session.run([ema.average(loss) for loss in losses])
    facts = {
        "version": tf.__version__,
        "arg_scope": arg_scope is slim.arg_scope is tf.contrib.framework.arg_scope,
        "module": importlib.import_module("tensorflow.contrib.slim.nets.vgg").vgg_16.__module__,
        "graph": isinstance(tf.placeholder(tf.float32, [None]), tf.Tensor),
        "ref": type(tf.Variable(1.0)).__name__,
        "static": tf.zeros([2, 3]).shape[1].value,
        "float": np.float is float and np.bool is bool and np.lib.pad is np.pad,
        "keras": Dense.__module__.partition(".")[0],
        "nan": bool(np.isnan(np.NaN)),
        "averages": list(map(float, averages)),
        "scope": scope is arg_scope is scope_module,
        "python": [isinstance({}, Mapping), gcd(4, 6), time.clock() <= time.process_time(),
                   inspect.getargspec(lambda a, b=1: a)],
    }
    '''.replace("\\n    ", "\\n"), facts)
        facts = facts["facts"]
        library = {"__name__": "json.fake", "__file__": json.__file__}
        exec("import tensorflow, numpy, keras, time, inspect", library)
        facts["library"] = (library["tensorflow"] is tensorflow and library["numpy"] is numpy
                            and library["keras"] is keras
                            and not hasattr(library["time"], "clock"))
        facts["torch"] = float((torch.ones(2) * 2).sum())
        own = {}
        exec("import tensorflow as tf; from tensorflow.contrib import crf, learn, rnn", own)
        errors = []
        for line in GONE:
            try:
                exec(line, own)
            except (AttributeError, ImportError) as error:
                errors.append(f"{type(error).__name__} | {error}")
            else:
                errors.append(f"no error | {line}")
        with own["tf"].Graph().as_default():
            try:
                legacy.uninstall()
            except RuntimeError as error:
                refused = str(error)
            exec("import tensorflow.contrib.slim", own)  # nothing undone
    after = state()
    legacy.uninstall()  # without install: nothing
    try:
        import tensorflow.contrib
    except ModuleNotFoundError as error:
        gone = str(error)
    layer = keras.layers.Dense(2)
    shape = tuple(layer(numpy.ones([1, 3])).numpy().shape)
    print(json.dumps([before, during, after, facts, gone, shape, refused, errors]))
"""

GONE = [
    "tf.contrib.crf.viterbi_decode",
    "tf.contrib.slim.embedding_column",
    "tf.contrib.never_was.thing",
    "tf.estimator.inputs",
    "tf.keras.utils.multi_gpu_model",
    "tf.never_was",
    "from tensorflow.contrib.image import dense_image_warp",
    "from tensorflow.contrib.learn.python.learn.datasets import mnist",
    "from tensorflow.examples.tutorials.mnist import input_data",
    "from tensorflow.contrib.slim import never_was",
    "import tflearn; tflearn.DNN",
]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    done = python(INSTALL.replace("GONE", repr(GONE)), tmp_path_factory.mktemp("notebook"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_own_code_sees_tensorflow_1(installed):
    facts = installed[3]
    assert facts == {
        "version": "1.15.5", "arg_scope": True, "module": "tf_slim.nets.vgg", "graph": True,
        "ref": "RefVariable", "static": 3, "float": True, "keras": "tf_keras", "nan": True,
        "library": True, "torch": 4.0, "python": [True, 2, True, [["a", "b"], None, None, [1]]],
        "averages": [0.25], "scope": True,
    }  # fmt: skip


def test_libraries_see_what_they_saw_while_it_is_installed(installed):
    before, during, *_ = installed
    assert during["modules"] == before["modules"]
    assert during["tensorflow"] == before["tensorflow"]
    assert during["numpy"] == before["numpy"]
    assert not during["eager"]


def test_uninstall_restores_everything(installed):
    before, during, after, _, gone, shape, *_ = installed
    assert during != before
    assert after == before
    assert before["eager"]
    assert before["equality"]
    assert before["shape"]
    assert gone == "No module named 'tensorflow.contrib'"
    assert shape == [1, 2]


def test_uninstall_inside_a_graph_is_refused_and_undoes_nothing(installed):
    assert installed[-2].startswith("legacy.uninstall() inside a graph: first leave")


# Errors


def test_what_is_gone_says_so_by_name_and_what_to_use(installed):
    expected = [
        ("AttributeError", "tf.contrib.crf.viterbi_decode is not", "TensorFlow Addons"),
        ("AttributeError", "tf.contrib.slim.embedding_column is not", "tf.feature_column"),
        ("AttributeError", "tf.contrib.never_was is not", "no such part"),
        ("AttributeError", "tf.estimator.inputs is not", "tf.train.MonitoredTrainingSession"),
        ("AttributeError", "tf.keras.utils.multi_gpu_model is not", "MirroredStrategy"),
        ("AttributeError", "module 'tensorflow' has no attribute 'never_was'", ""),
        ("ImportError", "tf.contrib.image.dense_image_warp is not", "tfa.image"),
        ("ImportError", "tf.contrib.learn.python.learn.datasets is not", "tf.keras.datasets"),
        ("ImportError", "tf.examples is not", "tf.keras.datasets.mnist"),
        ("ImportError", "tf.contrib.slim.never_was is not", "nor was it in 1.15's"),
        ("AttributeError", "tflearn.DNN: tflearn is not installed", "tf.layers"),
    ]
    lines = installed[-1]
    assert len(lines) == len(expected)
    for line, (kind, start, remedy) in zip(lines, expected, strict=True):
        assert line.startswith(f"{kind} | "), line
        assert start in line
        assert remedy in line


# The runner


@pytest.fixture
def legacy(tmp_path):
    """Runs a script of the given text; other keywords are files beside it."""

    def run(text: str, *args, **beside: str) -> subprocess.CompletedProcess:
        folder = tmp_path / "project"
        folder.mkdir()
        for name, content in {"script": text, **beside}.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(content))
        return subprocess.run(
            [sys.executable, "-m", "slim_resnet.legacy", *(args or ["project/script.py"])],
            cwd=tmp_path, capture_output=True, text=True, timeout=300,
            env=os.environ | {"PYTHONPATH": str(folder)},
        )  # fmt: skip

    return run


def test_a_script_finds_itself_where_python_would_put_it(legacy):
    text = """
        import os, sys, helper
        import numpy as np
        import tensorflow as tf
        print(__name__, __file__, sys.argv, os.path.basename(sys.path[0]))
        print(sys.modules["__main__"].tf is tf, helper.value(np.arange(2, dtype=np.uint8)))
        sys.exit("stopped")
    """
    helper = """
        import tensorflow as tf
        from tensorflow.contrib import slim
        def value(array):
            return tf.contrib.slim is slim, array.tostring()
    """
    done = legacy(text, "project/script.py", "--a", "-m", "b", helper=helper)
    assert done.stdout.splitlines() == [
        "__main__ project/script.py ['project/script.py', '--a', '-m', 'b'] project",
        r"True (True, b'\x00\x01')",
    ]
    assert without_versions(done.stderr) == "stopped\n"
    assert done.returncode == 1


def test_a_module_runs_and_its_flags_may_have_names_that_absl_took(legacy):
    text = """
        import tensorflow as tf
        tf.app.flags.DEFINE_string("log_dir", "none", "where")
        tf.app.flags.DEFINE_integer("steps", 1, "how many")
        FLAGS = tf.flags.FLAGS
        def main(_):
            tf.logging.set_verbosity(tf.logging.INFO)
            tf.logging.info("%s %d", FLAGS.log_dir, FLAGS.steps)
            return 3
        tf.app.run()
    """
    done = legacy(text, "-m", "script", "--log_dir=here", "--steps", "7")
    assert done.returncode == 3
    assert without_versions(done.stderr).splitlines()[0] == "INFO:tensorflow:here 7"


def test_an_exception_shows_the_script_and_not_the_shim(legacy):
    text = """
        import helper
        helper.fail(None)
    """
    helper = """
        def fail(x):
            for key, value in {}.iteritems():
                pass
    """
    done = legacy(text, helper=helper)
    assert done.returncode == 1
    err = without_versions(done.stderr)
    lines = err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert 'project/script.py", line 3, in <module>' in lines[1]
    assert "slim_resnet" not in err
    assert "AttributeError: 'dict' object has no attribute 'iteritems'" in err
    if sys.version_info >= (3, 11):  # notes
        assert lines[-1].startswith("iteritems is Python 2: convert the script with 2to3")


@pytest.mark.parametrize(
    "line",
    ['print "hello"', "print x, y", "except ValueError, e:", "exec 'x = 1'", "x = 0777",
     "raise ValueError, 'x'", "if x <> y:"],
)  # fmt: skip
def test_python_2_is_named_with_its_remedy(legacy, line):
    text = f"try:\n    pass\n{line}\n    pass\n" if line.startswith("except") else f"{line}\n"
    done = legacy(text)
    assert done.returncode == 2
    assert done.stdout == ""
    number = 3 if line.startswith("except") else 1
    assert done.stderr.startswith(f"error: project/script.py:{number}: this is Python 2 ({line})")
    assert "2to3 -w project/script.py" in done.stderr


def test_the_tool_runs_scripts_too(tmp_path):
    (tmp_path / "old.py").write_text("print 1\n")
    command = [sys.executable, ROOT / "tools" / "run_legacy.py", "old.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "old.py:1: this is Python 2" in done.stderr


def test_other_syntax_errors_are_pythons_own(legacy):
    done = legacy("x = (0.05,\n")
    assert done.returncode == 1
    assert "SyntaxError: '(' was never closed" in done.stderr


def test_a_script_that_is_not_there(legacy):
    done = legacy("", "project/nothing.py")
    assert done.returncode == 2
    assert done.stderr == "error: [Errno 2] No such file or directory: 'project/nothing.py'\n"
