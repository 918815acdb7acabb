"""What is the same in every version of TensorFlow, and what only looks like it."""

from __future__ import annotations

import numpy as np
import pytest

from slim_resnet.compat import slim, tf
from slim_resnet.regression.canonical import canonicalize
from slim_resnet.regression.graph_diff import compare
from tests.slim_resnet.regression.graphs import build, differences

SIZES = [(9, 9), (8, 11), (13, 6)]


def kernel(size=3, depth=4):
    return tf.get_variable("weights", [size, size, 3, depth])


def by_batch(rate, padding, size=3):
    """Slim's atrous convolution: over the batch, where the size of the image is not known."""
    return lambda images: tf.nn.convolution(images, kernel(size), padding, dilation_rate=[rate] * 2)


def dilated(rate, padding, size=3):
    return lambda images: tf.nn.conv2d(images, kernel(size), 1, padding, dilations=[rate] * 2)


def through(paddings, crops):
    """An atrous convolution of rate 2 with paddings and crops of one's own."""

    def network(images):
        split = tf.space_to_batch_nd(images, [2, 2], paddings)
        return tf.batch_to_space_nd(tf.nn.conv2d(split, kernel(), 1, "VALID"), [2, 2], crops)

    return network


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("rate", "size"), [(2, 3), (4, 3), (3, 5), (2, 2)])
@pytest.mark.parametrize("shape", [(None, None, None, 3), (2, 13, 14, 3)])
def test_atrous_convolution_over_the_batch_is_a_dilated_one(padding, rate, size, shape):
    graph, _ = build(by_batch(rate, padding, size))
    assert any(op.type == "SpaceToBatchND" for op in graph.get_operations())
    now = by_batch(rate, padding, size)
    assert differences(now, dilated(rate, padding, size), shape=shape) == []
    assert differences(now, dilated(rate + 1, padding, size), shape=shape) != []


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_the_two_forms_compute_the_same(padding):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float64, [None, None, None, 3])
        with tf.variable_scope("net", reuse=tf.AUTO_REUSE):
            weights = tf.get_variable("weights", [3, 3, 3, 4], tf.float64)
            forms = [
                tf.nn.convolution(images, weights, padding, dilation_rate=[2, 2]),
                tf.nn.conv2d(images, weights, 1, padding, dilations=[2, 2]),
            ]
        session.run(tf.global_variables_initializer())
        for size in SIZES:
            values = np.random.RandomState(1).standard_normal((2, *size, 3))
            by_batch, native = session.run(forms, {images: values})
            np.testing.assert_allclose(by_batch, native, rtol=0, atol=1e-13)


def test_unusual_padding_is_explicit():
    explicit = [[0, 0], [3, 3], [1, 1], [0, 0]]
    now = through([[3, 3], [1, 1]], [[0, 0], [0, 0]])
    assert differences(now, dilated(2, explicit)) == []
    assert differences(now, dilated(2, "SAME")) == [
        "Conv2D: explicit_paddings [0, 0, 3, 3, 1, 1, 0, 0] where the record has []; "
        "padding EXPLICIT where the record has SAME"
    ]


@pytest.mark.parametrize(
    ("paddings", "crops"),
    [
        ([[2, 2], [2, 2]], [[1, 0], [0, 0]]),  # drops rows at the top
        ([[2, 2], [2, 2]], [[0, 3], [0, 0]]),  # drops more than was added
    ],
)
def test_what_is_no_dilated_convolution_is_not_taken_for_one(paddings, crops):
    assert differences(through(paddings, crops), dilated(2, "SAME"))[0].startswith(
        "net: is BatchToSpaceND BatchToSpaceND where the record has Conv2D Conv2D"
    )


def test_paddings_that_the_crops_do_not_undo_are_no_dilated_convolution():
    def network(images):
        filled = 2 + tf.shape(images)[1] % 2
        return through([[2, filled], [2, filled]], [[0, 0], [0, 0]])(images)

    assert "BatchToSpaceND" in differences(network, dilated(2, "SAME"))[0]


def test_paddings_that_are_fed_are_no_dilated_convolution():
    def network(images):
        other = tf.placeholder(tf.int32, [2, 2], name="other")
        return through(other, [[0, 0], [0, 0]])(images)

    assert "BatchToSpaceND" in differences(network, dilated(2, "SAME"))[0]


def norm(op, training, epsilon=1e-3, factor=None):
    def network(images):
        mean = tf.get_variable("mean", [3])
        given = [mean, mean] if factor else [tf.zeros([0]), tf.zeros([0])]
        more = {"exponential_avg_factor": factor} if factor else {}
        ones = tf.get_variable("ones", [3])
        moving = given if training else [mean, mean]
        return getattr(tf.raw_ops, op)(
            x=images, scale=ones, offset=ones, mean=moving[0], variance=moving[1],
            epsilon=epsilon, is_training=training, **more,
        ).y  # fmt: skip

    return network


