"""Facts of graphs that today's TensorFlow builds are the fields of the Arch behind them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from converters.files import CheckpointError, graph_for
from converters.files.graph_files import read_graph
from converters.graphs import graph_facts
from converters.graphs.facts import NormFact, Window
from slim_resnet.arch import with_facts
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.facts import TOLD

CASES = [
    ("resnet_v1_18", {}),
    ("resnet_v1_18", {"convention": "torchvision"}),
    ("resnet_v1_18", {"output_stride": 16}),
    ("resnet_v1_50", {"output_stride": 8, "convention": "torchvision"}),
    ("resnext_v1_50", {"output_stride": 8, "batch_norm_epsilon": 1e-3}),
    ("resnet_v2_50", {"output_stride": 16}),
    ("resnet_cifar_20_b", {}),
    ("resnext_29_8x64d", {}),
    ("resnext_cifar", {}),
    # SimCLR and the official v1.5; Caffe and keras.applications; tf-faster-rcnn
    ("resnet_v1_50", {"stride_unit": "first"}),
    ("resnet_v1_50", {"stride_unit": "first", "stride_conv": "conv1", "conv_bias": "all"}),
    ("resnet_v1_18", {"root_pool": "symmetric", "stride_conv": "conv2"}),
    ("resnet_v1_18", {"stride_unit": "first", "root_padding": "same", "conv_padding": "same"}),
    ("resnet_v1_18", {"root_padding": "valid", "root_pool": "valid", "root_kernel": 5}),
    ("resnet_v1_18", {"root_stride": 1, "root_pool": "none", "root_kernel": 4}),
    ("resnet_v1_18", {"root_block": False, "input_channels": 6, "global_pool": False}),
    ("resnet_v1_18", {"root_pool": "zeros", "activation": "elu", "unit_activation": "none"}),
    ("resnet_v1_50", {"activation": "leaky_relu", "activation_slope": 0.1, "input_channels": 1}),
    ("resnet_v1_50", {"activation": "swish", "unit_activation": "selu", "batch_norm_scale": False}),
    ("resnext_v1_50", {"activation": "relu6", "use_bounded_activations": True}),
    ("resnext_v1_50", {"form": "branches", "activation": "tanh", "unit_activation": "relu6"}),
    ("resnext_v1_50", {"form": "concat", "stride_unit": "first", "conv_bias": "units"}),
    ("resnet_v2_50", {"root_pool": "zeros", "activation": "sigmoid", "unit_activation": "elu"}),
    ("resnet_v1_18", {"shortcut": "block_projection", "stride_unit": "first"}),
    ("resnet_v2_50", {"shortcut": "block_projection", "plain_bias": False}),
    ("resnet_v2_50", {"use_batch_norm": False, "batch_norm_center": False, "num_classes": None}),
    ("resnet_v1_18", {"global_pool": False, "use_batch_norm": False, "conv_bias": "none"}),
    ("resnet_v1_18", {"logits_layer": "dense", "logits_bias": False, "conv_bias": "root"}),
    ("resnet_v1_50", {"output_stride": 16, "multi_grid": "1,2,4", "global_pool": False}),
    ("resnet_v1_50", {"output_stride": 16, "multi_grid": "1,2,4", "stride_unit": "first"}),
    ("resnet_v1_18", {"multi_grid": "2,4"}),
    ("resnet_v1_18", {"strides": "3,1,2,1"}),
    # ResNet-D: a deep stem, and pooling before strided projections
    ("resnet_v1_50_d", {}),
    ("resnet_v1_18", {"shortcut": "average_projection", "stride_unit": "first"}),
    ("resnet_v1_18", {"deep_stem": (3, 2), "root_kernel": 3, "root_padding": "valid"}),
    ("resnet_v2_50", {"shortcut": "average_projection", "stride_unit": "first"}),
    ("se_resnet_v1_50", {"convention": "torchvision"}),
    ("se_resnext_v1_50", {"activation": "elu", "form": "branches"}),
    ("se_resnext_v1_50", {"form": "concat", "use_batch_norm": False}),
]
# Field of an Arch that variables do not tell -> its default, which is slim's.
DEFAULTS = {f.name: f.default for f in dataclasses.fields(Arch) if f.name in TOLD}


def brief(arch):
    """The same with two units a block, and three in the last."""
    counts = [2] * (len(arch.stages) - 1) + [3]
    stages = (
        dataclasses.replace(stage, num_units=min(stage.num_units, count))
        for stage, count in zip(arch.stages, counts, strict=True)
    )
    return arch.replace(stages=tuple(stages))


def unknowing(arch):
    """`arch` as its weights alone tell it."""
    slims = {**DEFAULTS, "batch_norm_epsilon": 0.5, "batch_norm_decay": arch.batch_norm_decay}
    if arch.family not in ("resnet_v1", "resnet_v2", "resnext_v1"):  # nets for small images
        slims = {"output_stride": None, "batch_norm_epsilon": 0.5}
    elif not (arch.use_batch_norm or arch.kind.preact):
        slims["batch_norm_epsilon"] = arch.batch_norm_epsilon  # of nothing
    if arch.shortcut == "block_projection":  # whose weights are there
        slims.pop("shortcut", None)
    strides = (2,) * (len(arch.stages) - 1) + (1,)
    if slims.get("stride_unit") == "last":
        slims["stages"] = tuple(
            dataclasses.replace(stage, stride=stride, unit_rates=())
            for stage, stride in zip(arch.stages, strides, strict=True)
        )
    return arch.replace(**slims)


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_read_back(narrow, save_meta, name, changes):
    if name == "resnext_cifar":
        from slim_resnet.arch import resnext_cifar

        arch = resnext_cifar(2, 4)
    else:
        told = {key: value for key, value in changes.items() if key in TOLD}
        others = {key: value for key, value in changes.items() if key not in TOLD}
        arch = with_facts(brief(narrow(name, base=2, most_units=3)).replace(**others), told)
    facts = graph_facts(graph_for(save_meta(arch)))
    assert facts.apply(unknowing(arch)) == arch
    groups = {conv.groups for conv in facts.convs if conv.window.kernel == (3, 3)}
    if arch.form == "grouped":
        assert groups - {None} == {arch.cardinality}


@pytest.mark.parametrize("arguments", [{"dtype": "float64"}, {"is_training": True}])
def test_read_back_from_other_graphs(narrow, save_meta, arguments):
    arch = narrow("resnet_v1_18", base=2, convention="torchvision", batch_norm_epsilon=1e-4)
    facts = graph_facts(graph_for(save_meta(arch, **arguments)))
    assert facts.apply(unknowing(arch)) == arch


@pytest.fixture(scope="module")
def slim_net(narrow, save_meta):
    """An Arch, the bytes of its graph and a function that reads them after an edit."""
    from tensorflow.core.protobuf import meta_graph_pb2

    arch = narrow("resnet_v1_18", base=2)
    path = save_meta(arch)
    content = path.read_bytes()

    def apply(edit=lambda nodes: None, like=arch, **arguments):
        meta = meta_graph_pb2.MetaGraphDef.FromString(content)
        edit({node.name: node for node in meta.graph_def.node})
        path.write_bytes(meta.SerializeToString())
        return graph_facts(graph_for(path)).apply(like, **arguments)

    return arch, apply


UNIT = "resnet_v1_18_narrow/block1/unit_2/basic_v1"


def set_strides(op, value):
    def edit(nodes):
        nodes[op].attr["strides"].list.i[1:3] = value

    return edit


def set_epsilon(nodes):
    nodes[f"{UNIT}/conv1/BatchNorm/FusedBatchNormV3"].attr["epsilon"].f = 0.25


def set_dilations(nodes):
    nodes[f"{UNIT}/conv2/Conv2D"].attr["dilations"].list.i[1:3] = [3, 3]


def set_padding(op, value):
    def edit(nodes):
        nodes[op].attr["padding"].s = value

    return edit


def set_pool_size(nodes):
    nodes["resnet_v1_18_narrow/pool1/MaxPool"].attr["ksize"].list.i[1:3] = [2, 2]


def set_pool(nodes):
    nodes["resnet_v1_18_narrow/pool1/MaxPool"].op = "AvgPool"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_strides(f"{UNIT}/conv2/Conv2D", [2, 2]), f"{UNIT}/conv2/Conv2D has kernel"),
        (set_strides(f"{UNIT}/conv1/Conv2D", [2, 1]), f"{UNIT}/conv1/Conv2D has kernel"),
        (
            set_strides("resnet_v1_18_narrow/block1/unit_1/basic_v1/conv1/Conv2D", [2, 2]),
            "unit_1/basic_v1/conv1/Conv2D has .* does not go with .* block in its last unit",
        ),
        (set_strides("resnet_v1_18_narrow/conv1/Conv2D", [4, 2]), "conv1/Conv2D has kernel"),
        (set_epsilon, "several epsilons: .* and .*/conv1/BatchNorm/FusedBatchNormV3 0.25"),
        (set_dilations, "unit_2/basic_v1/conv1 has both the stride 2 and the rate 3"),
        (set_padding(f"{UNIT}/conv2/Conv2D", b"VALID"), f"{UNIT}/conv2/Conv2D has kernel"),
        (set_padding(f"{UNIT}/conv1/Conv2D", b"SAME"), f"{UNIT}/conv1/Conv2D has kernel"),
        (set_padding(f"{UNIT}/conv1/Conv2D", b"HALF"), "unknown padding 'HALF'"),
        (set_pool_size, r"pool1/MaxPool is a MaxPool of kernel \(2, 2\)"),
        (set_pool, "the root's pooling .*/pool1/MaxPool is a AvgPool"),
    ],
)
def test_what_no_arch_can_say(slim_net, edit, message):
    arch, apply = slim_net
    with pytest.raises(CheckpointError, match=message):
        apply(edit)
    assert apply() == arch


def test_another_network(slim_net, narrow):
    arch, apply = slim_net
    with pytest.raises(CheckpointError, match="no convolution in its graph reads"):
        apply(like=narrow("resnet_v1_50", base=2))
    with pytest.raises(CheckpointError, match="reads elsewhere/"):
        apply(scope="elsewhere")
    assert apply(scope="resnet_v1_18_narrow") == arch


def test_several_networks(narrow, tmp_path):
    from slim_resnet import graph
    from slim_resnet.compat import tf

    arch = narrow("resnet_cifar_20", base=2)
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, None, None, 3])
        for scope in ("a", "b"):
            graph.build(arch, images, scope=scope)
        graph.build(arch, images, scope="a", reuse=True, is_training=True)
        tf.train.export_meta_graph(str(tmp_path / "m.meta"))
    facts = graph_facts(graph_for(tmp_path / "m"))
    with pytest.raises(CheckpointError, match="several networks; choose a scope of a, b"):
        facts.apply(arch)
    assert facts.apply(arch, scope="a") == facts.apply(arch, scope="b") == arch


# -- single operations ----------------------------------------------------------------------------


def facts_of(tmp_path, build):
    from slim_resnet.compat import tf

    with tf.Graph().as_default():
        build(tf)
        tf.train.export_meta_graph(str(tmp_path / "m.meta"))
    return graph_facts(graph_for(tmp_path / "m"))


@pytest.mark.parametrize("size", [None, 15])
def test_atrous_by_space_to_batch(tmp_path, size):
    """What TensorFlow 1.x makes of a rate; a known image size makes its paddings longer."""

    def build(tf):
        weights = tf.get_variable("w", [3, 3, 4, 4], use_resource=False)
        tf.nn.with_space_to_batch(
            tf.placeholder(tf.float32, [None, size, size, 4]),
            [2, 2],
            "SAME",
            lambda x, num_spatial_dims, padding: tf.nn.conv2d(x, weights, 1, padding),
            filter_shape=[3, 3],
        )

    (conv,) = facts_of(tmp_path, build).convs
    assert conv.weights == "w"
    assert conv.window == Window((3, 3), rate=(2, 2), pads=((2, 2), (2, 2)))
    assert conv.window.padding_per_side == 2


def test_explicit_paddings_and_layouts(tmp_path):
    def build(tf):
        images = tf.placeholder(tf.float32, [None, 4, 9, 9])
        weights = tf.get_variable("w", [3, 5, 4, 4])
        padded = tf.pad(images, [[0, 0], [0, 0], [1, 0], [0, 2]])
        pads = [[0, 0], [0, 0], [1, 1], [2, 2]]
        tf.nn.conv2d(padded, weights, [1, 1, 1, 2], pads, data_format="NCHW")

    (conv,) = facts_of(tmp_path, build).convs
    assert conv.window == Window((3, 5), (1, 2), pads=((2, 1), (2, 4)))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_only_zeros_are_padding_of_a_convolution(tmp_path, value):
    def build(tf):
        images = tf.placeholder(tf.float32, [None, 9, 9, 4])
        padded = tf.raw_ops.PadV2(
            input=images, paddings=[[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=value
        )
        tf.nn.conv2d(padded, tf.get_variable("w", [3, 3, 4, 4]), 2, "VALID")

    (conv,) = facts_of(tmp_path, build).convs
    assert conv.window.padding_per_side == (1 if value == 0 else 0)


@pytest.mark.parametrize(
    ("mode", "pad", "pool", "is_infinity"),
    [
        ("SYMMETRIC", 1, "MAX", True),
        ("SYMMETRIC", 2, "MAX", False),  # a window of 3 reaches what is mirrored from outside it
        ("REFLECT", 1, "MAX", False),
        ("SYMMETRIC", 1, "AVG", False),
    ],
)
def test_a_doubled_edge_is_minus_infinity_to_a_max_pool(tmp_path, mode, pad, pool, is_infinity):
    def build(tf):
        images = tf.placeholder(tf.float32, [None, 9, 9, 4])
        net = tf.nn.conv2d(images, tf.get_variable("w", [1, 1, 4, 4]), 1, "SAME", name="before")
        net = tf.pad(net, [[0, 0], [pad, pad], [pad, pad], [0, 0]], mode)
        tf.nn.pool(net, [3, 3], pool, strides=[2, 2], padding="VALID")

    (found,) = facts_of(tmp_path, build).pools
    read = (found.source.op, found.fill, found.window.pads)
    assert (read == ("before", -np.inf, ((1, 1), (1, 1)))) == is_infinity
    assert is_infinity or found.source.type == "MirrorPad"


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window((3, 3), padding="SAME"), 1),
        (Window((3, 3), rate=(4, 4), padding="SAME"), 4),
        (Window((3, 3), (2, 2), padding="SAME"), None),  # the image's size decides
        (Window((1, 1), (2, 2), padding="SAME"), 0),
        (Window((2, 2), padding="SAME"), None),
        (Window((3, 3), pads=((1, 1), (1, 2))), None),
        (Window((3, 3), padding="SAME", pads=((1, 1), (1, 1))), 2),
    ],
)
def test_padding_per_side(window, expected):
    assert window.padding_per_side == expected


@pytest.mark.parametrize(
    ("epsilon", "expected", "nominal"),
    [(1e-3, 0.5, 1e-3), (1.001e-5, 0.5, 1e-5), (1.001e-5, 1e-6, 1e-6), (1e-5, 0.5, 1e-5)],
)
def test_nominal_epsilon(epsilon, expected, nominal):
    assert NormFact("n", epsilon, ()).nominal_epsilon(expected) == nominal


def test_float32_epsilons_are_their_shortest_decimals(tmp_path):
    def build(tf):
        x = tf.placeholder(tf.float32, [None, 9, 9, 4])
        x = tf.nn.conv2d(x, tf.get_variable("w", [1, 1, 4, 4]), 1, "SAME")
        gamma = tf.get_variable("gamma", [4])
        tf.nn.batch_normalization(x, gamma, gamma, gamma, gamma, np.float32(0.001))
        tf.nn.fused_batch_norm(x, gamma, gamma, gamma, gamma, 0.001, is_training=False)

    assert [norm.epsilon for norm in facts_of(tmp_path, build).norms] == [0.001, 0.001]


# -- graphs of TensorFlow 1.15 ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["fused", "fed_fused", "fed_unfused", "default_true", "unfused_inplace", "zero_debias"]
)
def test_the_decay_of_training(data, name):
    """A root convolution in training graphs with batch_norm_decay 0.9, is_training fed or not."""
    facts = graph_facts(read_graph(str(data / "tf115" / "decays" / f"{name}.pb")))
    assert {fact.value for fact in facts.averages} == {0.9}


def test_a_decay_that_is_computed_is_not_known(data, tmp_path):
    from tensorflow.core.framework import graph_pb2

    content = (data / "tf115" / "decays" / "fed_fused.pb").read_bytes()
    definition = graph_pb2.GraphDef.FromString(content)
    for node in definition.node:
        if node.name.endswith("/cond_1/Const"):  # the decay of training
            node.op = "Placeholder"
            del node.attr["value"]
    (tmp_path / "g.pb").write_bytes(definition.SerializeToString())
    assert graph_facts(read_graph(str(tmp_path / "g.pb"))).averages == ()


# -- what lies between layers ----------------------------------------------------------------------


def replace_op(name, op, **attributes):
    """Another operation in a place of `slim_net`'s graph."""

    def edit(nodes):
        nodes[f"{UNIT}/{name}"].op = op
        for key, value in attributes.items():
            nodes[f"{UNIT}/{name}"].attr[key].f = value

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (replace_op("conv1/Relu", "Softplus"), f"Softplus '{UNIT}/conv1/Relu' lies before {UNIT}"),
        (replace_op("Relu", "Erf"), f"Erf '{UNIT}/Relu' lies before resnet_v1_18_narrow/block2"),
        (
            replace_op("conv1/Relu", "Elu"),
            f"its convolutions have several activations: relu .* and elu .{UNIT}/conv1/Relu",
        ),
        (replace_op("Relu", "Relu6"), f"its units have several .* and relu6 .{UNIT}/Relu"),
        (
            replace_op("conv1/Relu", "LeakyRelu", alpha=0.3),
            rf"relu .* and leaky_relu \(slope 0.3\) .{UNIT}/conv1/Relu",
        ),
        (replace_op("add", "Mul"), f"Mul '{UNIT}/add' lies before"),
        (
            replace_op("conv2/BatchNorm/FusedBatchNormV3", "Relu"),
            "no batch norm in its graph lies between",
        ),
    ],
)
def test_an_unknown_operation_is_named(slim_net, edit, message):
    _, apply = slim_net
    with pytest.raises(CheckpointError, match=message):
        apply(edit)


