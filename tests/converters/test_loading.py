"""Whatever form the weights come in: the same network, the same arrays, the same outputs."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

import converters
from converters import formats
from slim_resnet import graph
from slim_resnet.arch.parts import nominal_epsilon
from slim_resnet.compat import tf
from slim_resnet.regression.record import seeded_value

SOURCES = ("v1", "sharded", "frozen.pb", "saved_model")


@pytest.mark.parametrize("net", ["slim_v1", "slim_v2"])
@pytest.mark.parametrize("source", SOURCES)
def test_every_artifact_of_tf_115_holds_the_same_network(data, net, source):
    import torch

    reference = converters.load_checkpoint(data / net / "v2")
    ckpt = converters.load_checkpoint(data / net / source)
    # TensorFlow 1.15 raised slim's epsilon, and its graph says so.
    epsilon = nominal_epsilon(ckpt.arch.batch_norm_epsilon)
    arch = ckpt.arch.replace(batch_norm_epsilon=epsilon)
    assert (arch, ckpt.scope) == (reference.arch, reference.scope)
    expected = reference.weights()
    for name, value in ckpt.weights().items():
        np.testing.assert_array_equal(value, expected[name])
    recorded = np.load(data / net / "outputs.npz")
    x = torch.from_numpy(recorded["47x33|image"]).permute(0, 3, 1, 2)
    logits = converters.to_torch(ckpt)(x).detach().numpy()
    error = np.abs(logits - recorded["47x33|logits"]).max()
    assert error <= 2e-5 * np.abs(recorded["47x33|logits"]).max()


def test_dumps_of_slim_variables(data, tmp_path):
    reference = converters.load_checkpoint(data / "slim_v1" / "v2")
    formats.writer("hdf5", tmp_path / "dump.h5")(reference)
    np.savez(tmp_path / "dump.npz", **{name: reference[name] for name in reference})
    for name in ("dump.h5", "dump.npz"):
        ckpt = converters.load_checkpoint(tmp_path / name)
        assert ckpt.arch == reference.arch
        np.testing.assert_array_equal(
            ckpt.weights()["logits/weights"], reference.weights()["logits/weights"]
        )


@pytest.mark.parametrize(
    "changes", [{}, {"convention": "torchvision"}, {"output_stride": 8}], ids=str
)
def test_the_graph_beside_a_checkpoint_tells_what_weights_do_not(changes, narrow, tmp_path):
    arch = narrow("resnext_v1_50", **changes)
    with tf.Graph().as_default(), tf.Session() as session:
        graph.build(arch, tf.placeholder(tf.float32, [None, None, None, 3]), scope="net")
        graph.assign(
            session,
            {v: seeded_value(v.op.name, tuple(v.shape)) for v in tf.global_variables()},
        )
        tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))  # with model.ckpt.meta
    found = converters.load_checkpoint(tmp_path / "model.ckpt").arch
    assert found.replace(name="x") == arch.replace(name="x")
    # what is asked for goes before the graph, with a note, and without a graph slim's way is taken
    told = converters.load_checkpoint(tmp_path / "model.ckpt", convention="slim")
    asked = told.arch
    path = tmp_path / "model.ckpt.meta"
    assert told.notes == [
        f"{path}: the graph has {field} {value}, but {default} was asked for and is taken"
        for field, value in changes.items()
        for default in [getattr(asked, field)]
    ]
    path.unlink()
    alone = converters.load_checkpoint(tmp_path / "model.ckpt")
    assert (asked, alone.notes) == (alone.arch, [])
    assert (asked.convention, asked.output_stride) == ("slim", None)


def test_strides_are_read_off_the_graph(narrow, tmp_path):
    arch = narrow("resnet_v1_50")
    odd = arch.replace(stages=tuple(dataclasses.replace(s, stride=3) for s in arch.stages))
    with tf.Graph().as_default(), tf.Session() as session:
        graph.build(odd, tf.placeholder(tf.float32, [None, None, None, 3]), scope="net")
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    found = converters.load_checkpoint(tmp_path / "model.ckpt").arch
    assert [s.stride for s in found.stages] == [3, 3, 3, 3]
    note, untrained = converters.load_checkpoint(tmp_path / "model.ckpt", arch=arch).notes
    assert "the graph has strides [3, 3, 3, 3], but [2, 2, 2, 1] was asked for" in note
    assert untrained.startswith("Every moving mean is 0 and every moving variance 1")


def test_a_damaged_graph_is_no_obstacle_to_who_says_the_convention(data, tmp_path):
    shutil.copytree(data / "slim_v1" / "v2", tmp_path / "v2")
    meta = (data / "slim_v1" / "inference.meta").read_bytes()
    (tmp_path / "v2" / "model.ckpt-60.meta").write_bytes(meta[: len(meta) // 2])
    with pytest.raises(converters.CheckpointError, match="model.ckpt-60.meta"):
        converters.load_checkpoint(tmp_path / "v2")
    ckpt = converters.load_checkpoint(tmp_path / "v2", convention="slim")
    assert ckpt.arch == converters.load_checkpoint(data / "slim_v1" / "v2").arch
    (note,) = ckpt.notes
    assert note.startswith("the graph was not used, as you said what it computes: ")


@pytest.mark.parametrize(
    "changes", [{"convention": "torchvision"}, {"output_stride": 8}, {"batch_norm_epsilon": 1e-3},
                pytest.param({"form": "branches"}, marks=pytest.mark.slow)], ids=str
)  # fmt: skip
def test_a_dump_of_ours_remembers_what_weights_do_not_tell(changes, narrow, save_checkpoint,
                                                           tmp_path):  # fmt: skip
    arch = narrow("resnext_v1_50", base=2, **changes)
    ckpt = converters.load_checkpoint(save_checkpoint(arch), arch=arch)
    formats.writer("hdf5", tmp_path / "dump.h5")(ckpt)
    assert converters.load_checkpoint(tmp_path / "dump.h5").arch == arch


def test_what_is_left_out_is_listed(data):
    path = data / "slim_v1" / "v2"
    model = dict(converters.load_checkpoint(path).left_out())
    assert {kind: len(names) for kind, names in model.items()} == {
        "moving averages": 267, "optimizer slots": 161, "training state": 1,
    }  # fmt: skip
    averages = dict(converters.load_checkpoint(path, weights="ema").left_out())
    assert {kind: len(names) for kind, names in averages.items()} == {
        "replaced by moving averages": 267, "optimizer slots": 161, "training state": 1,
    }  # fmt: skip
    assert "resnet_v1_50/conv1/weights" in averages["replaced by moving averages"]
    script = dict(converters.load_checkpoint(data / "resnext_cifar").left_out())
    assert {kind: len(names) for kind, names in script.items()} == {
        "zero-debias helpers": 164, "optimizer slots": 247, "training state": 1,
    }  # fmt: skip


def test_weights_under_other_names_say_where_to_go(data, tmp_path):
    reference = converters.load_checkpoint(data / "slim_v1" / "v2")
    formats.writer("torch", tmp_path / "net.safetensors")(reference)
    with pytest.raises(converters.CheckpointError, match="say --from torch or torchvision"):
        converters.load_checkpoint(tmp_path / "net.safetensors")


def test_a_v2_checkpoint_and_its_meta_may_be_named_by_any_file(data, tmp_path):
    shutil.copytree(data / "slim_v1" / "v2", tmp_path / "v2")
    for name in ("model.ckpt-60", "model.ckpt-60.index", "checkpoint", "."):
        assert len(converters.load_checkpoint(tmp_path / "v2" / name)) == 696
