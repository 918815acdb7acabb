"""The old names: where each is today, and what the ones made anew give."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from slim_resnet.legacy import lookup
from slim_resnet.legacy.replacements.hparams import HParams
from slim_resnet.legacy.tables import (
    keras,
    python_stdlib,
    tensorflow,
    tensorflow_internals,
    tflearn,
)
from slim_resnet.legacy.tables.symbols import is_package

CONTRIB_LEVEL = 2  # dots in "tf.contrib.slim"


@pytest.fixture(scope="module")
def names(data) -> list[str]:
    """Every public name of TensorFlow 1.15.5, under tf.contrib and outside."""
    packed = (data / "legacy_scripts" / "symbols.txt.gz").read_bytes()
    return gzip.decompress(packed).decode().split()


# Symbols


def test_every_name_of_tensorflow_1_is_there_or_has_a_remedy(names):
    from slim_resnet.legacy.running.old_modules import old_module, resolve

    tf = old_module("tensorflow")
    found, gone, missing = 0, 0, []
    for name in names:
        symbol = lookup(name)
        if symbol is not None and symbol.successor is None:
            gone += 1
            assert symbol.remedy, name
            continue
        found += 1
        try:
            if symbol is not None:
                resolve(symbol.successor)
            else:
                _walk(tf, name)
        except (AttributeError, ImportError):
            missing.append(name)
    assert missing == []
    assert found > 4900
    assert gone > 2000


def _walk(module, name: str):
    for part in name.split(".")[1:]:
        module = getattr(module, part)
    return module


def test_every_other_successor_is_there():
    from slim_resnet.legacy.running.old_modules import resolve

    for table in (keras, python_stdlib, tensorflow, tensorflow_internals, tflearn):
        assert table.SUCCESSORS
        for name in table.SUCCESSORS:
            assert resolve(lookup(name).successor) is not None, name


def test_no_package_of_contrib_falls_to_the_answer_for_unknown_ones(names):
    unknown = lookup("tf.contrib.never_was")
    assert unknown.successor is None
    packages = [n for n in names if n.startswith("tf.contrib.") and n.count(".") == CONTRIB_LEVEL]
    assert len(packages) > 70
    assert [n for n in packages if lookup(n).remedy == unknown.remedy] == []
    assert all(is_package(n) for n in packages)


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("tf.contrib.layers.batch_norm", "tf_slim.batch_norm"),
        ("tensorflow.contrib.slim.nets.resnet_v1.resnet_v1_50", "slim_resnet.resnet_v1."
         "resnet_v1_50"),
        ("tf.contrib.slim.python.slim.nets.vgg.vgg_16", "tf_slim.nets.vgg.vgg_16"),
        ("tf.contrib.framework.python.ops.add_arg_scope", "tf_slim.add_arg_scope"),
        ("tf.contrib.layers.python.layers.utils", "tf_slim.layers.utils"),
        ("tf.contrib.rnn.BasicLSTMCell", "tensorflow.compat.v1.nn.rnn_cell.BasicLSTMCell"),
        ("tf.contrib.crf.viterbi_decode", None),
        ("tf.estimator.Estimator", None),
    ],
)  # fmt: skip
def test_successors(name, successor):
    assert lookup(name).successor == successor


def test_what_is_still_there_has_no_symbol():
    assert lookup("tf.placeholder") is None
    assert lookup("numpy.float") is None


# HParams, against what TensorFlow 1.15 answered


def hparams() -> HParams:
    return HParams(a=1, b=0.5, c="x", d=True, e=[1, 2], f=[1.5], n=None)


def outcome(function):
    try:
        return function()
    except (KeyError, TypeError, ValueError) as error:
        return type(error).__name__


def test_hparams_behave_as_in_tensorflow_1(data):
    recorded = json.loads((data / "legacy_scripts" / "hparams.json").read_text())
    assert len(recorded["parse"]) == 30
    for text, *expected in recorded["parse"]:
        made = outcome(lambda text=text: hparams().parse(text))
        shown = [made] if isinstance(made, str) else [made.values(), str(made), repr(made)]
        assert shown == expected, text
    for method in ("set", "add"):
        for name, value, expected in recorded[method]:
            made = hparams()
            call = getattr(made, f"{method}_hparam")
            refused = outcome(lambda call=call, name=name, value=value: call(name, value))
            assert (refused or made.values()) == expected, (method, name, value)
    for name, default, expected, error in recorded["get"]:
        got = outcome(lambda name=name, default=default: hparams().get(name, default))
        assert got == (error or expected), name
    assert hparams().to_json(sort_keys=True) == recorded["json"]


# tflearn's functions


def test_tflearn_functions_against_numpy():
    from slim_resnet.compat import tf
    from slim_resnet.legacy.replacements import tflearn as replacement

    x = np.random.RandomState(0).randn(2, 4, 6, 3).astype(np.float32)
    windows = x.reshape(2, 2, 2, 3, 2, 3)
    expected = {
        "global_avg_pool": x.mean((1, 2)),
        "global_max_pool": x.max((1, 2)),
        "avg_pool_2d": windows.mean((2, 4)),
        "max_pool_2d": windows.max((2, 4)),
        "flatten": x.reshape(2, -1),
        "leaky_relu": np.where(x > 0, x, np.float32(0.1) * x),
    }
    arguments = {"avg_pool_2d": (2,), "max_pool_2d": (2,)}
    with tf.Graph().as_default(), tf.Session() as session:
        made = {
            name: getattr(replacement, name)(tf.constant(x), *arguments.get(name, ()))
            for name in expected
        }
        assert made["global_avg_pool"].op.name.startswith("GlobalAvgPool/")
        assert tf.global_variables() == []
        for name, value in session.run(made).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-6, atol=1e-6, err_msg=name)
        with pytest.raises(ValueError, match="GlobalAvgPool takes a tensor of rank 4, not 2"):
            replacement.global_avg_pool(tf.zeros([2, 3]))
    assert replacement.to_categorical([2, 0]).tolist() == [[0, 0, 1], [1, 0, 0]]
    a, b = replacement.shuffle(np.arange(20), np.arange(20) * 2)
    assert (b == 2 * a).all()
    assert sorted(a) == list(range(20))


# Parts of tf.contrib, against what TensorFlow 1.15.5 made

IMAGE = np.arange(12, dtype=np.float32).reshape(3, 4)
PROJECTION = [1, 0.2, -1, 0.1, 0.9, 0, 0.01, 0]


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("rotate", {"angles": 0.5, "interpolation": "BILINEAR"},
         [[0.267395, 1.359925, 3.866737, 4.483099], [1.307073, 4.102357, 6.897642, 9.692927],
          [3.263108, 7.133262, 8.349827, 4.168675]]),
        ("rotate", {"angles": [-1.0]}, [[8, 4, 1, 0], [9, 5, 6, 2], [0, 10, 7, 3]]),
        ("translate", {"translations": [1.5, -1.0], "interpolation": "BILINEAR"},
         [[0, 2, 4.5, 5.5], [0, 4, 8.5, 9.5], [0, 0, 0, 0]]),
        ("transform", {"transforms": PROJECTION, "output_shape": [2, 3]},
         [[0, 0, 1], [0, 4, 5]]),
    ],
)  # fmt: skip
def test_image_transforms(name, arguments, expected):
    from slim_resnet.compat import tf
    from slim_resnet.legacy.running.old_modules import old_module

    function = getattr(old_module("tensorflow").contrib.image, name)
    with tf.Graph().as_default(), tf.Session() as session:
        for image in (IMAGE, IMAGE[..., None], IMAGE[None, ..., None]):
            made = function(tf.constant(image), **arguments)
            assert made.shape.ndims == image.ndim
            assert made.shape.is_fully_defined()
            np.testing.assert_allclose(np.squeeze(session.run(made)), expected, atol=2e-6)
        with pytest.raises(TypeError, match="rank between 2 and 4, not 1"):
            function(tf.zeros([3]), **arguments)


def test_composed_image_transforms():
    from slim_resnet.compat import tf
    from slim_resnet.legacy.replacements import image_ops

    with tf.Graph().as_default(), tf.Session() as session:
        turned = image_ops.angles_to_projective_transforms([0.5], 3.0, 4.0)
        composed = session.run(image_ops.compose_transforms(turned, PROJECTION))
    expected = [0.836271, -0.255966, -0.214531, 0.561217, 0.885709, -1.076146, 0.01, 0]
    np.testing.assert_allclose(composed, [expected], atol=1e-6)


def test_summaries_whose_tags_are_not_names():
    from slim_resnet.compat import tf
    from slim_resnet.legacy.running.old_modules import old_module

    old = old_module("tensorflow").contrib.deprecated
    with tf.Graph().as_default(), tf.Session() as session:
        old.scalar_summary("training/Learning Rate", 0.5)
        old.histogram_summary("weights", [1.0, 2.0])
        old.image_summary("image", tf.zeros([2, 4, 4, 3]), max_images=1, collections=["images"])
        old.audio_summary("sound", tf.zeros([1, 8]), 8000.0)
        assert len(tf.get_collection("images")) == 1
        merged = session.run(old.merge_all_summaries())
    values = tf.Summary.FromString(merged).value
    assert [value.tag for value in values] == ["training/Learning Rate", "weights", "sound/audio/0"]
    assert values[0].simple_value == 0.5
    assert values[1].histo.num == 2


# Keras 1 and NumPy


def test_keras_1_says_tf_and_th():
    from slim_resnet.legacy.running.old_modules import old_module

    backend = old_module("keras.backend")
    assert backend.image_dim_ordering() == "tf"
    backend.set_image_dim_ordering("th")
    assert backend.image_data_format() == "channels_first"
    assert backend.image_dim_ordering() == "th"
    backend.set_image_dim_ordering("tf")
    with pytest.raises(ValueError, match="one of tf, th, not 'channels_last'"):
        backend.set_image_dim_ordering("channels_last")


def test_kernels_of_theano_are_turned():
    from slim_resnet.compat import tf
    from slim_resnet.legacy.running.old_modules import old_module

    keras = old_module("keras")
    with tf.Graph().as_default(), tf.Session().as_default():
        model = keras.models.Sequential([keras.layers.Conv2D(2, 3, 2, input_shape=(8, 8, 1))])
        kernel = model.get_weights()[0]
        assert kernel.shape == (3, 2, 1, 2)
        old_module("keras.utils.layer_utils").convert_all_kernels_in_model(model)
        np.testing.assert_array_equal(model.get_weights()[0], kernel[::-1, ::-1])


def test_numpys_fromstring_and_cast():
    from slim_resnet.legacy.running.old_modules import old_module

    old = old_module("numpy")
    data = old.fromstring(b"\x01\x00\x02\x00", dtype=np.uint16)
    assert data.tolist() == [1, 2]
    data[0] = 3  # a copy, not the bytes themselves
    assert old.fromstring("1 2", sep=" ").tolist() == [1.0, 2.0]
    assert old.cast["float32"]([1, 2]).dtype == np.float32
