"""Squeeze-and-excitation and pooled projections in graphs: as an Arch has them, or refused."""

from __future__ import annotations

import pytest

from converters.files import CheckpointError, graph_for
from converters.graphs import graph_facts
from slim_resnet.arch.parts import Stage

NET = "net_narrow"
UNIT = f"{NET}/block2/unit_1/bottleneck_v1"


@pytest.fixture(scope="module", params=["se", "d"])
def net(request, narrow, save_meta):
    """(its name, a function that reads its graph after an edit)."""
    from tensorflow.core.protobuf import meta_graph_pb2

    name = {"se": "se_resnet_v1_50", "d": "resnet_v1_50_d"}[request.param]
    se_depth = 3 if request.param == "se" else None
    stages = (Stage(1, 8, 4, 1, se_depth=se_depth), Stage(2, 12, 6, 2, se_depth=se_depth))
    arch = narrow(name, convention="torchvision").replace(name=NET, stages=stages)
    path = save_meta(arch)
    content = path.read_bytes()

    def read(edit=lambda nodes: None, like=arch):
        meta = meta_graph_pb2.MetaGraphDef.FromString(content)
        edit({node.name: node for node in meta.graph_def.node})
        path.write_bytes(meta.SerializeToString())
        return graph_facts(graph_for(path)).apply(like)

    return request.param, arch, read


def operation(name, op):
    def edit(nodes):
        nodes[f"{UNIT}/{name}"].op = op

    return edit


def reads(name, index, source):
    def edit(nodes):
        nodes[f"{UNIT}/{name}"].input[index] = source

    return edit


def pool(attribute, values):
    def edit(nodes):
        node = nodes[f"{UNIT}/shortcut_pool/AvgPool"]
        if attribute == "padding":
            node.attr["padding"].s = values
        else:
            node.attr[attribute].list.i[1:3] = values

    return edit


def weightless(arch):
    """The same without squeeze-and-excitation, as names of others would have it read."""
    stages = tuple(Stage(s.num_units, s.depth, s.depth_bottleneck, s.stride) for s in arch.stages)
    return arch.replace(stages=stages)


SE = {
    "another activation": (operation("se/reduce/Relu", "Elu"), "se/reduce.* is followed by"),
    "another gate": (
        operation("se/expand/Sigmoid", "Tanh"),
        r"Mul .*se/scale' lies before .*/add: ",
    ),
    "another product": (
        operation("se/scale", "Add"),
        "no product with a sigmoid lies right before .*se/scale, but",
    ),
    "gates of another tensor": (
        reads("se/squeeze", 0, f"{UNIT}/conv1/Relu"),
        "where the average of what .*se/scale multiplies is expected",
    ),
    "a maximum": (operation("se/squeeze", "Max"), "reads Max .* where the average of what"),
    "gates in another order": (
        reads("se/expand/Conv2D", 0, f"{UNIT}/se/squeeze"),
        "se/expand/Conv2D reads Mean .* is expected",
    ),
    "another tensor scaled": (
        reads("se/scale", 0, f"{UNIT}/conv2/Relu"),
        "no sum in its graph reads .*conv3/Conv2D, with which a residual unit ends",
    ),
    "no gate": (reads("add", 1, f"{UNIT}/conv3/BatchNorm/FusedBatchNormV3"), "product with a sig"),
}
D = {
    "another kernel": (
        pool("ksize", (3, 3)),
        "shortcut/Conv2D reads AvgPool .* where .* is expected",
    ),
    "stride 1": (pool("strides", (1, 1)), "kernel .2, 2., the unit's stride and SAME padding"),
    "no padding": (pool("padding", b"VALID"), "the unit's stride and SAME padding"),
    "a maximum": (operation("shortcut_pool/AvgPool", "MaxPool"), "reads MaxPool"),
    "no pooling": (
        reads("shortcut/Conv2D", 0, f"{NET}/block1/unit_1/bottleneck_v1/Relu"),
        r"shortcut/Conv2D has kernel .*stride \(1, 1\).* where an Arch has stride 2",
    ),
}


@pytest.mark.parametrize(
    ("net", "edit", "message"),
    [
        pytest.param(kind, *fault, id=f"{kind}, {name}")
        for kind, faults in {"se": SE, "d": D}.items()
        for name, fault in faults.items()
    ],
    indirect=["net"],
)
def test_what_no_arch_has_is_named(net, edit, message):
    _, arch, read = net
    assert read() == arch
    with pytest.raises(CheckpointError, match=message):
        read(edit)


def test_gates_that_weights_do_not_tell_are_no_part_of_an_arch(net):
    kind, arch, read = net
    if kind == "se":
        with pytest.raises(CheckpointError, match=r"Mul .*se/scale' lies before .*/add"):
            read(like=weightless(arch))
    else:  # told of a graph that has none
        assert read(like=arch.replace(shortcut="projection")) == arch
