"""TensorFlow runs graphs of TensorFlow 1.15 as that did, and in float64."""

from __future__ import annotations

import numpy as np
import pytest

from converters.files import CheckpointError
from converters.files.graphdef import parse_ref
from converters.proof.plan import Fed, GraphRunError, Plan
from converters.proof.reference import run_graph
from converters.proof.substituting import substitutions
from converters.proof.tf_graph import RunnableGraph
from slim_resnet.compat import tf

CASES = (
    "group_slices_and_depthwise",
    "input_uint8_mean_std",
    "keras_functional",
    "layers_nchw",
    "layers_placeholder",
    "layers_trained",
    "lrn",
    "partitioned",
    "saver_name_map",
    "train_cond_ema_moments",
    "unet_shape",
)


def plan_of(case, dtype, fetches=None, **options):
    fetches = tuple(fetches or case.outputs)
    replaced = substitutions(case.graph, map(parse_ref, case.inputs), map(parse_ref, fetches))
    return Plan(
        case.graph.path, fetches, case.fed, dtype,
        passed=replaced.passed, norms=replaced.norms, **options,
    )  # fmt: skip


def run_here(graph, variables, inputs, plan):
    """`run_graph` in this process, which has imported TensorFlow."""
    runnable = RunnableGraph(bytes(graph), plan)
    runnable.load({
        name: next(place.of(variables) for place in places if place.name in variables)
        for name, places in runnable.places.items()
    })  # fmt: skip
    raised = {"float32": plan.dtype}
    fed = {k: x.astype(raised.get(x.dtype.name, x.dtype)) for k, x in inputs.items()}
    return runnable, runnable.run(fed)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_a_graph_gives_what_tensorflow_1_gave(wild, difference, name, dtype):
    case = wild(name)
    plan = plan_of(case, dtype)
    _, found = run_here(case.graph.definition, case.variables, case.inputs, plan)
    for output, expected in case.outputs.items():
        assert found[output].dtype == dtype
        assert difference(found[output], expected) < 1e-5, output


def test_a_process_of_its_own_gives_the_same(wild, difference):
    case = wild("layers_trained")
    found = run_graph(
        case.graph.definition, case.variables, [case.inputs], plan_of(case, "float64")
    )
    for output, expected in case.outputs.items():
        assert difference(found.values[0][output], expected) < 1e-5


@pytest.mark.parametrize("name", ["layers_placeholder", "keras_functional", "unet_shape"])
def test_values_within_are_the_graphs(wild, difference, name):
    case = wild(name)
    samples = {k: v for k, v in case.samples.items() if "random" not in k and v.dtype.kind == "f"}
    plan = plan_of(case, "float64", [*case.outputs, *samples])
    _, found = run_here(case.graph.definition, case.variables, case.inputs, plan)
    for value, expected in samples.items():
        flat = found[value].ravel()
        some = flat[np.linspace(0, flat.size - 1, len(expected)).astype(int)]
        assert np.abs(some - expected).max() <= 1e-5 * np.abs(flat).max(), value


def test_what_tells_training_from_inference_is_fed(wild):
    case = wild("layers_placeholder")
    runnable, _ = run_here(
        case.graph.definition, case.variables, case.inputs, plan_of(case, "float64")
    )
    assert runnable.fed == case.about["also_fed"]


# Operations, made by today's TensorFlow; what they compute in float32 is its own word.


def session_run(build, x, dtype="float32"):
    """What `build(x)` makes of an array, by a plain session, and the graph."""
    with tf.Graph().as_default() as graph, tf.Session() as session:
        image = tf.placeholder(x.dtype, [None, *x.shape[1:]], name="image")
        tf.identity(build(image), name="out")
        session.run(tf.global_variables_initializer())
        values = dict(zip(
            [v.op.name for v in tf.global_variables()], session.run(tf.global_variables()),
            strict=True,
        ))  # fmt: skip
        return session.run("out:0", {image: x}), graph.as_graph_def(), values


def kernel(*shape):
    return tf.constant(np.random.default_rng(1).standard_normal(shape).astype(np.float32))


