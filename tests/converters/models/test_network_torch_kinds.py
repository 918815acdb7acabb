"""Every kind of layer as torch computes it, against TensorFlow's own operation, in float64."""

from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
torch = pytest.importorskip("torch")

from layer_cases import CASES, EVEN, ODD, network_of, raw, values  # noqa: E402

from converters.graphs.network import KINDS  # noqa: E402
from converters.models.network_torch import module  # noqa: E402


def to_held(x: np.ndarray) -> torch.Tensor:
    """Images channels-first."""
    return torch.tensor(np.moveaxis(x, -1, 1) if x.ndim in (4, 5) else x)


def to_tf(x: torch.Tensor) -> np.ndarray:
    return np.moveaxis(x.detach().numpy(), 1, -1) if x.ndim in (4, 5) else x.detach().numpy()


def run(network, feeds, weights=(), dtype=torch.float64):
    arrays = {f"scope/{role}": w for role, w in dict(weights).items()}
    net = module.build(network, arrays).to(dtype)
    with torch.no_grad():
        return net({f"x{i}": to_held(x) for i, x in enumerate(feeds)})


@pytest.mark.parametrize("name", CASES)
def test_a_layer_computes_what_tensorflow_does(name):
    kind, compute, feeds, weights, options = CASES[name]
    wanted = np.asarray(compute(*map(tf.constant, feeds), *map(tf.constant, weights.values())))
    network = network_of(kind, feeds, weights, options, wanted.shape)
    found = to_tf(run(network, feeds, weights))
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12 * max(1, abs(wanted).max()))


SCALES = ((1, 1), (8, 10), (15, 21), (16, 20), (5, 4), (33, 40))
RESIZES = {
    "bilinear": raw.ResizeBilinear,
    "nearest": raw.ResizeNearestNeighbor,
    "bicubic": raw.ResizeBicubic,
}


@pytest.mark.parametrize("way", ["legacy", "align_corners", "half_pixel_centers"])
@pytest.mark.parametrize("method", RESIZES)
def test_resizing_places_pixels_as_tensorflow_does(method, way):
    flags = {key: key == way for key in ("align_corners", "half_pixel_centers")}
    for x in (EVEN, ODD, ODD[:, :1, :1]):
        for size in SCALES:
            x = x.astype("f")
            wanted = RESIZES[method](images=x, size=size, **flags).numpy()
            options = {"method": method, "size": size, **flags}
            network = network_of("resize", [x], {}, options, wanted.shape)
            found = to_tf(run(network, [x], dtype=torch.float32))
            bound = {"nearest": 0, "bilinear": 2e-6, "bicubic": 4e-6}[method]
            np.testing.assert_allclose(found, wanted, rtol=0, atol=bound)
            exact = to_tf(run(network, [x.astype(float)]))  # TensorFlow has no float64 here
            np.testing.assert_allclose(exact, wanted, rtol=0, atol=2 * bound)


def test_bilinear_resizing_in_float64_is_the_definition():
    at = np.arange(16)[:, None] * (7 / 16)
    low, high = np.floor(at).astype(int), np.minimum(np.ceil(at), 6).astype(int)
    options = {"method": "bilinear", "size": (16, 1)}
    flags = {"align_corners": False, "half_pixel_centers": False}
    x = values(1, 7, 1, 3)
    wanted = x[0, low, 0] + (x[0, high, 0] - x[0, low, 0]) * (at - low)[..., None]
    network = network_of("resize", [x], {}, {**options, **flags}, (1, 16, 1, 3))
    np.testing.assert_allclose(to_tf(run(network, [x]))[0], wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("radius", "bias", "alpha", "beta"), [(5, 1.0, 1.0, 0.5), (2, 1.0, 2e-5, 0.75), (9, 2, 0.3, 1)]
)
def test_local_response_normalization(radius, bias, alpha, beta):
    x = values(2, 3, 4, 13).astype("f")
    options = {"depth_radius": radius, "bias": bias, "alpha": alpha, "beta": beta}
    wanted = tf.nn.lrn(x, **options).numpy()
    network = network_of("lrn", [x], {}, options, x.shape)
    np.testing.assert_allclose(to_tf(run(network, [x])), wanted, rtol=0, atol=1e-6)


def test_every_kind_is_tried():
    elsewhere = {"resize", "lrn", "shape", "fill", "range"}  # here above, and with sizes
    several = {"split", "unstack", "top_k"}
    assert {case[0] for case in CASES.values()} | elsewhere | several == set(KINDS)


@pytest.mark.parametrize("kind", ["split", "unstack"])
def test_several_outputs(kind):
    for shape in ((2, 3, 4, 6), (2, 3, 4, 6, 2), (4, 6), (2, 3, 5)):
        x = values(*shape)
        for axis, size in enumerate(shape):
            if kind == "split":
                options = {"axis": axis, "sizes": (1, size - 1)}
                wanted = tf.split(x, options["sizes"], axis)
            else:
                options = {"axis": axis, "num": size}
                wanted = tf.unstack(x, axis=axis)
            network = network_of(kind, [x], {}, options, wanted[0].shape)
            names = ("out", "out:1")
            found = run(network.replace(outputs=names), [x])
            assert list(found) == list(names)
            for name, each in zip(names, wanted, strict=False):
                np.testing.assert_array_equal(to_tf(found[name]), each)


def test_the_largest_values_and_their_places():
    for shape in ((3, 9), (2, 3, 4, 9)):
        x = np.round(values(*shape))  # with equal ones
        wanted = tf.math.top_k(x, 5)
        network = network_of("top_k", [x], {}, {"k": 5}, wanted[0].shape)
        found = run(network.replace(outputs=("out", "out:1")), [x])
        for each, expected in zip(found.values(), wanted, strict=True):
            np.testing.assert_array_equal(to_tf(each), expected)
