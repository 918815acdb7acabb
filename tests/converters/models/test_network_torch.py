"""A network as a torch module: sizes that are computed, training, copies, export, errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hand_built import Draft

tf = pytest.importorskip("tensorflow")
torch = pytest.importorskip("torch")

from safetensors.numpy import save_file  # noqa: E402

from converters.files import CheckpointError  # noqa: E402
from converters.models.network_torch import metadata, module, state_arrays  # noqa: E402


def images(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def first(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.moveaxis(x, -1, 1))


def last(x: torch.Tensor) -> np.ndarray:
    return np.moveaxis(x.detach().numpy(), 1, -1)


def half_sized(d: Draft) -> str:
    """A pooled map resized to half the image, rounded up, and joined to one of that size."""
    x = d.input("image", None, None, None, 3)
    small = d.layer("pool", "max_pool", x, rank=4, strides=(4, 4))
    two = d.size("two", "strided_slice", d.sizes_of(x), slices=((1, 3, 1),), rank=(2,))
    real = d.size("ToFloat", "cast", two, dtype="float32", rank=(2,))
    half = d.size("half", "mul", real, d.constant("scale", np.float32(0.5)), rank=(2,))
    size = d.size("size", "cast", d.size("up", "ceil", half, rank=(2,)), dtype="int32", rank=(2,))
    large = d.layer("Resize", "resize", small, size, size=None, rank=4)
    return d.layer("out", "concat", large, d.layer("avg", "avg_pool", x, rank=4), axis=3, rank=4)


def half_sized_in_tf(x, arrays):
    size = tf.cast(tf.math.ceil(tf.cast(tf.shape(x)[1:3], tf.float32) * 0.5), tf.int32)
    small = tf.cast(tf.nn.max_pool2d(x, 2, 4, "SAME"), tf.float32)
    large = tf.cast(tf.raw_ops.ResizeBilinear(images=small, size=size), x.dtype)
    return tf.concat([large, tf.nn.avg_pool2d(x, 2, 2, "SAME")], 3)


def attention(d: Draft) -> str:
    """A softmax over all pixels, through reshapes to sizes that are computed."""
    x = d.input("image", None, None, None, 4)
    b, h, w = (
        d.entry(f"d{axis}", d.sizes_of(x) if axis == 0 else "image/Shape", axis)
        for axis in range(3)
    )
    four = d.constant("four", np.int32(4), is_shape=True)
    rows = d.size("rows", "stack", b, d.size("area", "mul", h, w), four, axis=0, rank=(3,))
    flat = d.layer("flat", "reshape", x, rows, shape=None, rank=3)
    weights = d.layer("softmax", "softmax", flat, axis=1, rank=3)
    back = d.size("back", "stack", b, h, w, four, axis=0, rank=(4,))
    return d.layer("out", "reshape", weights, back, shape=None, rank=4)


def attention_in_tf(x, arrays):
    b, h, w, c = x.shape
    return tf.reshape(tf.nn.softmax(tf.reshape(x, (b, h * w, c)), 1), (b, h, w, c))


def decoder(d: Draft) -> str:
    """A transposed convolution to the size of a skip connection, and one that is cropped to it."""
    x = d.input("image", None, None, None, 4)
    skip = d.conv("skip", x, (3, 3, 4, 5))
    small = d.conv("small", skip, (3, 3, 5, 6), strides=(2, 2))
    weights = {"kernel": d.variable("up/weights", (4, 4, 5, 6)), "bias": d.variable("b", (5,))}
    sizes = d.sizes_of(skip)
    up = d.layer("up", "conv_transpose", small, sizes, rank=4, weights=weights)
    twice = d.layer("twice", "conv_transpose", small, rank=4, weights=weights)
    crop = d.layer("crop", "slice", twice, sizes, begin=(0, 0, 0, 0), size=None, rank=4)
    return d.layer("out", "add", up, crop, rank=4)


def decoder_in_tf(x, arrays):
    a = {name: value.astype("d") for name, value in arrays.items()}
    skip = tf.nn.conv2d(x, a["skip/weights"], 1, "SAME") + a["skip/biases"]
    small = tf.nn.conv2d(skip, a["small/weights"], 2, "SAME") + a["small/biases"]
    up = tf.nn.conv2d_transpose(small, a["up/weights"], skip.shape, 2) + a["b"]
    twice = (*small.shape[:1], 2 * small.shape[1], 2 * small.shape[2], 5)
    crop = tf.nn.conv2d_transpose(small, a["up/weights"], twice, 2) + a["b"]
    return up + crop[:, : skip.shape[1], : skip.shape[2]]


def coordinates(d: Draft) -> str:
    """Rows counted, divided by the height, and beside the image."""
    x = d.input("image", None, None, None, 2)
    sizes = d.sizes_of(x)
    height = d.entry("height", sizes, 1)
    ends = {"start": 0, "limit": None, "delta": 1}
    rows = d.layer("rows", "range", height, rank=1, **ends)
    real = d.layer("real", "cast", rows, dtype="float32", rank=1)
    ratio = d.layer("ratio", "div", real, d.size("tall", "cast", height, dtype="float32"), rank=1)
    column = d.layer("column", "reshape", ratio, shape=(1, -1, 1, 1), rank=4)
    ones = d.layer("ones", "fill", sizes, shape=None, value=1.5, rank=4)
    shifted = d.layer("shifted", "mul", ones, column, rank=4)
    return d.layer("out", "concat", x, shifted, axis=3, rank=4)


def coordinates_in_tf(x, arrays):
    column = tf.reshape(tf.range(x.shape[1]) / x.shape[1], (1, -1, 1, 1))
    return tf.concat([x, tf.fill(x.shape, tf.constant(1.5, x.dtype)) * column], 3)


def padded(d: Draft) -> str:
    """Padded by half of what each axis has, upside down, tiled by the batch."""
    x = d.input("image", None, None, None, 3)
    sizes = d.sizes_of(x)
    half = [
        d.size(f"half{a}", "floor_div", d.entry(f"s{a}", sizes, a), d.constant(f"two{a}", 2, True))
        for a in (1, 2)
    ]
    none = d.constant("none", 0, is_shape=True)
    pairs = [
        d.size(f"pair{i}", "stack", *pair, axis=0, rank=(2,))
        for i, pair in enumerate([(none, none), (half[0], none), (none, half[1]), (none, none)])
    ]
    paddings = d.size("paddings", "stack", *pairs, axis=0, rank=(4, 2))
    padded = d.layer("Pad", "pad", x, paddings, paddings=None, mode="REFLECT", value=0.0, rank=4)
    upside = d.layer(
        "up",
        "strided_slice",
        padded,
        slices=((None, None, 1), (None, None, -1), (-1, None, -2), (None, None, 1)),
        rank=4,
    )
    one = d.constant("one", 1, is_shape=True)
    multiples = d.size(
        "multiples", "stack", one, one, one, d.entry("batch", sizes, 0), axis=0, rank=(4,)
    )
    return d.layer("out", "tile", upside, multiples, multiples=None, rank=4)


def padded_in_tf(x, arrays):
    b, h, w, _ = x.shape
    x = tf.pad(x, ((0, 0), (h // 2, 0), (0, w // 2), (0, 0)), "REFLECT")
    return tf.tile(x[:, ::-1, ::-2], (1, 1, 1, b))


NETS = {
    "half_sized": (half_sized, half_sized_in_tf, 3),
    "attention": (attention, attention_in_tf, 4),
    "decoder": (decoder, decoder_in_tf, 4),
    "coordinates": (coordinates, coordinates_in_tf, 2),
    "padded": (padded, padded_in_tf, 3),
}
SIZES = ((2, 8, 10), (1, 9, 7), (3, 12, 5))


def made(define):
    draft = Draft()
    network = draft.network(define(draft))
    return network, draft.arrays, module.build(network, draft.arrays)


@pytest.mark.parametrize("name", NETS)
def test_sizes_follow_what_is_fed(name):
    define, in_tf, channels = NETS[name]
    _, arrays, net = made(define)
    net.double()
    for size in SIZES:
        x = images(*size, channels)
        wanted = in_tf(tf.constant(x), arrays).numpy()
        found = last(net(first(x)))
        bound = 1e-6 if name == "half_sized" else 1e-12  # TensorFlow resizes in float32 only
        np.testing.assert_allclose(found, wanted, rtol=0, atol=bound)


def exported(net, channels):
    dynamic = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    from torch.fx.experimental import _config

    with _config.patch(backed_size_oblivious=True):
        return torch.export.export(
            net, (torch.zeros(2, channels, 65, 97),), dynamic_shapes=(dynamic,)
        )


@pytest.mark.parametrize("name", NETS)
def test_exported_programs_take_any_size(name):
    define, _, channels = NETS[name]
    net = made(define)[2]
    program = exported(net, channels).module()
    for size in SIZES:
        x = first(images(*size, channels)).float()
        torch.testing.assert_close(program(x), net(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NETS)
def test_onnx_takes_any_size(name):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    define, _, channels = NETS[name]
    net = made(define)[2]
    shapes = ({0: "batch", 2: "height", 3: "width"},)
    program = torch.onnx.export(
        exported(net, channels), dynamo=True, verbose=False, dynamic_shapes=shapes
    )
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    for size in SIZES:
        x = first(images(*size, channels)).float()
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        np.testing.assert_allclose(found, net(x).detach().numpy(), rtol=1e-5, atol=1e-5)


def trained_by_slim(x, arrays, fused, rank, dtype):
    """Output, new moving mean and variance of tf_slim's batch norm in training."""
    from slim_resnet.compat import slim
    from slim_resnet.compat import tf as v1

    with v1.Graph().as_default(), v1.Session() as session:
        image = v1.placeholder(dtype, x.shape)
        with v1.variable_scope("bn"):
            y = slim.batch_norm(
                image, decay=0.875, epsilon=1e-3, scale=True, fused=fused, is_training=True
            )
        updates = v1.get_collection(v1.GraphKeys.UPDATE_OPS)
        variables = {v.op.name.rpartition("/")[2]: v for v in v1.global_variables()}
        for name, variable in variables.items():
            variable.load(arrays[f"bn/{name}"].astype(dtype), session)
        y, _ = session.run([y, updates], {image: x.astype(dtype)})
        return y, *session.run([variables["moving_mean"], variables["moving_variance"]])


