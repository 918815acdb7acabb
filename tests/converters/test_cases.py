"""Recorded cases: converted, run by what they are for, and compared with the record."""

from __future__ import annotations

import json

import numpy as np
import pytest

from converters.batch.cases import Case, CaseConverter, read_case
from slim_resnet.compat import tf


def record(folder, build, size=(96, 80), **more) -> Case:
    """A case: what `build` makes of a placeholder, run by TensorFlow."""
    folder.mkdir()
    images = np.random.default_rng(3).uniform(-1, 1, (2, *size, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        fed = tf.placeholder(tf.float32, [None, None, None, 3], "image")
        out = tf.identity(build(fed), "out")
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / "model.ckpt"))
        value = session.run(out, {fed: images})
    np.savez(folder / "ref.npz", image=images, out=value)
    told = {"inputs": {"image": "image"}, "outputs": {"out": "out"}, "note": "a test's"}
    told |= {"checkpoint": "model.ckpt", "ref": "ref.npz", **more}
    (folder / "case.json").write_text(json.dumps(told))
    return read_case(folder)


def conv(x, channels, size, stride=1):
    kernel = tf.get_variable(f"k{size}_{stride}", [size, size, x.shape[-1], channels])
    return tf.nn.conv2d(x, kernel, strides=[1, stride, stride, 1], padding="VALID")


def needs_large_images(x):
    """Nothing is left of an image that is smaller than 79 pixels."""
    x = tf.nn.relu(conv(x, 4, 7, 4))
    x = tf.nn.relu(conv(x, 4, 5, 3))
    return tf.reduce_mean(conv(x, 5, 5), [1, 2])


@pytest.fixture
def converter(tmp_path):
    folder = tmp_path / "written"
    folder.mkdir()
    with CaseConverter(folder, verified=False) as made:
        yield made


def test_every_target_takes_a_network_that_needs_large_images(tmp_path, converter):
    """An export runs an example: one of 65 x 97 would leave nothing here."""
    case = record(tmp_path / "large", needs_large_images)
    for target in ("torch", "onnx"):
        result = converter.convert(case, target)
        assert not result.error
        assert result.difference < 1e-5
        assert (result.worst, result.layers) == ("out", 7)
        assert result.parameters == 7 * 7 * 3 * 4 + 5 * 5 * 4 * 4 + 5 * 5 * 4 * 5


def test_what_was_recorded_is_what_counts(tmp_path, converter):
    case = record(tmp_path / "net", lambda x: tf.nn.relu(conv(x, 4, 3)))
    case.outputs["out"][0, 3, 3, 1] += 0.5 * case.outputs["out"].max()
    result = converter.convert(case, "torch")
    assert 0.1 < result.difference < 0.6
    assert result.rounding < 1e-5
    case.outputs["out"][0, 3, 3, 1] = np.nan
    assert converter.convert(case, "torch").difference == np.inf


def test_a_refusal_is_a_sentence_and_the_next_case_goes_on(tmp_path, converter):
    def unknown(x):
        return tf.cast(tf.where(conv(x, 1, 3) > 0), tf.float32)

    refused = converter.convert(record(tmp_path / "refused", unknown), "torch")
    assert "which no layer here does" in refused.error
    assert refused.difference is None
    good = record(tmp_path / "good", lambda x: conv(x, 4, 3))
    assert converter.convert(good, "torch").difference < 1e-5


def test_float32_alone_may_move_outputs(tmp_path, converter):
    """A softmax of large numbers: the record itself is no nearer to what was meant."""

    def sharp(x):
        return tf.nn.softmax(3e4 * conv(x, 4, 3))

    result = converter.convert(record(tmp_path / "sharp", sharp), "torch")
    assert result.rounding > 1e-5
    assert result.difference < 4 * result.rounding
