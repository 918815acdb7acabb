"""Where networks begin and end: as asked, as signatures say, as graphs show."""

from __future__ import annotations

import pytest
from built import kinds

from converters.files import CheckpointError
from converters.files.graph_files import read_saved_model
from converters.graphs import read_network

pytest.importorskip("tensorflow")


def conv(tf, x, name, channels=4):
    weights = tf.get_variable(f"{name}/weights", [3, 3, x.shape[-1], channels])
    x = tf.nn.conv2d(x, weights, strides=[1, 1, 1, 1], padding="SAME", name=f"{name}/Conv2D")
    return tf.nn.relu(x, name=f"{name}/Relu")


def image(tf, name="image"):
    return tf.placeholder(tf.float32, [None, 9, 11, 3], name)


def classifier(tf, x):
    x = conv(tf, x, "one")
    x = tf.reduce_mean(x, [1, 2])
    logits = tf.matmul(x, tf.get_variable("logits/weights", [4, 5]), name="logits")
    return logits, tf.nn.softmax(logits, name="probabilities")


def training(tf):
    """Labels, two losses, a metric, summaries, moving averages and an optimizer."""
    logits, probabilities = classifier(tf, image(tf))
    labels = tf.placeholder(tf.int64, [None], "labels")
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    weights = tf.global_variables()[0]
    total = tf.reduce_mean(loss, name="loss") + tf.nn.l2_loss(weights, name="decay")
    correct = tf.equal(tf.argmax(probabilities, 1), labels)
    tf.reduce_mean(tf.cast(correct, tf.float32), name="accuracy")
    tf.summary.scalar("sparsity", tf.nn.zero_fraction(probabilities))
    tf.summary.histogram("logits", logits)
    step = tf.train.MomentumOptimizer(0.1, 0.9).minimize(total, name="train")
    with tf.control_dependencies([step]):
        tf.train.ExponentialMovingAverage(0.9).apply(tf.trainable_variables())


def test_a_training_ends_in_its_predictions(build):
    network = read_network(build(training).graph)
    assert network.outputs == ("probabilities",)
    assert [each.name for each in network.inputs] == ["image"]
    assert "logits" in network.others
    assert kinds(network) == ["conv", "relu", "mean", "dense", "softmax"]
    assert any("Nobody said" in note and "probabilities" in note for note in network.notes)


def test_what_only_a_loss_reads_is_an_output(build):
    def make(tf):
        logits = conv(tf, image(tf), "one")
        labels = tf.placeholder(tf.float32, [None, 9, 11, 4], "labels")
        tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits))

    assert read_network(build(make).graph).outputs == ("one/Relu",)


def test_an_autoencoder_ends_before_its_loss(build):
    def make(tf):
        x = image(tf)
        decoded = conv(tf, conv(tf, x, "encoder"), "decoder", 3)
        loss = tf.reduce_mean(tf.square(x - decoded))
        tf.train.GradientDescentOptimizer(0.1).minimize(loss)

    assert read_network(build(make).graph).outputs == ("decoder/Relu",)


def test_several_heads_are_several_outputs(build):
    def make(tf):
        x = conv(tf, image(tf), "trunk")
        conv(tf, x, "locations")
        tf.sigmoid(conv(tf, x, "scores"), name="probability")

    network = read_network(build(make).graph)
    assert set(network.outputs) == {"locations/Relu", "probability"}


def test_copies_and_parts_without_a_name_are_no_outputs(build):
    """As tf.nn.swish leaves one beside each activation; what has a name was made to be found."""

    def make(tf):
        x = conv(tf, image(tf), "zero")
        tf.identity(x)
        tf.identity(x, name="features")
        logits, _ = classifier(tf, x)
        tf.identity(logits[:, 0])

    assert set(read_network(build(make).graph).outputs) == {"features", "probabilities"}


def test_a_part_without_a_name_is_an_output_where_it_is_the_last(build):
    assert read_network(build(lambda tf: conv(tf, image(tf), "one")[:, 0]).graph).outputs == (
        "strided_slice",
    )


def test_towers_are_one_network(build):
    def make(tf):
        x = tf.placeholder(tf.float32, [4, 9, 11, 3], "images")
        for i, part in enumerate(tf.split(x, 2)):
            with tf.name_scope(f"tower_{i}"), tf.variable_scope("net", reuse=i > 0):
                conv(tf, part, "one")

    network = read_network(build(make).graph)
    assert network.outputs == ("tower_0/net/one/Relu",)
    assert [(each.name, each.shape) for each in network.inputs] == [("split", (None, 9, 11, 3))]
    assert "tower_1/net/one/Relu" in network.others
    assert any("towers" in note for note in network.notes)


