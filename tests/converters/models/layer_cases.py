"""Layers of every kind, what is fed to them, and how TensorFlow's own operations compute them."""

from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from converters.graphs.network import Input, Layer, Network, Parameter  # noqa: E402

raw = tf.raw_ops
# Name -> (kind, how TensorFlow computes it, arrays fed, arrays of weights, options).
CASES: dict[str, tuple] = {}
_KERNEL = ("strides", "padding", "dilations", "groups")


def values(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape)


def add(name, kind, compute, feeds, weights=None, **options):
    assert name not in CASES
    CASES[name] = (kind, compute, feeds, weights or {}, options)


EVEN, ODD = values(2, 8, 10, 6), values(2, 9, 7, 6, seed=1)
SIZES = {"even": EVEN, "odd": ODD}


def _convolutions():
    kernel, bias = values(3, 3, 6, 4, seed=2), values(4, seed=3)
    for size, x in SIZES.items():
        for padding in ("SAME", "VALID"):
            for strides in ((1, 1), (2, 2), (2, 3)):
                for k in ((3, 3), (1, 1), (4, 2)):
                    add(
                        f"conv-{size}-{padding}-{strides}-{k}",
                        "conv",
                        lambda x, k, b, s=strides, p=padding: tf.nn.conv2d(x, k, s, p) + b,
                        [x],
                        {"kernel": values(*k, 6, 4, seed=4), "bias": bias},
                        strides=strides,
                        padding=padding,
                        dilations=(1, 1),
                        groups=1,
                    )
            add(
                f"conv-dilated-{size}-{padding}",
                "conv",
                lambda x, k, p=padding: tf.nn.conv2d(x, k, 1, p, dilations=(2, 3)),
                [x],
                {"kernel": kernel},
                strides=(1, 1),
                padding=padding,
                dilations=(2, 3),
                groups=1,
            )
            for strides in ((1, 1), (2, 2)):
                add(
                    f"depthwise-{size}-{padding}-{strides}",
                    "depthwise_conv",
                    lambda x, k, s=strides, p=padding: tf.nn.depthwise_conv2d(x, k, (1, *s, 1), p),
                    [x],
                    {"kernel": values(3, 3, 6, 2, seed=5)},
                    strides=strides,
                    padding=padding,
                    dilations=(1, 1),
                )
    add(
        "depthwise-dilated",
        "depthwise_conv",
        lambda x, k: tf.nn.depthwise_conv2d(x, k, (1, 1, 1, 1), "SAME", dilations=(2, 2)),
        [ODD],
        {"kernel": values(3, 3, 6, 1, seed=5)},
        strides=(1, 1),
        padding="SAME",
        dilations=(2, 2),
    )
    for pads in (((1, 1), (2, 2)), ((0, 2), (1, 0))):
        add(
            f"conv-explicit-{pads}",
            "conv",
            lambda x, k, p=pads: tf.nn.conv2d(x, k, 2, ((0, 0), *p, (0, 0))),
            [ODD],
            {"kernel": kernel},
            strides=(2, 2),
            padding=pads,
            dilations=(1, 1),
            groups=1,
        )

    def grouped(x, k):
        halves = zip(tf.split(x, 2, 3), tf.split(k, 2, 3), strict=True)
        return tf.concat([tf.nn.conv2d(each, part, 2, "SAME") for each, part in halves], 3)

    add(
        "conv-groups",
        "conv",
        grouped,
        [ODD],
        {"kernel": values(3, 3, 3, 4)},
        strides=(2, 2),
        padding="SAME",
        dilations=(1, 1),
        groups=2,
    )


