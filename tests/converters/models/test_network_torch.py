"""A network as a torch module: sizes that are computed, export, training."""

from __future__ import annotations

import numpy as np
import pytest
from hand_built import Draft

tf = pytest.importorskip("tensorflow")
torch = pytest.importorskip("torch")

from torch_networks import NETS, SIZES, first, images, last, made  # noqa: E402

from converters.models.network_torch import module  # noqa: E402


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