def batch_norm(x, **options):
    numbers = np.random.default_rng(2).uniform(0.5, 2, (4, 3)).astype(np.float32)
    return tf.nn.fused_batch_norm(x, *map(tf.constant, numbers), epsilon=0.01, **options)[0]


def branches(x):
    """tf.cond on a placeholder, as cond_v2 writes it: functions in the graph's library."""
    training = tf.placeholder(tf.bool, name="is_training")
    return tf.cond(training, lambda: tf.nn.dropout(x, rate=0.5) * 3, lambda: batch_norm(x) * 2)


def called(x):
    @tf.function
    def twice(value):
        first, second = tf.split(value, [1, 2], axis=3)
        return tf.concat([second, first * 2.5], axis=3)

    return twice(x)


def variable(x):
    scale = tf.get_variable("scale", [3], initializer=tf.constant_initializer([1, 2, 3.0]))
    return x * scale


def resource_variable(x):
    scale = tf.get_variable(
        "scale", [3], initializer=tf.constant_initializer([1, 2, 3.0]), use_resource=True
    )
    return x * scale


OPERATIONS = {
    "grouped": lambda x: tf.nn.conv2d(tf.concat([x, x], 3), kernel(3, 3, 3, 4), 2, "SAME"),
    "dilated": lambda x: tf.nn.conv2d(x, kernel(3, 3, 3, 4), 1, "SAME", dilations=2),
    "explicit": lambda x: tf.nn.conv2d(x, kernel(3, 3, 3, 4), 2, [[0, 0], [1, 2], [0, 1], [0, 0]]),
    "depthwise": lambda x: tf.nn.depthwise_conv2d(x, kernel(3, 3, 3, 2), [1, 2, 2, 1], "SAME"),
    "transposed": lambda x: tf.nn.conv2d_transpose(
        x, kernel(3, 3, 4, 3), tf.stack([tf.shape(x)[0], 18, 14, 4]), 2, "SAME"
    ),
    "lrn": lambda x: tf.nn.lrn(tf.concat([x, -x, x * x], 3), 2, 1.5, 0.3, 0.75),
    "leaky": lambda x: tf.nn.leaky_relu(x, 0.3),
    "batch norm": batch_norm,
    "batch norm of the batch": lambda x: tf.nn.fused_batch_norm(x, [1.0] * 3, [0.5] * 3)[0],
    "cond": branches,
    "function": called,
    "variable": variable,
    "resource variable": resource_variable,
    **{
        f"bilinear {size} {name}": lambda x, size=size, option=option: tf.image.resize_bilinear(
            x, size, **option
        )
        for size in ((18, 5), (3, 13), (1, 1))
        for name, option in {
            "": {}, "corners": {"align_corners": True}, "half": {"half_pixel_centers": True},
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_in_float64_is_that_of_float32(difference, name):
    x = np.random.default_rng(0).standard_normal((2, 9, 7, 3)).astype(np.float32)
    build = OPERATIONS[name]
    if name == "cond":
        expected, _, _ = session_run(lambda x: batch_norm(x) * 2, x)
        with tf.Graph().as_default() as graph:
            tf.identity(build(tf.placeholder(tf.float32, [None, 9, 7, 3], name="image")), "out")
        definition, values = graph.as_graph_def(), {}
    else:
        expected, definition, values = session_run(build, x)
    plan = Plan("it", ("out",), {"image": Fed("float32", (None, None, None, 3))}, "float64")
    runnable, found = run_here(definition.SerializeToString(), values, {"image": x}, plan)
    assert not runnable.in_float32
    assert found["out"].dtype == np.float64
    assert difference(found["out"], expected) < 1e-6


FIRST = ("conv", "depthwise", "pool", "average", "bias", "batch norm", "transposed")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", FIRST)
def test_channels_first_is_the_same_as_channels_last(difference, kind, dtype):
    def build(x, order):
        sides = {"data_format": order}

        def axes(h, w):
            return [1, h, w, 1] if order == "NHWC" else [1, 1, h, w]

        if kind == "conv":
            return tf.nn.conv2d(x, kernel(3, 3, 3, 4), axes(2, 1), "SAME", **sides)
        if kind == "depthwise":
            strides = axes(2, 2)
            return tf.nn.depthwise_conv2d_native(x, kernel(3, 3, 3, 2), strides, "SAME", **sides)
        if kind == "pool":
            return tf.nn.max_pool(x, axes(3, 2), axes(2, 1), "SAME", **sides)
        if kind == "average":
            return tf.nn.avg_pool(x, axes(2, 3), axes(1, 2), "SAME", **sides)
        if kind == "bias":
            return tf.nn.bias_add(x, [1.0, 2, 3], **sides)
        if kind == "batch norm":
            return batch_norm(x, is_training=False, **sides)
        shape = [2, 18, 7, 4] if order == "NHWC" else [2, 4, 18, 7]
        return tf.nn.conv2d_transpose(x, kernel(3, 3, 4, 3), shape, axes(2, 1), "SAME", **sides)

    x = np.random.default_rng(0).standard_normal((2, 9, 7, 3)).astype(np.float32)
    expected, _, _ = session_run(lambda image: build(image, "NHWC"), x)
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.float32, [None, 3, 9, 7], name="image")
        tf.identity(build(image, "NCHW"), name="out")
    definition = graph.as_graph_def().SerializeToString()
    plan = Plan("it", ("out",), {"image": Fed("float32", (None, 3, None, None))}, dtype)
    _, found = run_here(definition, {}, {"image": np.moveaxis(x, 3, 1)}, plan)
    assert difference(np.moveaxis(found["out"], 1, 3), expected) < 1e-6


def test_what_has_no_float64_is_said():
    x = np.random.default_rng(0).standard_normal((2, 9, 7, 3)).astype(np.float32)
    expected, definition, _ = session_run(
        lambda x: tf.image.resize_bicubic(x, (18, 14), name="cubic") + 1, x
    )
    plan = Plan("it", ("out",), {"image": Fed("float32", (None, None, None, 3))}, "float64")
    runnable, found = run_here(definition.SerializeToString(), {}, {"image": x}, plan)
    assert runnable.in_float32 == ["cubic"]
    np.testing.assert_allclose(found["out"], expected, rtol=1e-5)


def test_a_number_is_what_was_written_in_the_code():
    _, definition, _ = session_run(lambda x: x * 0.1, np.ones((1, 1), np.float32))
    plan = Plan("it", ("out",), {"image": Fed("float32", (None, 1))}, "float64")
    _, found = run_here(
        definition.SerializeToString(), {}, {"image": np.ones((1, 1), np.float32)}, plan
    )
    assert found["out"] == 0.1


@pytest.mark.parametrize(
    ("drop", "value"),
    [
        (lambda x, p: tf.floor(p + tf.random.uniform(tf.shape(x))) * x / p, 1.0),
        (lambda x, p: tf.nn.dropout(x, keep_prob=p), 1.0),
        (lambda x, p: tf.nn.dropout(x, rate=p), 0.0),
        (lambda x, p: tf.nn.dropout(x, rate=1 - p), 1.0),
    ],
)
def test_a_dropout_whose_share_is_fed_drops_nothing(drop, value):
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.float32, [None, 5], name="image")
        tf.identity(drop(image, tf.placeholder(tf.float32, [], name="share")), name="out")
    x = np.arange(1, 11, dtype=np.float32).reshape(2, 5)
    plan = Plan("it", ("out",), {"image": Fed("float32", (None, 5))}, "float64")
    definition = graph.as_graph_def().SerializeToString()
    runnable, found = run_here(definition, {}, {"image": x}, plan)
    assert runnable.fed == {"share": value}
    np.testing.assert_array_equal(found["out"], x)


# What cannot be run.


def graph_of(build):
    with tf.Graph().as_default() as graph:
        image = tf.placeholder(tf.float32, [None, 8, 8, 3], name="image")
        tf.identity(build(image), name="out")
    return graph.as_graph_def()


def plan_for(*fetches):
    return Plan("model.meta", fetches, {"image": Fed("float32", (None, None, None, 3))}, "float64")


def test_an_operation_of_contrib_elsewhere_does_not_matter():
    definition = graph_of(lambda x: tf.exp(x * 2, name="unknown") + x)
    for node in definition.node:
        if node.name == "unknown":
            node.op = "PeriodicResample"
    x = np.ones((1, 8, 8, 3), np.float32)
    run_here(definition.SerializeToString(), {}, {"image": x}, plan_for("mul"))
    with pytest.raises(CheckpointError, match="'unknown' is of the kind PeriodicResample"):
        RunnableGraph(definition.SerializeToString(), plan_for("out"))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda x: x * tf.placeholder(tf.float32, [], name="temperature"), "'temperature' is need"),
        (lambda x: tf.while_loop(lambda i: i[0, 0, 0, 0] < 9, lambda i: i + 1, [x]), "loop"),
    ],
)
def test_what_cannot_be_run_is_named(build, reason):
    tf.disable_control_flow_v2()
    try:
        definition = graph_of(build).SerializeToString()
    finally:
        tf.enable_control_flow_v2()
    with pytest.raises(CheckpointError, match=reason):
        RunnableGraph(definition, plan_for("out"))


