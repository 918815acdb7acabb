"""The rebuilt networks against what TensorFlow 1.15 recorded of `tf.contrib.slim.nets`."""

from __future__ import annotations

import numpy as np
import pytest

from slim_resnet import graph, resnet_v1, resnet_v2
from slim_resnet.compat import slim, tf
from slim_resnet.regression.record import read_record, seeded_value, take_samples

MODULES = {"resnet_v1": resnet_v1, "resnet_v2": resnet_v2}
BOUND = {"float64": 1e-12, "float32": 2e-5}


def rebuild(record, dtype: str):
    """The network of `record` on today's TensorFlow, as legacy code would build it."""
    name = record.info["builder"].partition(":")[2]
    module = MODULES[name[: len("resnet_v1")]]
    images = tf.placeholder(dtype, [None, None, None, 3])
    with (
        slim.arg_scope(module.resnet_arg_scope()),
        slim.arg_scope([slim.batch_norm], fused=None if dtype == "float32" else False),
    ):
        _, end_points = getattr(module, name)(images, **record.info["kwargs"])
    return images, end_points


@pytest.mark.parametrize("name", ["resnet_v1_50", "resnet_v2_50", "resnet_v1_50_os8"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_end_point_is_that_of_tf_115(legacy, name, dtype):
    record = read_record(legacy / f"{name}.npz")
    cases = [case for case in record.cases if case.startswith(dtype)]
    assert cases
    with tf.Graph().as_default(), tf.Session() as session:
        images, end_points = rebuild(record, dtype)
        variables = {v: seeded_value(v.op.name, tuple(v.shape)) for v in tf.global_variables()}
        graph.assign(session, variables)
        for case in cases:
            expected = record.end_points(case)
            found = session.run(end_points, {images: record.images(case)})
            assert list(found) == list(expected)
            assert {n: v.shape for n, v in found.items()} == record.shapes(case)
            for end_point, then in expected.items():
                now = take_samples(found[end_point], record.info["samples"])
                error = np.abs(now - then).max() / np.abs(then).max()
                assert error <= BOUND[dtype], f"{case} {end_point}: {error:.1e}"


@pytest.mark.parametrize(
    "name",
    [
        "resnet_v1_50",
        "resnet_v1_101",
        pytest.param("resnet_v2_152", marks=pytest.mark.slow),
        pytest.param("resnet_v1_200", marks=pytest.mark.slow),
    ],
)
def test_variables_are_those_of_tf_115_in_order(legacy, name):
    record = read_record(legacy / f"{name}.npz")
    with tf.Graph().as_default():
        rebuild(record, "float32")
        trainable = {v.op.name for v in tf.trainable_variables()}
        found = [
            (v.op.name, v.shape.as_list(), v.dtype.base_dtype.name, v.op.name in trainable)
            for v in tf.global_variables()
        ]
    keys = ("name", "shape", "dtype", "trainable")
    assert found == [tuple(v[k] for k in keys) for v in record.info["variables"]]


def test_float32_at_224_was_compared(legacy):
    assert "float32|224x224" in read_record(legacy / "resnet_v1_50.npz").cases