def _transposed_convolutions():
    for size, x in SIZES.items():
        height, width = x.shape[1:3]
        for k in ((3, 3), (4, 4), (2, 2), (1, 1), (5, 3)):
            for s in ((2, 2), (1, 1), (3, 2)):
                for padding in ("SAME", "VALID"):
                    usual = tuple(
                        n * t + (max(m - t, 0) if padding == "VALID" else 0)
                        for n, t, m in zip((height, width), s, k, strict=True)
                    )
                    other = tuple(
                        n - (t > 1) if padding == "SAME" else n + (1 < t <= m)
                        for n, t, m in zip(usual, s, k, strict=True)
                    )
                    for asked in {usual, other}:
                        add(
                            f"transposed-{size}-{k}-{s}-{padding}-{asked}",
                            "conv_transpose",
                            lambda x, k, b, s=s, p=padding, a=asked: (
                                tf.nn.conv2d_transpose(x, k, (2, *a, 4), s, p) + b
                            ),
                            [x],
                            {"kernel": values(*k, 4, 6, seed=6), "bias": values(4, seed=7)},
                            strides=s,
                            padding=padding,
                            size=None if asked == usual else asked,
                        )


def _other_weights():
    for x in (values(3, 5), values(2, 3, 5), values(2, 3, 4, 5)):
        add(
            f"dense-{x.ndim}",
            "dense",
            lambda x, k, b: tf.tensordot(x, k, 1) + b,
            [x],
            {"kernel": values(5, 4, seed=8), "bias": values(4, seed=9)},
        )
    weights = {
        "gamma": values(5, low=0.5, seed=1),
        "beta": values(5, seed=2),
        "mean": values(5, seed=3),
        "variance": values(5, low=0.5, seed=4),
    }
    for shape in ((3, 5), (2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 2, 5)):
        for left_out in ((), ("gamma",), ("beta",), ("gamma", "beta")):
            chosen = {role: w for role, w in weights.items() if role not in left_out}

            def normalized(x, *arrays, names=tuple(chosen)):
                given = dict(zip(names, arrays, strict=True))
                return tf.nn.batch_normalization(
                    x, given["mean"], given["variance"], given.get("beta"), given.get("gamma"), 1e-3
                )

            name = f"batch_norm-{len(shape)}-{left_out}"
            options = {"epsilon": 1e-3, "decay": 0.9, "fused": False}
            add(name, "batch_norm", normalized, [values(*shape)], chosen, **options)
    for shape in ((3, 5), (2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 2, 5)):
        alpha = {"alpha": values(5, seed=5)}

        def prelu(x, a):
            return tf.nn.relu(x) + a * tf.minimum(x, 0)

        add(f"prelu-{len(shape)}", "prelu", prelu, [values(*shape)], alpha)
        bias = {"bias": values(5, seed=5)}
        add(f"bias-{len(shape)}", "bias", lambda x, b: x + b, [values(*shape)], bias)
    add("prelu-scalar", "prelu", prelu, [EVEN], {"alpha": np.array(0.3)})
    add("parameter", "parameter", lambda v: v, [], {"value": values(2, 3, 4, 5)})


UNARY = {
    **{name: getattr(tf.nn, name) for name in ("relu", "relu6", "elu", "selu", "softplus")},
    **{name: getattr(tf.math, name) for name in ("sigmoid", "tanh", "softsign", "abs", "square")},
    **{
        name: getattr(tf.math, name)
        for name in ("exp", "expm1", "floor", "ceil", "round", "sign", "erf")
    },
    **{name: getattr(tf.math, name) for name in ("sin", "cos", "reciprocal")},
    "neg": tf.negative,
    "zeros_like": tf.zeros_like,
    "ones_like": tf.ones_like,
    "identity": tf.identity,
    "stop_gradient": tf.stop_gradient,
    "swish": tf.nn.silu,
    "hard_sigmoid": lambda x: tf.nn.relu6(x + 3) / 6,
    "hard_swish": lambda x: x * tf.nn.relu6(x + 3) / 6,
}
POSITIVE = {name: getattr(tf.math, name) for name in ("sqrt", "rsqrt", "log", "log1p")}