def variable(resource):
    return lambda images: images + tf.get_variable("v", [3], use_resource=resource)


def raw(op, **kwargs):
    return lambda images: getattr(tf.raw_ops, op)(**kwargs, **{_first(op): images})


def _first(op):
    return {"Add": "x", "AddV2": "x", "Pad": "input", "PadV2": "input"}[op]


PADS = [[0, 0], [1, 1], [1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (raw("AddV2", y=[1.0]), raw("Add", y=[1.0])),
        (raw("PadV2", paddings=PADS, constant_values=0.0), raw("Pad", paddings=PADS)),
        (norm("FusedBatchNormV3", False), norm("FusedBatchNorm", False)),
        # Given statistics play no part in training with a factor of 1, but do with another.
        (norm("FusedBatchNormV3", True, factor=1.0), norm("FusedBatchNormV2", True)),
        (norm("FusedBatchNormV3", False, 1e-5), norm("FusedBatchNormV3", False, 1.001e-5)),
        (variable(True), variable(False)),
        (lambda x: tf.nn.relu(tf.identity(x)), tf.nn.relu),
        (lambda x: 2 * [tf.nn.relu(x)], lambda x: [tf.nn.relu(x), tf.nn.relu(x)]),
    ],
)
def test_the_same(now, then):
    assert differences(now, then) == []


@pytest.mark.parametrize(
    ("now", "then", "expected"),
    [
        (raw("PadV2", paddings=PADS, constant_values=1.0), raw("Pad", paddings=PADS),
         "PadV2 (Pad): input 2 is float32 constant 1.0 where the record has nothing"),
        (norm("FusedBatchNormV3", True, factor=0.5), norm("FusedBatchNormV3", True, factor=1.0),
         "FusedBatchNormV3: exponential_avg_factor 0.5 where the record has 1.0; "
         "input 3 is variable mean [3] where the record has nothing; "
         "input 4 is variable mean [3] where the record has nothing"),
        (raw("AddV2", y=[1.0]), raw("AddV2", y=[2.0]),
         "AddV2: input 1 is float32 constant [1.0] where the record has float32 constant [2.0]"),
        (lambda x: tf.nn.relu(tf.stop_gradient(x)), tf.nn.relu,
         "Relu: input 0 is StopGradient StopGradient where the record has input images"),
        (lambda x: tf.cast(x, tf.float16), lambda x: tf.cast(x, tf.float64),
         "Cast: DstT float16 where the record has float64"),
        (lambda x: tf.nn.relu(tf.split(x, 3, 3)[0]), lambda x: tf.nn.relu(tf.split(x, 3, 3)[1]),
         "Relu: input 0 is Split split where the record has Split split:1"),
    ],
)  # fmt: skip
def test_not_the_same(now, then, expected):
    assert differences(now, then)[0].startswith(expected)


def test_which_output_of_an_op_is_meant():
    def form(index):
        graph, _ = build(lambda x: tf.split(x, 3, 3, name="split")[0])
        return canonicalize(graph, {"net": graph.get_tensor_by_name(f"split:{index}")})

    assert [str(d) for d in compare(form(0), form(2))] == [
        "net: is Split split where the record has Split split:2"
    ]
    assert compare(form(2), form(2)) == []


def test_large_constants_are_compared_by_their_checksums():
    ones = np.ones([1100], np.float32)
    twos = 2 * ones

    def plus(value):
        return lambda images: tf.reduce_sum(images) + tf.constant(value)

    assert differences(plus(ones), plus(ones)) == []
    assert "constant [1100] with CRC-32" in differences(plus(ones), plus(twos))[0]


def test_the_contents_of_an_emptied_constant_are_those_of_its_checksum():
    value = np.ones([1100], np.float32)
    graph, op = build(lambda images: tf.reduce_sum(images) + tf.constant(value, name="c"))
    full = canonicalize(graph, {"net": op})
    expected = full.roots["net"].node.inputs[1].value
    emptied = canonicalize(graph, {"net": op}, checksums={"c": expected + 1})
    assert emptied.roots["net"].node.inputs[1].value == expected + 1
    assert compare(full, emptied) != []


def test_a_loop_is_refused():
    tf.disable_control_flow_v2()
    try:
        graph, op = build(lambda x: tf.while_loop(lambda i: i < 3, lambda i: i + 1, [x]), shape=())
    finally:
        tf.enable_control_flow_v2()
    with pytest.raises(ValueError, match="part of a loop"):
        canonicalize(graph, {"net": op})


def test_slim_adds_nothing_of_its_own():
    def network(images):
        with slim.arg_scope([slim.conv2d], activation_fn=None, biases_initializer=None):
            return slim.conv2d(images, 4, 3, rate=2, scope="conv")

    def plain(images):
        with tf.variable_scope("conv"):
            return dilated(2, "SAME")(images)

    assert differences(network, plain) == []