def activation_before_a_conv(tf, x, activate):
    weights = tf.get_variable("w", [1, 1, 4, 4])
    x = activate(tf.nn.conv2d(x, weights, 1, "SAME"))
    return tf.nn.conv2d(x, tf.get_variable("v", [1, 1, 4, 4]), 1, "SAME")


SPELLED = {
    "relu": lambda tf, x: tf.maximum(x, 0.0),
    "relu6": lambda tf, x: tf.minimum(tf.nn.relu(x), 6.0),
    "leaky_relu (slope 0.1)": lambda tf, x: tf.maximum(0.1 * x, x),
    "leaky_relu (slope 0.2)": lambda tf, x: tf.nn.leaky_relu(x),
    "swish": lambda tf, x: x * tf.sigmoid(x),
    "selu": lambda tf, x: tf.nn.selu(x),
}


@pytest.mark.parametrize("name", SPELLED)
def test_activations_spelled_out(tmp_path, name):
    def build(tf):
        x = tf.placeholder(tf.float32, [None, 9, 9, 4])
        activation_before_a_conv(tf, x, lambda y: SPELLED[name](tf, y))

    _, conv = facts_of(tmp_path, build).convs
    (step,) = conv.source.steps
    assert (step.kind, str(step.value), conv.source.weights) == ("activation", name, "w")


def test_a_root_of_another_kind_is_no_input(narrow, tmp_path):
    """DeepLab's "beta" networks have three convolutions for a root."""
    from slim_resnet import graph
    from slim_resnet.compat import slim, tf

    arch = brief(narrow("resnet_v1_18", base=2)).replace(root_block=False, input_channels=4)
    with tf.Graph().as_default():
        with tf.variable_scope("net"):
            images = tf.placeholder(tf.float32, [None, None, None, 3])
            net = slim.conv2d(images, 4, 3, scope="conv1_1")
        graph.build(arch, net, scope="net")
        tf.train.export_meta_graph(str(tmp_path / "m.meta"))
    facts = graph_facts(graph_for(tmp_path / "m"))
    with pytest.raises(CheckpointError, match="Conv2D 'net/conv1_1/Conv2D' lies before .* a root"):
        facts.apply(arch)