def _elementwise():
    wide = values(2, 3, 5, 4, low=-50, high=50)
    halves = np.arange(-8, 8).reshape(1, 2, 2, 4) / 2
    for name, compute in UNARY.items():
        for label, x in (("image", EVEN), ("wide", wide), ("halves", halves), ("row", values(7))):
            if (name, label) != ("reciprocal", "halves"):
                add(f"{name}-{label}", name, compute, [x])
    for name, compute in POSITIVE.items():
        add(name, name, compute, [values(2, 3, 5, 4, low=0.1)])
    add("is_finite", "is_finite", tf.math.is_finite, [np.array([1.0, np.inf, np.nan, -np.inf])])
    add("logical_not", "logical_not", tf.logical_not, [EVEN > 0])
    add("leaky_relu", "leaky_relu", lambda x: tf.nn.leaky_relu(x, 0.25), [EVEN], alpha=0.25)
    add("clip", "clip", lambda x: tf.clip_by_value(x, -0.5, 1.5), [EVEN], low=-0.5, high=1.5)
    for shape in ((3, 5), (2, 3, 4, 5), (2, 2, 3, 4, 5)):
        for axis in range(len(shape)):
            for name in ("softmax", "log_softmax"):
                compute = getattr(tf.nn, name)
                add(
                    f"{name}-{len(shape)}-{axis}",
                    name,
                    lambda x, c=compute, a=axis: c(x, a),
                    [values(*shape)],
                    axis=axis,
                )
    add("dropout", "dropout", tf.identity, [EVEN], rate=0.4)
    add("cast-int", "cast", lambda x: tf.cast(x, tf.int32), [EVEN], dtype="int32")
    add("cast-bool", "cast", lambda x: tf.cast(x, tf.float64), [EVEN > 0], dtype="float32")


def _several():
    shapes = {
        "same": ((2, 3, 4, 5), (2, 3, 4, 5)),
        "channels": ((2, 3, 4, 5), (5,)),
        "channels-first": ((5,), (2, 3, 4, 5)),
        "scalar": ((2, 3, 4, 5), ()),
        "row": ((2, 3, 4, 5), (4, 5)),
        "map": ((2, 3, 4, 5), (3, 4, 5)),
        "map-1": ((2, 3, 4, 5), (3, 4, 1)),
        "ones": ((2, 3, 4, 5), (2, 1, 1, 5)),
        "columns": ((3, 1), (4,)),
        "outer": ((2, 1, 4, 1), (3, 1, 5)),
        "five": ((2, 3, 2, 4, 5), (4, 5)),
        "five-four": ((2, 3, 2, 4, 5), (3, 2, 4, 5)),
        "six": ((2, 2, 3, 2, 4, 5), (3, 2, 1, 5)),
    }
    binary = {
        "add": tf.add,
        "sub": tf.subtract,
        "mul": tf.multiply,
        "div": tf.divide,
        "floor_div": tf.math.floordiv,
        "floor_mod": tf.math.floormod,
        "maximum": tf.maximum,
        "minimum": tf.minimum,
        "squared_difference": tf.math.squared_difference,
        "greater": tf.greater,
        "greater_equal": tf.greater_equal,
        "less": tf.less,
        "less_equal": tf.less_equal,
        "equal": tf.equal,
        "not_equal": tf.not_equal,
    }
    for label, (one, other) in shapes.items():
        feeds = [values(*one), values(*other, seed=1)]
        for name in binary if label in ("same", "map") else ("sub", "maximum"):
            add(f"{name}-{label}", name, binary[name], feeds)
        tests = [feeds[0] > 0, *feeds]
        add(f"select-{label}", "select", tf.where, tests)
    add("equal-ints", "equal", tf.equal, [np.arange(6), np.array([0, 2, 2, 3, 0, 5])])
    ints = np.array([-7, -6, 5, 7]), np.array([2, 4, -3, 7])
    add("div-ints", "div", _div, list(ints))
    add("floor_div-ints", "floor_div", tf.math.floordiv, list(ints))
    add("floor_mod-ints", "floor_mod", tf.math.floormod, list(ints))
    add("pow", "pow", tf.pow, [values(2, 3, low=0.1), values(3)])
    add("logical_and", "logical_and", tf.logical_and, [EVEN > 0, EVEN[0] > 1])
    add("logical_or", "logical_or", tf.logical_or, [EVEN > 0, EVEN[0] > 1])
    add("add_n", "add_n", lambda *x: tf.add_n(x), [EVEN, EVEN + 1, EVEN * 2])
    for one, other, a, b in (
        ((3, 4), (4, 5), False, False),
        ((2, 4, 3), (2, 4, 5), True, False),
        ((2, 3, 4, 5), (2, 3, 6, 5), False, True),
        ((2, 3, 2, 4, 5), (5, 6), False, False),
    ):
        add(
            f"matmul-{len(one)}-{len(other)}",
            "matmul",
            lambda x, y, a=a, b=b: tf.matmul(x, y, a, b),
            [values(*one), values(*other, seed=1)],
            transpose_a=a,
            transpose_b=b,
        )


