"""Building an Arch, counting it, writing it."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from slim_resnet import arch as arch_lib
from slim_resnet import graph
from slim_resnet.compat import slim, tf

DEEP = ("_101", "_110", "_152", "_200")
NAMES = [
    pytest.param(name, marks=pytest.mark.slow if any(d in name for d in DEEP) else ())
    for name in sorted(arch_lib.REGISTRY)
]


def test_totals_of_resnext_50():
    with tf.Graph().as_default():
        arch = arch_lib.get("resnext_v1_50", convention="torchvision")
        _, end_points = graph.build(arch, tf.placeholder(tf.float32, [None, 224, 224, 3]))
        rows = graph.summarize(arch, end_points)
    assert [row.block for row in rows] == [
        "conv1",
        "block1",
        "block2",
        "block3",
        "block4",
        "logits",
    ]
    assert rows[1].output == (56, 56, 256)
    assert sum(row.parameters for row in rows) == 25_028_904
    # torchvision's published 4.23 GMAC
    assert sum(row.multiply_adds for row in rows) == pytest.approx(4.23e9, rel=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_is_what_the_arch_says(name):
    arch = arch_lib.get(name, num_classes=7)
    with tf.Graph().as_default():
        _, end_points = graph.build(arch, tf.placeholder(tf.float32, [1, 33, 33, 3]))
        trainable = {v.op.name for v in tf.trainable_variables()}
        found = [
            (v.op.name, tuple(v.shape.as_list()), v.op.name in trainable)
            for v in tf.global_variables()
        ]
    prefix = "" if arch.has_script_names else f"{name}/"
    assert found == [(prefix + v.name, v.shape, v.trainable) for v in arch.variables]
    # forms other than the grouped one also collect what is inside the branches
    names = [n for n in end_points if "/branch_" not in n]
    assert names == [f"{name}/{e}" for e in arch.end_points] + ["predictions"]


def test_network_functions_are_their_arch():
    from slim_resnet import resnext_v1

    arch = arch_lib.get("resnext_v1_50", num_classes=7)
    with tf.Graph().as_default(), slim.arg_scope(resnext_v1.resnet_arg_scope()):
        resnext_v1.resnext_v1_50(tf.placeholder(tf.float32, [1, 33, 33, 3]), 7)
        assert [v.op.name for v in tf.global_variables()] == [
            f"resnext_v1_50/{v.name}" for v in arch.variables
        ]
    assert resnext_v1.resnext_v1_50.default_image_size == 224


def test_depth_multiplier_and_spatial_squeeze_of_the_model_garden():
    from slim_resnet import resnet_v1

    with tf.Graph().as_default():
        net, end_points = resnet_v1.resnet_v1_50(
            tf.placeholder(tf.float32, [2, 32, 32, 3]),
            10,
            depth_multiplier=0.25,
            min_base_depth=24,
            spatial_squeeze=True,
        )
        assert net.shape.as_list() == [2, 10]
        assert end_points["resnet_v1_50/block1"].shape[-1] == 4 * 24
        assert end_points["resnet_v1_50/block4"].shape[-1] == 4 * 128
        assert end_points["predictions"].shape.as_list() == [2, 10]


def test_written_graph_is_whole_and_its_checkpoint_restores(tmp_path, narrow):
    arch = narrow("resnext_v1_50")
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        graph.build(arch, tf.placeholder(tf.float32, [None, 32, 32, 3]))
        files = graph.write(tmp_path / "out", init_checkpoint=True)
    assert {"graph.pb", "graph.pbtxt", "model.meta", "checkpoint", "model.ckpt.index"} < set(files)
    assert any(name.startswith("events.out.tfevents") for name in files)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == files
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.import_meta_graph(str(tmp_path / "out" / "model.meta"))
        saver.restore(session, tf.train.latest_checkpoint(str(tmp_path / "out")))
        values = session.run(tf.trainable_variables())
    assert len(values) == 89
    assert all(np.isfinite(v).all() for v in values)


def test_the_seed_decides_the_initial_values(tmp_path, narrow):
    def first_weights(seed):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(seed)
            graph.build(narrow("resnet_v1_50"), tf.placeholder(tf.float32, [1, 32, 32, 3]))
            session.run(tf.global_variables_initializer())
            return session.run(tf.global_variables()[0])

    np.testing.assert_array_equal(first_weights(1), first_weights(1))
    assert (first_weights(1) != first_weights(2)).any()


def test_nothing_half_written(tmp_path):
    from slim_resnet.files import atomic_folder, atomic_path

    (tmp_path / "file").write_text("old")
    with contextlib.suppress(InterruptedError), atomic_path(tmp_path / "file") as path:
        path.write_text("new")
        raise InterruptedError
    with contextlib.suppress(InterruptedError), atomic_folder(tmp_path / "folder") as folder:
        (folder / "a").write_text("new")
        raise InterruptedError
    assert (tmp_path / "file").read_text() == "old"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]
    with pytest.raises(FileNotFoundError, match="make it first"), atomic_path(tmp_path / "no/file"):
        pass
    with pytest.raises(IsADirectoryError, match="name a file in it"), atomic_path(tmp_path):
        pass
