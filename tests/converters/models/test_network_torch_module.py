"""A network as a torch module: inputs and outputs, shared weights, copies, files, errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hand_built import Draft

tf = pytest.importorskip("tensorflow")
torch = pytest.importorskip("torch")

from safetensors.numpy import save_file  # noqa: E402
from torch_networks import NETS, first, images, last, made  # noqa: E402

from converters.files import CheckpointError  # noqa: E402
from converters.models.network_torch import metadata, module, state_arrays  # noqa: E402


def two_headed() -> Draft:
    """Two images, one encoder, a flattened map, two outputs."""
    d = Draft()
    weights = {"kernel": (3, 3, 2, 4)}
    for name in ("left", "right"):
        d.input(name, None, 6, 8, 2)
        side = {"kernel": d.variable("encoder/weights", weights["kernel"])}
        conv = d.layer(
            f"{name}/Conv2D", "conv", name, rank=(None, 3, 4, 4), weights=side, strides=(2, 2)
        )
        d.layer(f"{name}/Relu", "relu", conv, rank=(None, 3, 4, 4))
        d.layer(f"{name}/Flatten", "flatten", f"{name}/Relu", rank=(None, 48))
        d.dense("fc", f"{name}/Flatten", (48, 5))
        d.layers[-1] = d.layers[-1].__class__(**{**vars(d.layers[-1]), "name": f"{name}/fc"})
    d.layer("distance", "sub", "left/fc", "right/fc", rank=2)
    return d


def two_headed_in_tf(left, right, arrays):
    found = {}
    for name, x in (("left", left), ("right", right)):
        found[f"{name}/Conv2D"] = tf.nn.conv2d(x, arrays["encoder/weights"], 2, "SAME")
        found[f"{name}/Relu"] = tf.nn.relu(found[f"{name}/Conv2D"])
        found[f"{name}/Flatten"] = tf.reshape(found[f"{name}/Relu"], (len(x), -1))
        found[f"{name}/fc"] = found[f"{name}/Flatten"] @ arrays["fc/weights"] + arrays["fc/biases"]
    found["distance"] = found["left/fc"] - found["right/fc"]
    return found


@pytest.fixture
def sides():
    return {
        name: images(3, 6, 8, 2, seed=s).astype("f") for s, name in enumerate(("left", "right"))
    }


def test_several_inputs_and_outputs_go_by_their_operations_names(sides):
    d = two_headed()
    net = module.build(d.network("distance", "left/Relu"), d.arrays)
    wanted = two_headed_in_tf(**sides, arrays=d.arrays)
    fed = {name: first(x) for name, x in sides.items()}
    found = net(fed)
    assert list(found) == ["distance", "left/Relu"]
    np.testing.assert_allclose(found["distance"].detach(), wanted["distance"], atol=1e-5)
    np.testing.assert_allclose(last(found["left/Relu"]), wanted["left/Relu"], atol=1e-5)
    with pytest.raises(TypeError, match="'left', 'right'"):
        net(fed["left"])


def test_end_points_are_every_layers_value_as_tensorflow_has_it(sides):
    d = two_headed()
    net = module.build(d.network("distance"), d.arrays)
    found = net.end_points({name: first(x) for name, x in sides.items()})
    wanted = two_headed_in_tf(**sides, arrays=d.arrays)
    assert set(found) == set(wanted)
    for name, value in found.items():
        value = last(value) if value.ndim == 4 else value.detach().numpy()
        np.testing.assert_allclose(value, wanted[name], atol=1e-5, err_msg=name)


def test_a_flattened_map_is_not_permuted_when_the_network_runs():
    net = module.build(two_headed().network("distance"), two_headed().arrays)
    targets = {call.function for call in net._program.calls}
    assert torch.Tensor.permute not in targets


def test_shared_weights_are_one_parameter():
    d = two_headed()
    net = module.build(d.network("distance"), d.arrays)
    assert sorted(dict(net.named_parameters())) == ["encoder.weight", "fc.bias", "fc.weight"]


def test_copies_have_weights_of_their_own():
    define, _, channels = NETS["decoder"]
    net = made(define)[2]
    x = first(images(2, 8, 10, channels)).float()
    wanted = net(x)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        torch.testing.assert_close(other(x), wanted, rtol=0, atol=0)
        with torch.no_grad():
            other.up.bias.add_(1)
        assert not torch.equal(other(x), wanted)
    assert torch.equal(net(x), wanted)


def test_a_replaced_submodule_is_the_one_that_runs():
    d = Draft()
    d.input("x", None, 4)
    net = module.build(d.network(d.dense("net/logits", "x", (4, 3))), d.arrays)
    net.net.logits = torch.nn.Linear(4, 7)
    assert net(torch.rand(2, 4)).shape == (2, 7)


def test_it_compiles_whole():
    define, _, channels = NETS["decoder"]
    net = made(define)[2]
    x = first(images(2, 8, 10, channels)).float()
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), net(x))


def test_what_the_graph_casts_follows_the_modules_type():
    d = Draft()
    d.input("x", None, None, None, 3, dtype="uint8")
    real = d.layer("ToFloat", "cast", "x", rank=4, dtype="float32")
    net = module.build(d.network(d.conv("c", real, (1, 1, 3, 2))), d.arrays)
    x = torch.randint(0, 255, (1, 3, 4, 5), dtype=torch.uint8)
    assert net(x).dtype == torch.float32
    assert net.double()(x).dtype == torch.float64


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_file_carries_its_network(tmp_path, suffix):
    define, _, channels = NETS["decoder"]
    network, arrays, net = made(define)
    renamed = {"skip": "backbone.conv1"}
    state = state_arrays(network, arrays, renamed)
    path = tmp_path / f"net{suffix}"
    if suffix == ".pt":
        tensors = {name: torch.tensor(value) for name, value in state.items()}
        torch.save({"state_dict": tensors, "metadata": metadata(network, renamed)}, path)
    else:
        save_file(state, path, metadata=metadata(network, renamed))
    loaded = module.load(path)
    assert not loaded.training
    assert "backbone.conv1.weight" in loaded.state_dict()
    x = first(images(2, 9, 7, channels)).float()
    torch.testing.assert_close(loaded(x), net(x), rtol=0, atol=0)


def test_a_file_without_its_network_is_refused(tmp_path):
    network, arrays, _ = made(NETS["decoder"][0])
    state = state_arrays(network, arrays)
    path = tmp_path / "net.safetensors"
    save_file(state, path)
    with pytest.raises(CheckpointError, match="no network in it"):
        module.load(path)
    text = metadata(network)
    save_file(state, path, metadata={key: value[:-9] for key, value in text.items()})
    with pytest.raises(CheckpointError, match="cannot be used"):
        module.load(path)
    del state["up.weight"]
    save_file(state, path, metadata=text)
    with pytest.raises(CheckpointError, match="cannot be read"):
        module.load(path)
    with pytest.raises(CheckpointError, match="no such file"):
        module.load(tmp_path / "none.safetensors")


def test_what_is_not_trainable_has_no_gradient():
    d = Draft()
    d.input("x", None, None, None, 2)
    up = {"kernel": d.variable("bilinear", (4, 4, 2, 2), trainable=False)}
    value = d.layer("up", "conv_transpose", "x", rank=4, weights=up)
    out = d.conv("c", value, (1, 1, 2, 2))
    net = module.build(d.network(out), d.arrays)
    assert {n: p.requires_grad for n, p in net.named_parameters()} == {
        "bilinear.weight": False,
        "c.weight": True,
        "c.bias": True,
    }


def test_the_weights_of_a_frozen_graph_can_be_trained():
    d = Draft()
    d.input("x", None, None, None, 2)
    for name, shape in {"c/weights": (1, 1, 2, 2), "c/biases": (2,), "scale": (2,)}.items():
        d.variable(name, shape, trainable=False)
    scale = d.layer("scale", "parameter", rank=1, weights={"value": "scale"})
    scaled = d.layer("mul", "mul", d.conv("c", "x", (1, 1, 2, 2)), scale, rank=4)
    net = module.build(d.network(scaled), d.arrays)
    assert {n for n, p in net.named_parameters() if p.requires_grad} == {"c.weight", "c.bias"}
    assert [name for name, _ in net.named_buffers()] == ["scale"]


def test_sizes_from_the_values_of_a_tensor_are_refused():
    d = Draft()
    d.input("x", None, 4)
    d.input("n", 2, dtype="int32")
    out = d.layer("out", "tile", "x", "n", rank=2, multiples=None)
    with pytest.raises(ValueError, match="n: a size that depends on the values of a tensor"):
        module.build(d.network(out), {})


def test_a_value_of_unknown_rank_is_refused():
    d = Draft()
    d.input("x", None, 4)
    out = d.layer("out", "add", "x", "x", rank=None)
    with pytest.raises(ValueError, match="out: its rank is not known"):
        module.build(d.network(out), {})


@pytest.mark.parametrize("height", [None, 3], ids=["free", "fixed"])
def test_sizes_without_end_are_refused(height):
    """TensorFlow's integers begin anew where Python's would fill the memory: 3 ** (2 ** 60)."""
    d = Draft()
    d.input("x", None, height, 4, 2)
    size = d.entry("height", d.sizes_of("x"), 1)
    for n in range(60):
        size = d.size(f"square_{n}", "mul", size, size)
    sizes = d.size("sizes", "stack", size, size, rank=(2,), axis=0)
    out = d.layer("out", "resize", "x", sizes, rank=4, size=None)
    with pytest.raises(ValueError, match=r"square_\d: it computes a .* no image has"):
        module.build(d.network(out), {})