def _div(a, b):
    return raw.Div(x=a, y=b)


def _windows():
    for size, x in SIZES.items():
        for padding in ("SAME", "VALID"):
            for strides in ((1, 1), (2, 2), (3, 1)):
                for kernel in ((2, 2), (3, 3), (1, 1), (5, 4)):
                    for name, function in (
                        ("max_pool", tf.nn.max_pool2d),
                        ("avg_pool", tf.nn.avg_pool2d),
                    ):
                        add(
                            f"{name}-{size}-{padding}-{strides}-{kernel}",
                            name,
                            lambda x, f=function, k=kernel, s=strides, p=padding: f(x, k, s, p),
                            [x - 5],
                            kernel=kernel,
                            strides=strides,
                            padding=padding,
                        )
        for name in ("depth_to_space", "space_to_depth"):
            block = {"even": 2, "odd": 3}[size]
            fed = values(2, 3, 4, 2 * block**2) if name == "depth_to_space" else values(2, 6, 12, 5)
            compute = getattr(tf.nn, name)
            add(f"{name}-{size}", name, lambda x, c=compute, b=block: c(x, b), [fed], block=block)
    pads = ((1, 1), (2, 0))
    add(
        "space_to_batch",
        "space_to_batch",
        lambda x: tf.space_to_batch(x, (2, 3), pads),
        [values(2, 6, 10, 3)],
        block=(2, 3),
        paddings=pads,
    )
    add(
        "batch_to_space",
        "batch_to_space",
        lambda x: raw.BatchToSpaceND(input=x, block_shape=(2, 3), crops=pads),
        [values(12, 4, 4, 3)],
        block=(2, 3),
        crops=pads,
    )
    for shape, paddings in (
        ((2, 5, 6, 3), ((0, 0), (1, 2), (3, 0), (0, 0))),
        ((2, 5, 6, 3), ((0, 1), (1, 2), (0, 0), (2, 1))),
        ((4, 5), ((0, 0), (1, 2))),
        ((2, 3, 4, 5, 3), ((0, 0), (1, 2), (2, 1), (0, 3), (1, 1))),
    ):
        for mode in ("CONSTANT", "REFLECT", "SYMMETRIC"):
            value = 1.5 if mode == "CONSTANT" else 0.0
            add(
                f"pad-{mode}-{paddings}",
                "pad",
                lambda x, p=paddings, m=mode, v=value: tf.pad(x, p, m, v),
                [values(*shape)],
                paddings=paddings,
                mode=mode,
                value=value,
            )