@pytest.mark.parametrize(("fused", "rank"), [(True, 4), (False, 4), (False, 2)])
def test_batch_norms_train_as_slims_do(fused, rank):
    d = Draft()
    x = images(*(4, 3, 5, 6)[: rank - 1], 6) * 3 + 1
    d.input("x", *(None,) * (rank - 1), 6)
    out = d.batch_norm("bn", "x", 6, rank=rank, decay=0.875, fused=fused)
    net = module.build(d.network(out), d.arrays).double().train()
    dtype = "float32" if fused else "float64"  # FusedBatchNorm has no float64
    wanted = trained_by_slim(x, d.arrays, fused, rank, dtype)
    y = net(first(x) if rank == 4 else torch.tensor(x))
    found = last(y) if rank == 4 else y.detach().numpy()
    bound = 2e-6 if fused else 1e-12
    for a, b in zip((found, net.bn.running_mean, net.bn.running_var), wanted, strict=True):
        np.testing.assert_allclose(np.asarray(a), b, rtol=bound, atol=bound)
    assert net.bn.num_batches_tracked == 1


def test_without_a_decay_training_leaves_the_moving_statistics():
    d = Draft()
    d.input("x", None, None, None, 6)
    for fused in (True, False):
        out = d.batch_norm(f"bn{fused}", "x", 6, decay=None, fused=fused)
        net = module.build(d.network(out), d.arrays).train()
        y = net(torch.rand(4, 6, 3, 5) * 3 + 1)
        bn = getattr(net, f"bn{fused}")
        np.testing.assert_array_equal(bn.running_mean, d.arrays[f"bn{fused}/moving_mean"])
        np.testing.assert_array_equal(bn.running_var, d.arrays[f"bn{fused}/moving_variance"])
        mean = y.mean((0, 2, 3)).detach().numpy()  # of the batch: beta is what is left
        np.testing.assert_allclose(mean, d.arrays[f"bn{fused}/beta"], atol=1e-5)


def test_dropout_drops_in_training_only():
    d = Draft()
    d.input("x", None, 400)
    out = d.layer("fc/dropout/mul_1", "dropout", "x", rank=2, rate=0.25)
    net = module.build(d.network(out), {})
    x = torch.rand(50, 400) + 1
    assert torch.equal(net(x), x)
    y = net.train()(x)
    kept = y != 0
    assert abs(kept.float().mean() - 0.75) < 0.02
    torch.testing.assert_close(y[kept], x[kept] / 0.75)
    assert net.fc.p == 0.25


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
