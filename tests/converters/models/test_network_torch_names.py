"""The names of a network's parameters in torch: scopes of its variables, unique, reversible."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hand_built import Draft

from converters.graphs.network import Network, Parameter
from converters.models.network_torch import metadata, parameter_names, state_arrays
from converters.models.network_torch.naming import original_arrays
from converters.models.network_torch.recorded import recorded_network
from converters.models.network_torch.reserved import RESERVED


def names(draft: Draft, renamed=None) -> dict[str, str]:
    network = draft.network(draft.layers[-1].name)
    return {name: state for name, (state, _) in parameter_names(network, renamed).items()}


def image(channels: int = 3) -> Draft:
    d = Draft()
    d.input("image", None, None, None, channels)
    return d


def test_modules_are_the_scopes_of_variables():
    d = image()
    d.conv("InceptionV3/Conv2d_1a_3x3", "image", (3, 3, 3, 4), bias=False)
    d.batch_norm("InceptionV3/Conv2d_1a_3x3/BatchNorm", d.layers[-1].name, 4)
    kernel = {"kernel": d.variable("pose/part_pred/block4/weights", (3, 3, 5, 4))}
    d.layer("pose/out", "conv_transpose", d.layers[-1].name, rank=4, weights=kernel)
    conv = "InceptionV3.Conv2d_1a_3x3"
    assert names(d) == {
        "InceptionV3/Conv2d_1a_3x3/weights": f"{conv}.weight",
        "InceptionV3/Conv2d_1a_3x3/BatchNorm/gamma": f"{conv}.BatchNorm.weight",
        "InceptionV3/Conv2d_1a_3x3/BatchNorm/beta": f"{conv}.BatchNorm.bias",
        "InceptionV3/Conv2d_1a_3x3/BatchNorm/moving_mean": f"{conv}.BatchNorm.running_mean",
        "InceptionV3/Conv2d_1a_3x3/BatchNorm/moving_variance": f"{conv}.BatchNorm.running_var",
        "pose/part_pred/block4/weights": "pose.part_pred.block4.weight",
    }


def test_two_kernels_in_a_scope_keep_what_tells_them_apart():
    d = image()
    depthwise = {"kernel": d.variable("sep/depthwise_weights", (3, 3, 3, 1))}
    value = d.layer("sep/depthwise", "depthwise_conv", "image", rank=4, weights=depthwise)
    pointwise = {
        "kernel": d.variable("sep/pointwise_weights", (1, 1, 3, 4)),
        "bias": d.variable("sep/biases", (4,)),
    }
    d.layer("sep/BiasAdd", "conv", value, rank=4, weights=pointwise)
    assert names(d) == {
        "sep/depthwise_weights": "sep.depthwise.weight",
        "sep/pointwise_weights": "sep.pointwise.weight",
        "sep/biases": "sep.pointwise.bias",
    }


def test_a_batch_norm_in_the_scope_of_its_convolution():
    d = image()
    d.batch_norm("conv1", d.conv("conv1", "image", (1, 1, 3, 4)), 4)
    assert names(d)["conv1/weights"] == "conv1.weight"
    assert names(d)["conv1/gamma"] == "conv1.norm.weight"
    assert names(d)["conv1/moving_mean"] == "conv1.norm.running_mean"


def test_variables_without_a_scope():
    d = image()
    weights = {"kernel": d.variable("W_conv1", (1, 1, 3, 4)), "bias": d.variable("b_conv1", (4,))}
    d.layer("out", "conv", "image", rank=4, weights=weights)
    assert names(d) == {"W_conv1": "W_conv1.weight", "b_conv1": "W_conv1.bias"}


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ("1x1", "_1x1"),
        ("darknet-53/conv.1", "darknet_53.conv_1"),
        ("train/class", "train_.class_"),
        ("a//b", "a.b"),
        ("bias", "bias_"),
        ("grüße", "gr__e"),
    ],
)
def test_every_part_is_an_identifier_that_torch_allows(scope, path):
    d = image()
    d.conv(scope, "image", (1, 1, 3, 4), bias=False)
    assert names(d) == {f"{scope}/weights": f"{path}.weight"}


def test_names_that_would_be_the_same_are_counted():
    d = image(4)
    value = "image"
    for scope in ("a-b", "a_b", "a.b"):
        value = d.conv(scope, value, (1, 1, 4, 4), bias=False)
    scale = d.constant("a_b/weights_", np.ones(4, "f"))
    again = d.constant("a-b/weights_", np.ones(4, "f"))
    d.layer("one", "mul", value, scale, rank=4)
    d.layer("two", "mul", "one", again, rank=4)
    found = list(names(d).values())
    assert found == ["a_b.weight", "a_b_2.weight", "a_b_3.weight", "a_b.weights_", "a_b.weights__2"]


def test_a_parameter_that_is_computed_bears_its_variables_name():
    d = image()
    weights = {
        "kernel": d.variable("conv/mul", (1, 1, 3, 4)),
        "bias": d.variable("conv/biases/ConcatPartitions/concat", (4,)),
    }
    d.layer("conv/BiasAdd", "conv", "image", rank=4, weights=weights)
    network = d.network("conv/BiasAdd")
    made_of = {
        "conv/mul": ("conv/u", "conv/weights"),
        "conv/biases/ConcatPartitions/concat": ("conv/biases/part_0", "conv/biases/part_1"),
    }
    parameters = {
        name: Parameter(name, p.shape, True, made_of[name], p.compute)
        for name, p in network.parameters.items()
    }
    network = network.replace(parameters=parameters)
    assert [state for state, _ in parameter_names(network).values()] == ["conv.weight", "conv.bias"]
    loaded = recorded_network("x", metadata(network)).network
    assert parameter_names(loaded) == parameter_names(network)


def test_a_known_backbone_keeps_its_own_names():
    d = image()
    d.conv("resnet/conv1", "image", (3, 3, 3, 4), bias=False)
    d.batch_norm("resnet/conv1/BatchNorm", d.layers[-1].name, 4)
    d.layer("out", "mul", d.layers[-1].name, d.constant("scale", np.float32(2)), rank=4)
    renamed = {
        "resnet/conv1": "backbone.conv1",
        "resnet/conv1/BatchNorm": "backbone.bn1",
        "scale": "head.scale",
    }
    assert list(names(d, renamed).values()) == [
        "backbone.conv1.weight",
        "backbone.bn1.weight",
        "backbone.bn1.bias",
        "backbone.bn1.running_mean",
        "backbone.bn1.running_var",
        "head.scale",
    ]


def every_layout() -> Draft:
    """A network with each layout that changes on the way to torch."""
    d = Draft()
    d.input("image", None, 4, 6, 4)
    value = d.conv("conv", "image", (3, 2, 2, 6), groups=2)
    kernel = {"kernel": d.variable("dw/depthwise_weights", (3, 3, 6, 2))}
    value = d.layer("dw", "depthwise_conv", value, rank=4, weights=kernel)
    kernel = {"kernel": d.variable("up/kernel", (4, 2, 5, 12))}
    value = d.layer("up", "conv_transpose", value, rank=(None, 8, 12, 5), weights=kernel)
    value = d.layer(
        "add", "add", value, d.constant("grid", np.ones((1, 8, 12, 5), "f")), rank=(None, 8, 12, 5)
    )
    value = d.layer("flat", "flatten", value, rank=(None, 480))
    d.dense("fc", value, (480, 3))
    return d


def test_layouts_go_both_ways_bit_for_bit():
    d = every_layout()
    network = d.network("fc/BiasAdd")
    arrays = {name: d.random.normal(size=a.shape).astype("f") for name, a in d.arrays.items()}
    state = state_arrays(network, arrays)
    shapes = {name: array.shape for name, array in state.items()}
    assert shapes == {
        "conv.weight": (6, 2, 3, 2),
        "conv.bias": (6,),
        "dw.weight": (12, 1, 3, 3),
        "up.weight": (12, 5, 4, 2),
        "grid": (1, 5, 8, 12),
        "fc.weight": (3, 480),
        "fc.bias": (3,),
    }
    assert all(array.flags.c_contiguous for array in state.values())
    back = original_arrays(network, state)
    for name, array in arrays.items():
        assert back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()


def test_the_rows_of_a_dense_kernel_follow_the_flattened_map():
    network = every_layout().network("fc/BiasAdd")
    _, layout = parameter_names(network)["fc/weights"]
    rows = np.arange(480).reshape(8, 12, 5)  # height, width, channels
    kernel = np.stack([rows.reshape(-1)] * 3, 1)
    np.testing.assert_array_equal(layout(kernel)[0], rows.transpose(2, 0, 1).reshape(-1))


@pytest.mark.parametrize("reader", ["output", "other", "shared"])
def test_rows_stay_where_the_flattened_values_are_read_otherwise(reader):
    d = every_layout()
    outputs = ["fc/BiasAdd"]
    if reader == "output":
        outputs.append("flat")
    elif reader == "other":
        outputs.append(d.layer("softmax", "softmax", "flat", rank=2, axis=1))
    else:
        d.input("features", None, 480)
        weights = {"kernel": "fc/weights", "bias": "fc/biases"}
        outputs.append(d.layer("again", "dense", "features", rank=2, weights=weights))
    _, layout = parameter_names(d.network(*outputs))["fc/weights"]
    kernel = np.arange(1440).reshape(480, 3)
    np.testing.assert_array_equal(layout(kernel), kernel.T)


def test_names_need_no_torch(tmp_path):
    network = every_layout().network("fc/BiasAdd")
    path = tmp_path / "network.json"
    path.write_text(network.to_json())
    code = (
        "import sys; from converters.graphs.network import Network\n"
        "from converters.models.network_torch import parameter_names\n"
        f"network = Network.from_json(open({str(path)!r}).read(), 'x')\n"
        "import json; print(json.dumps({n: s for n, (s, _) in parameter_names(network).items()}))\n"
        "assert not {'torch', 'tensorflow', 'keras'} & set(sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == {n: s for n, (s, _) in parameter_names(network).items()}


def test_reserved_names_are_torchs():
    nn = pytest.importorskip("torch").nn
    from converters.models.network_torch.module import NetworkModule

    modules = [
        nn.Module(),
        nn.Conv2d(1, 1, 1),
        nn.ConvTranspose2d(1, 1, 1),
        nn.Linear(1, 1),
        nn.BatchNorm2d(1),
        nn.PReLU(),
        nn.Dropout(),
    ]
    used = {name for each in (*modules, NetworkModule) for name in dir(each)}
    assert {name for name in used if not name.startswith("__")} <= RESERVED


def test_a_file_without_a_network_has_none():
    assert recorded_network("x", {"format": "pt"}) is None
    assert isinstance(
        recorded_network("x", metadata(every_layout().network("flat"))).network, Network
    )