def _reductions():
    floats = {
        "mean": tf.reduce_mean,
        "sum": tf.reduce_sum,
        "max": tf.reduce_max,
        "min": tf.reduce_min,
        "prod": tf.reduce_prod,
    }
    bools = {"any": tf.reduce_any, "all": tf.reduce_all}
    axes = {
        (2, 3, 4, 5): ((1, 2), (3,), (1,), (2,), (0,), (0, 1, 2), (1, 3), (0, 1, 2, 3), ()),
        (3, 5): ((0,), (1,), (0, 1)),
        (2, 3, 4, 3, 5): ((1, 2, 3), (4,), (2,), (3, 4), (0, 4)),
        (2, 3, 2, 2, 4, 5): ((5,), (0,), (1, 3)),
    }
    for shape, choices in axes.items():
        for chosen in choices:
            for keep in (False, True):
                named = floats | bools if chosen in ((1, 2), (3,)) else {"mean": tf.reduce_mean}
                for name, function in named.items():
                    x = values(*shape) if name in floats else values(*shape) > -1.5
                    add(
                        f"{name}-{len(shape)}-{chosen}-{keep}",
                        name,
                        lambda x, f=function, a=chosen, k=keep: f(x, a, k),
                        [x],
                        axes=chosen,
                        keepdims=keep,
                    )
    for shape in ((2, 3, 4, 5), (3, 5), (2, 3, 4, 2, 5)):
        for axis in range(len(shape)):
            ties = np.round(values(*shape))
            for name in ("argmax", "argmin"):
                function = getattr(tf, name)
                add(
                    f"{name}-{len(shape)}-{axis}",
                    name,
                    lambda x, f=function, a=axis: f(x, a),
                    [ties],
                    axis=axis,
                )
            for exclusive, reverse in ((False, False), (True, False), (True, True)):
                add(
                    f"cumsum-{len(shape)}-{axis}-{exclusive}-{reverse}",
                    "cumsum",
                    lambda x, a=axis, e=exclusive, r=reverse: tf.cumsum(x, a, e, r),
                    [values(*shape)],
                    axis=axis,
                    exclusive=exclusive,
                    reverse=reverse,
                )


def _shapes():
    image, five = values(2, 3, 4, 5), values(2, 3, 4, 2, 5)
    for x in (image, five, values(3, 5), values(2, 3, 5)):
        for axis in range(x.ndim):
            add(
                f"concat-{x.ndim}-{axis}",
                "concat",
                lambda *v, a=axis: tf.concat(v, a),
                [x, x + 1],
                axis=axis,
            )
            add(
                f"reverse-{x.ndim}-{axis}",
                "reverse",
                lambda v, a=axis: tf.reverse(v, (a,)),
                [x],
                axes=(axis,),
            )
            add(
                f"gather-{x.ndim}-{axis}",
                "gather",
                lambda v, a=axis: tf.gather(v, [1, 0, 1], axis=a),
                [x],
                axis=axis,
                indices=(1, 0, 1),
            )
            add(
                f"gather-rows-{x.ndim}-{axis}",
                "gather",
                lambda v, i, a=axis: tf.gather(v, i, axis=a),
                [x, np.array([[1, 0], [0, 1]])],
                axis=axis,
                indices=None,
            )
        for axis in range(x.ndim + 1):
            add(
                f"stack-{x.ndim}-{axis}",
                "stack",
                lambda *v, a=axis: tf.stack(v, a),
                [x, x + 1],
                axis=axis,
            )
            add(
                f"expand_dims-{x.ndim}-{axis}",
                "expand_dims",
                lambda v, a=axis: tf.expand_dims(v, a),
                [x],
                axis=axis,
            )
        tiles = tuple(range(1, x.ndim + 1))
        add(f"tile-{x.ndim}", "tile", lambda v, t=tiles: tf.tile(v, t), [x], multiples=tiles)
        add(f"flatten-{x.ndim}", "flatten", lambda v: tf.reshape(v, (len(v), -1)), [x])
    for shape, axes in (
        ((2, 1, 1, 5), (1, 2)),
        ((2, 1, 3, 1), (3,)),
        ((2, 1, 3, 4), (1,)),
        ((2, 3, 1, 1, 5), (2,)),
        ((2, 3, 4, 5, 1), (4,)),
        ((1, 4), (0,)),
        ((2, 1, 3, 1, 2, 4), (1, 3)),
    ):
        add(
            f"squeeze-{shape}-{axes}",
            "squeeze",
            lambda v, a=axes: tf.squeeze(v, a),
            [values(*shape)],
            axes=axes,
        )
    for shape, new in (
        ((2, 3, 4, 5), (2, 12, 5)),
        ((2, 3, 4, 5), (-1, 60)),
        ((2, 3, 4, 6), (2, 3, 4, 2, 3)),
        ((2, 3, 4, 2, 3), (2, 3, 4, 6)),
        ((2, 3, 4, 6), (2, 6, 2, 6)),
        ((2, 12), (2, 1, 1, 12)),
        ((2, 1, 1, 12), (-1, 12)),
        ((2, 1, 1, 12), (2, 3, 4)),
        ((2, 12), (2, 2, 2, 3)),
        ((2, 3, 4, 4), (2, 3, 2, 2, 2, 2)),
        ((2, 3, 2, 2, 2, 2), (6, 2, 2, 4)),
    ):
        add(
            f"reshape-{shape}-{new}",
            "reshape",
            lambda v, n=new: tf.reshape(v, n),
            [values(*shape)],
            shape=new,
        )
    for x, order in (
        (image, (0, 3, 1, 2)),
        (image, (0, 2, 1, 3)),
        (image, (3, 0, 2, 1)),
        (five, (0, 1, 2, 4, 3)),
        (values(2, 3, 5), (0, 2, 1)),
    ):
        add(
            f"transpose-{order}",
            "transpose",
            lambda v, o=order: tf.transpose(v, o),
            [x],
            permutation=order,
        )
    for shape, new in (((5,), (2, 3, 4, 5)), ((3, 1, 5), (2, 3, 4, 5)), ((3,), (4, 3))):
        add(
            f"broadcast_to-{new}-{shape}",
            "broadcast_to",
            lambda v, n=new: tf.broadcast_to(v, n),
            [values(*shape)],
            shape=new,
        )
    add(
        "slice",
        "slice",
        lambda v: tf.slice(v, (0, 1, 2, 3), (2, 2, -1, 1)),
        [image],
        begin=(0, 1, 2, 3),
        size=(2, 2, -1, 1),
    )


