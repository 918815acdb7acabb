"""Layers with weights: convolutions, dense ones, batch norms, biases."""

from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from layer_table import EVEN, ODD, SIZES, add, values  # noqa: E402

_KERNEL = ("strides", "padding", "dilations", "groups")


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


for define in (_convolutions, _transposed_convolutions, _other_weights):
    define()
