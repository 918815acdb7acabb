"""Layers of whole maps: windows, reductions, shapes, slices."""

from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from layer_table import SIZES, add, raw, values  # noqa: E402


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


for define in (_windows, _reductions, _shapes, _slices):
    define()