ALL = (None, None, 1)


def _slices():
    image = values(2, 7, 8, 5)
    for text, slices, shrink, new in (
        ("[:, 1:-1, ::2]", (ALL, (1, -1, 1), (None, None, 2)), (), ()),
        ("[..., :3]", (ALL,) * 3 + ((None, 3, 1),), (), ()),
        ("[..., 2]", (ALL,) * 3 + ((2, 3, 1),), (3,), ()),
        ("[:, 3]", (ALL, (3, 4, 1)), (1,), ()),
        ("[1]", ((1, 2, 1),), (0,), ()),
        ("[:, -1, :, -2]", (ALL, (-1, None, 1), ALL, (-2, -1, 1)), (1, 3), ()),
        ("[:, ::-1]", (ALL, (None, None, -1)), (), ()),
        ("[:, 5:1:-2, -2::-3]", (ALL, (5, 1, -2), (-2, None, -3)), (), ()),
        ("[:, :, tf.newaxis, 2]", (ALL, ALL, (2, 3, 1)), (2,), (2,)),
        ("[:, tf.newaxis]", (), (), (1,)),
        ("[..., tf.newaxis, 0]", (ALL,) * 3 + ((0, 1, 1),), (3,), (3,)),
    ):
        slices = slices + (ALL,) * (4 - len(slices))
        add(
            f"strided_slice-{text}",
            "strided_slice",
            lambda v, t=text: eval(f"v{t}", {"v": v, "tf": tf}),
            [image],
            slices=slices,
            shrink=shrink,
            new=new,
        )


for define in (
    _convolutions,
    _transposed_convolutions,
    _other_weights,
    _elementwise,
    _several,
    _windows,
    _reductions,
    _shapes,
    _slices,
):
    define()


def network_of(kind, feeds, weights, options, shape) -> Network:
    """A network of one layer, "out"; its inputs are x0, x1, ..., its weights scope/ROLE."""
    inputs = tuple(Input(f"x{i}", x.shape, str(x.dtype)) for i, x in enumerate(feeds))
    parameters = {
        f"scope/{role}": Parameter(f"scope/{role}", w.shape, True, (f"scope/{role}",), dict.get)
        for role, w in weights.items()
    }
    layer = Layer(
        "out",
        kind,
        tuple(each.name for each in inputs),
        {role: f"scope/{role}" for role in weights},
        options,
        tuple(shape),
    )
    if not inputs:
        inputs = (Input("x0", (1,)),)
    network = Network("x.meta", inputs, (layer,), ("out",), parameters)
    network.check()
    return network
