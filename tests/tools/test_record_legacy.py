"""tools/record_legacy.py: what it promises on old machines, tried on today's TensorFlow.

The script changes TensorFlow's behaviour for its whole process, so it runs in child processes
here; this file itself needs NumPy only.
"""

import importlib.util
import json
import pathlib
import subprocess
import sys
import zlib

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "record_legacy.py"

spec = importlib.util.spec_from_file_location("record_legacy", SCRIPT)
record_legacy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(record_legacy)

# A user's module: batch norm between a 1x1 convolution and a pool, easy to redo in NumPy. Its
# variables cover what loading must stand: ref and resource ones, integers, and two that are
# initialized from one tensor.
TINY = """
import collections
import tensorflow.compat.v1 as tf


def tiny(images, is_training=True, fused=False):
    def variable(name, shape, **kwargs):
        return tf.get_variable(name, shape, images.dtype, **kwargs)
    with tf.variable_scope('tiny'):
        weights = variable('weights', [1, 1, 3, 4])
        gamma, beta = variable('gamma', [4], use_resource=True), variable('beta', [4])
        mean = variable('moving_mean', [4], trainable=False)
        variance = variable('moving_variance', [4], trainable=False, use_resource=True,
                            initializer=tf.ones_initializer())
        tf.get_variable('step', [], tf.int64, trainable=False)
        shared = tf.zeros([4], images.dtype)
        one, two = [tf.Variable(shared, name=name) for name in ('one', 'two')]
        net = tf.nn.conv2d(images, weights, [1, 1, 1, 1], 'SAME')
        if fused:
            net = tf.nn.fused_batch_norm(
                net, gamma, beta, mean, variance, 1e-3, is_training=False)[0]
        else:
            now = tf.nn.moments(net, [0, 1, 2]) if is_training else (mean, variance)
            if is_training:
                tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.assign(mean, now[0]))
            net = tf.nn.batch_normalization(net, now[0], now[1], beta, gamma, 1e-3)
        net = tf.nn.relu(net, name='relu')
        logits = tf.add(tf.reduce_mean(net, [1, 2]) * one, two, name='logits')
    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, tf.nn.l2_loss(weights))
    probabilities = tf.nn.softmax(logits)
    return logits, collections.OrderedDict([('relu', net), ('probabilities', probabilities)])


def broken(images):
    raise KeyError('no such layer')


def number(images):
    return 7


def float32_only(images):
    return {'sum': images + tf.ones([3], tf.float32)}


def export():
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        tf.set_random_seed(1)
        tiny(tf.placeholder(tf.float32, [None, None, None, 3], 'images'), fused=True)
        sess.run(tf.global_variables_initializer())
        tf.train.Saver().save(sess, './tiny.ckpt')
        frozen = tf.graph_util.convert_variables_to_constants(
            sess, graph.as_graph_def(), ['tiny/logits'])
        tf.train.write_graph(frozen, '.', 'tiny.pb', as_text=False)
"""

DRIVER = """
import contextlib, io, json, sys
import record_legacy
record_legacy.start_tensorflow()
import tiny
tiny.export()
answers = {}
for name, argv in json.load(sys.stdin).items():
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            code = record_legacy.main(argv)
        except SystemExit as stop:
            code = stop.code
    answers[name] = [code, errors.getvalue()]
print(json.dumps(answers))
"""