def test_an_operation_that_is_not_there_is_named():
    with pytest.raises(CheckpointError, match="no operation 'logits'"):
        RunnableGraph(graph_of(lambda x: x).SerializeToString(), plan_for("logits"))


def test_images_that_the_graph_does_not_take_are_an_error():
    definition = graph_of(lambda x: tf.matmul(tf.reshape(x, [-1, 192]), kernel(192, 2)))
    runnable = RunnableGraph(definition.SerializeToString(), plan_for("out"))
    runnable.load({})
    with pytest.raises(GraphRunError, match="model.meta"):
        runnable.run({"image": np.ones((1, 9, 7, 3))})
    assert runnable.run({"image": np.ones((1, 8, 8, 3))})["out"].shape == (1, 2)


def test_a_variable_that_the_checkpoint_lacks_is_named(wild):
    case = wild("layers_trained")
    variables = {name: case.variables[name] for name in case.variables if "kernel" not in name}
    with pytest.raises(CheckpointError, match=r"reads the variable '\S*kernel'"):
        run_graph(case.graph.definition, variables, [case.inputs], plan_of(case, "float64"))


def test_a_variable_of_another_shape_is_named(wild):
    case = wild("layers_trained")
    runnable = RunnableGraph(bytes(case.graph.definition), plan_of(case, "float64"))
    arrays = {name: places[0].of(case.variables) for name, places in runnable.places.items()}
    name = next(name for name in arrays if "kernel" in name)
    with pytest.raises(CheckpointError, match=f"its variable '{name}' has the shape"):
        runnable.load({**arrays, name: arrays[name][..., :-1]})


def test_a_graph_on_which_tensorflow_aborts_is_an_error(wild):
    """The places of a slice as doubles: a check in TensorFlow's C++ ends the process."""
    case = wild("unet_shape")
    graph = tf.GraphDef.FromString(bytes(case.graph.definition))
    node = next(node for node in graph.node if node.name == "up1/strided_slice/stack")
    node.attr["dtype"].type = tf.float64.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto([0.0], tf.float64))
    plan = plan_of(case, "float32")
    with pytest.raises(CheckpointError, match=f"{case.graph.path}: "):
        run_graph(graph.SerializeToString(), case.variables, [case.inputs], plan)


def test_an_operation_that_reads_nothing_by_name_is_an_error(wild):
    case = wild("lrn")
    graph = tf.GraphDef.FromString(bytes(case.graph.definition))
    next(node for node in graph.node if node.name == "logits/BiasAdd").input.append("")
    with pytest.raises(CheckpointError, match="has no operation ''"):
        RunnableGraph(graph.SerializeToString(), plan_of(case, "float32"))