def test_an_iterator_is_an_input_and_its_augmentation_no_part(build):
    def make(tf):
        import numpy as np

        def augment(x, label):
            return tf.image.random_flip_left_right(x), label

        images = np.zeros((6, 9, 11, 3), np.float32)
        data = tf.data.Dataset.from_tensor_slices((images, np.zeros(6, np.int64)))
        x, label = tf.data.make_one_shot_iterator(data.map(augment).batch(3)).get_next()
        logits, _ = classifier(tf, x * 2 - 1)
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=logits)

    network = read_network(build(make).graph)
    assert [(each.name, each.shape) for each in network.inputs] == [
        ("IteratorGetNext", (None, 9, 11, 3))
    ]
    assert network.outputs == ("probabilities",)
    assert kinds(network)[:4] == ["parameter", "mul", "parameter", "sub"]


def test_a_queue_is_an_input(build):
    def make(tf):
        queue = tf.FIFOQueue(10, [tf.float32, tf.int32], shapes=[[9, 11, 3], []])
        x, _ = queue.dequeue_many(4)
        classifier(tf, x)

    network = read_network(build(make).graph)
    assert [each.shape for each in network.inputs] == [(None, 9, 11, 3)]


def test_outputs_come_in_the_order_asked_for(build):
    built = build(lambda tf: classifier(tf, image(tf)), "probabilities", "one/Relu", "logits")
    network = built.read()
    assert network.outputs == ("probabilities", "one/Relu", "logits")
    assert not network.others
    assert built.error(network) < 1e-5


def test_an_inner_operation_is_an_input(build):
    built = build(lambda tf: classifier(tf, image(tf)), "one/Relu", "logits")
    network = built.read("logits", inputs=("one/Relu:0",))
    assert [(each.name, each.shape) for each in network.inputs] == [("one/Relu", (None, 9, 11, 4))]
    assert kinds(network) == ["mean", "dense"]
    built.fed = {"one/Relu": built.computed["one/Relu"]}
    assert built.error(network) < 1e-5


def test_an_output_that_hands_on_has_its_name(build):
    def make(tf):
        logits, _ = classifier(tf, image(tf))
        tf.identity(logits, "output_node")

    built = build(make, "output_node")
    network = built.read()
    assert (network.layers[-1].name, network.layers[-1].kind) == ("output_node", "identity")
    assert built.error(network) < 1e-5


@pytest.mark.parametrize("wrong", ["probabilitis", "Probabilities", "Relu"])
def test_unknown_names_have_near_ones(build, wrong):
    built = build(lambda tf: classifier(tf, image(tf)))
    near = "one/Relu" if wrong == "Relu" else "probabilities"
    with pytest.raises(CheckpointError, match=f"no operation '{wrong}'; did you mean .*{near}"):
        built.read(wrong)


def test_inputs_have_to_be_those_of_the_outputs(build):
    def make(tf):
        one, two = (conv(tf, image(tf, name), f"of_{name}") for name in ("left", "right"))
        tf.add(one, two, "both")

    built = build(make)
    with pytest.raises(CheckpointError, match="need the input 'right' as well"):
        built.read("both", inputs=("left",))
    with pytest.raises(CheckpointError, match="do not depend on its input 'right'"):
        built.read("of_left/Relu", inputs=("left", "right"))
    network = built.read("both", inputs=("right", "left"))
    assert [each.name for each in network.inputs] == ["right", "left"]


def test_a_graph_without_layers_has_no_outputs(build):
    with pytest.raises(CheckpointError, match="choose outputs"):
        read_network(build(lambda tf: tf.nn.relu(image(tf))).graph)


def test_a_saved_model_says_its_ends(tmp_path):
    import tensorflow

    tf = tensorflow.compat.v1
    with tf.Graph().as_default(), tf.Session() as session:
        x = image(tf)
        logits, probabilities = classifier(tf, x)
        session.run(tf.global_variables_initializer())
        tf.saved_model.simple_save(
            session, str(tmp_path / "saved"), {"x": x}, {"p": probabilities, "l": logits}
        )
    graph = read_saved_model(str(tmp_path / "saved" / "saved_model.pb"))
    network = read_network(graph)
    assert set(network.outputs) == {"probabilities", "logits"}
    assert [each.name for each in network.inputs] == ["image"]
    signature = graph.signatures["serving_default"]
    assert (signature.inputs, signature.outputs["p"]) == ({"x": "image:0"}, "probabilities:0")