SIZES = ["--image-size", "5x7", "--image-size", "4x4"]
GOOD = {
    "first": ["--builder", "tiny:tiny", *SIZES],
    "again": ["--builder", "tiny:tiny", *SIZES],
    "training": ["--builder", "tiny:tiny", "--training", *SIZES],
    "float32_only": ["--builder", "tiny:float32_only", *SIZES],
    "seeded_meta": ["--meta", "tiny.ckpt.meta", *SIZES],
    "meta": ["--meta", "tiny.ckpt.meta", "--checkpoint", "tiny.ckpt", *SIZES],
    "frozen": ["--frozen", "tiny.pb", "--input", "images:0", *SIZES],
}
BAD = {
    "no_module": (["--builder", "nowhere:net"], ["nowhere", "PYTHONPATH"]),
    "no_function": (["--builder", "tiny:nothing"], ["tiny", "nothing", "module:function"]),
    "raises": (["--builder", "tiny:broken"], ["tiny:broken", "no such layer", "--kwargs"]),
    "returns_number": (["--builder", "tiny:number"], ["int", "(net, end_points)"]),
    "bad_kwargs": (["--builder", "tiny:tiny", "--kwargs", '{"depth": 3}'], ["depth", "--kwargs"]),
    "not_json": (["--builder", "tiny:tiny", "--kwargs", "depth=3"], ["depth=3", "JSON"]),
    "no_slim": (["--builder", "tiny:tiny", "--arg-scope", "builtins:dict"], ["leave it out"]),
    "no_meta": (["--meta", "nowhere.meta"], ["nowhere.meta", "path"]),
    "not_meta": (["--meta", "tiny.py"], ["tiny.py", "MetaGraphDef"]),
    "no_checkpoint": (
        ["--meta", "tiny.ckpt.meta", "--checkpoint", "nowhere.ckpt"],
        ["nowhere.ckpt", ".index"],
    ),
    "no_input": (["--frozen", "tiny.pb", "--input", "pictures:0"], ["pictures:0", "images:0"]),
    "only_float64": (["--builder", "tiny:float32_only", "--dtype", "float64"], ["float32"]),
    "bad_size": (["--builder", "tiny:tiny", "--image-size", "64"], ["64", "HEIGHTxWIDTH"]),
    "no_folder": (["--builder", "tiny:tiny", "--output", "nowhere/x.npz"], ["nowhere/x.npz"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder that holds the module tiny."""
    path = tmp_path_factory.mktemp("user")
    (path / "tiny.py").write_text(TINY)
    return path


@pytest.fixture(scope="module")
def answers(folder):
    """{run: [exit code, what it printed]} of all GOOD and BAD runs, made in one child."""
    runs = {**GOOD, **{name: argv for name, (argv, _) in BAD.items()}}
    commands = {name: ["--output", name + ".npz", *argv] for name, argv in runs.items()}
    child = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input=json.dumps(commands),
        cwd=folder,
        text=True,
        capture_output=True,
        env={"PYTHONPATH": str(SCRIPT.parent), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)


@pytest.fixture
def read(folder, answers):
    """A function that reads the record of a GOOD run."""

    def read_run(name):
        assert answers[name][0] == 0, answers[name][1]
        return record_legacy.read_record(folder / (name + ".npz"))

    return read_run


def tiny_weights():
    shapes = {
        "weights": (1, 1, 3, 4),
        "gamma": (4,),
        "beta": (4,),
        "moving_mean": (4,),
        "moving_variance": (4,),
        "one": (4,),
        "two": (4,),
    }
    return {
        name: record_legacy.seeded_value("tiny/" + name, shape).astype(np.float64)
        for name, shape in shapes.items()
    }


def tiny_in_numpy(weights, images, is_training=False):
    """The end points of the module tiny, in float64, and the mean before batch norm."""
    net = images.astype(np.float64) @ weights["weights"][0, 0]
    mean, variance = weights["moving_mean"], weights["moving_variance"]
    if is_training:
        mean, variance = net.mean((0, 1, 2)), net.var((0, 1, 2))
    net = (net - mean) / np.sqrt(variance + 1e-3) * weights["gamma"] + weights["beta"]
    relu = np.maximum(net, 0)
    logits = relu.mean((1, 2)) * weights["one"] + weights["two"]
    exponents = np.exp(logits)
    return {
        "relu": relu,
        "output": logits,
        "after|tiny/moving_mean": mean,
        "probabilities": exponents / exponents.sum(-1, keepdims=True),
    }


def seeded_images(size):
    return record_legacy.seeded_images(tuple(int(side) for side in size.split("x")), 2, 3)


def assert_point(record, case, name, expected):
    point = record.end_point(case, name)
    tolerance = 1e-13 if case.startswith("float64") else 1e-5
    flat = expected.ravel()
    if flat.size > 64:
        flat = flat[np.linspace(0, flat.size - 1, 64).astype(int)]
    assert point["shape"] == expected.shape
    np.testing.assert_allclose(point["samples"], flat, rtol=tolerance, atol=tolerance)
    for statistic in record_legacy.STATISTICS:
        np.testing.assert_allclose(
            point[statistic], getattr(expected, statistic)(), rtol=tolerance, atol=tolerance
        )


# --- Records made on today's TensorFlow ----------------------------------------------------------


@pytest.mark.slow
def test_command_line_is_quiet(folder):
    child = subprocess.run(
        [sys.executable, SCRIPT, "--builder", "tiny:tiny", "--output", "cli.npz", *SIZES],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout == ""
    assert all(line.startswith("record_legacy: ") for line in child.stderr.splitlines())
    assert (folder / "cli.npz").exists()


def test_builder_record_describes_the_graph(read):
    info = read("first").info
    assert info["mode"] == "builder"
    assert info["builder"] == "tiny:tiny"
    assert info["kwargs"] == {"is_training": False}
    assert info["input"] == "images"
    assert info["outputs"] == ["output"]
    assert info["cases"] == ["float32|5x7", "float32|4x4", "float64|5x7", "float64|4x4"]
    assert [entry["name"] for entry in info["end_points"]] == ["relu", "probabilities", "output"]
    assert [entry["tensor"] for entry in info["end_points"]] == [
        "tiny/relu:0",
        "Softmax:0",
        "tiny/logits:0",
    ]
    assert info["regularization_losses"] == ["L2Loss"]
    assert info["update_ops"] == []
    assert info["collections"]["variables"] == len(info["variables"]) == 8
    names = [variable["name"] for variable in info["variables"]]
    assert names[:2] == ["tiny/weights", "tiny/gamma"]
    mean = next(item for item in info["variables"] if item["name"] == "tiny/moving_mean")
    assert mean["shape"] == [4]
    assert mean["dtype"] == "float32"
    assert not mean["trainable"]
    assert mean["collections"] == ["variables"]


@pytest.mark.parametrize("run", ["first", "seeded_meta"])
def test_seeded_numbers_are_right(read, run):
    record, weights = read(run), tiny_weights()
    renamed = {"tiny/relu": "relu", "tiny/logits": "output", "Softmax": "probabilities"}
    for case in record.info["cases"]:
        expected = tiny_in_numpy(weights, seeded_images(case.split("|")[1]))
        for entry in record.info["end_points"]:
            name = renamed.get(entry["name"], entry["name"])
            if name in expected:
                assert_point(record, case, entry["name"], expected[name])
        penalty = np.sum(weights["weights"] ** 2) / 2
        np.testing.assert_allclose(record.arrays[case + "|reg"], penalty, rtol=1e-6)


def test_training_records_batch_statistics_and_one_update(read):
    record = read("training")
    assert record.info["kwargs"] == {"is_training": True}
    assert record.info["training"]
    names = [entry["name"] for entry in record.info["end_points"]]
    assert names[3:] == ["after|tiny/moving_mean", "after|tiny/moving_variance"]
    for case in record.info["cases"]:
        expected = tiny_in_numpy(tiny_weights(), seeded_images(case.split("|")[1]), True)
        for name in expected:
            assert_point(record, case, name, expected[name])


def test_imported_graphs_are_rewritten_to_float64(read):
    meta, frozen = read("meta"), read("frozen")
    assert meta.info["skipped"] == frozen.info["skipped"] == {}
    assert (meta.info["weights"], frozen.info["weights"]) == ("checkpoint", "frozen")
    assert meta.info["outputs"] == ["Softmax"]
    assert frozen.info["outputs"] == ["tiny/logits"]
    for size in ("5x7", "4x4"):
        wide, same = [
            record.end_point("float64|" + size, "tiny/relu")["samples"] for record in (meta, frozen)
        ]
        narrow = meta.end_point("float32|" + size, "tiny/relu")["samples"]
        np.testing.assert_array_equal(wide, same)
        np.testing.assert_allclose(narrow, wide, rtol=1e-5, atol=1e-6)
        assert np.abs(narrow - wide).max() > 0


def test_float64_is_left_out_with_its_reason(read):
    info = read("float32_only").info
    assert info["cases"] == ["float32|5x7", "float32|4x4"]
    assert "float32" in info["skipped"]["float64"]


def test_two_runs_are_equal(read):
    first, again = read("first"), read("again")
    assert first.info == again.info
    assert sorted(first.arrays) == sorted(again.arrays)
    for name in first.arrays:
        np.testing.assert_array_equal(first.arrays[name], again.arrays[name])


@pytest.mark.parametrize("run", BAD)
def test_bad_input_is_one_sentence_and_no_file(folder, answers, run):
    code, printed = answers[run]
    assert code == 2
    last = printed.splitlines()[-1]
    assert "error: " in last
    assert "Traceback" not in printed
    assert all(text in last for text in BAD[run][1]), last
    assert not (folder / (run + ".npz")).exists()
    assert not list(folder.glob("*.tmp"))


def test_large_constants_are_emptied():
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.python.framework import tensor_util

    graph, value = GraphDef(), np.arange(2000, dtype=np.float32).reshape(40, 50)
    for name, kept in (("large", value), ("small", value[:20])):
        node = graph.node.add(name=name, op="Const")
        node.attr["value"].tensor.CopyFrom(tensor_util.make_tensor_proto(kept))
    stripped, removed = record_legacy.without_large_constants(graph)
    assert removed == [
        {
            "name": "large",
            "dtype": "float32",
            "shape": (40, 50),
            "crc32": zlib.crc32(value.tobytes()),
        }
    ]
    assert not stripped.node[0].attr["value"].tensor.tensor_content
    assert stripped.node[1] == graph.node[1]


@pytest.mark.parametrize("value", [1e-5, 1.001e-5, 0.997, 1e-4, 0.1, 2.0, 0.0, float("inf")])
def test_decimal_recovers_what_was_written(value):
    assert record_legacy.decimal(np.float32(value)) == value


def test_decimal_keeps_every_float32():
    for value in np.random.RandomState(0).standard_normal(200).astype(np.float32):
        assert np.float32(record_legacy.decimal(value)) == value


# --- Reading -------------------------------------------------------------------------------------


def test_show_prints_every_end_point(folder, answers, capsys):
    assert record_legacy.main(["--show", str(folder / "first.npz")]) == 0
    printed = capsys.readouterr().out
    assert "tiny:tiny" in printed
    assert "float64|4x4" in printed
    assert "probabilities" in printed


def test_what_is_no_record_is_refused(tmp_path, capsys):
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("other.npz", "missing.npz"):
        assert record_legacy.main(["--show", str(tmp_path / name)]) == 2
        assert name in capsys.readouterr().err
