"""Other people's ResNets without their graphs: what their own code gave under TensorFlow 1.15.

`data/schemes/make.py` made the checkpoints with the public code; ref.npz has images and logits.
"""

from __future__ import annotations

import json
import pathlib
import re
import shutil

import numpy as np
import pytest

import converters
from converters.files import WeightsFile
from converters.files.errors import Malformed
from converters.recognise import schemes
from converters.recognise.creation_order import layers

# Case -> what --scheme says; None: it is recognised.
CASES = {
    "caffe_tensorflow": None,
    "official_18": None,
    "official_cifar": None,
    "official_v1": None,
    "official_v2": None,
    "ry": None,
    "simclr": None,
    "simclr_cifar": None,
    "tensornets": None,
    "tensorpack_basic": "tensorpack:imagenet",
    "tensorpack_bottleneck": "tensorpack:imagenet",
}
FOLDER = pathlib.Path(schemes.__file__).parent / "scheme_files"


@pytest.fixture
def bare(data, tmp_path):
    """The checkpoint of a case, without its graph."""

    def copied(case: str) -> str:
        for file in (data / "schemes" / case).glob("model.ckpt.[di]*"):
            shutil.copy(file, tmp_path)
        return str(tmp_path / "model.ckpt")

    return copied


def references(data, case):
    """Images and logits."""
    ref = np.load(data / "schemes" / case / "ref.npz")
    return [(ref[f"x{i}"], ref[f"y{i}"]) for i in range(len(ref.files) // 2)]


def distance(actual, expected) -> float:
    """Over the largest value."""
    return float(np.abs(np.reshape(actual, expected.shape) - expected).max() / abs(expected).max())


def by_torch(ckpt, image):
    import torch

    net = converters.to_torch(ckpt).eval()
    with torch.no_grad():
        return net(torch.from_numpy(image.transpose(0, 3, 1, 2).copy())).numpy()


@pytest.mark.parametrize("case", CASES)
def test_a_bare_checkpoint_gives_what_its_code_gave(case, bare, data):
    ckpt = converters.load_checkpoint(bare(case), scheme=CASES[case])
    for image, logits in references(data, case):
        assert distance(by_torch(ckpt, image), logits) < 1e-5
    assert ckpt.assumed[0] == f"the scheme {ckpt.scheme.title}"


@pytest.mark.parametrize("by", ["torch", "keras"])
def test_a_deep_stem_is_told_by_its_variables(by, data):
    """DeepLab's _beta nets: slim's names, and three convolutions in the root."""
    ckpt = converters.load_checkpoint(data / "schemes" / "deeplab_beta" / "model.ckpt")
    assert ckpt.arch.deep_stem == (4, 4)
    assert ckpt.scheme is None
    for image, logits in references(data, "deeplab_beta"):
        if by == "torch":
            found = by_torch(ckpt, image)
        else:
            found = converters.to_keras(ckpt).predict(image, verbose=0)
        assert distance(found, logits) < 1e-5


@pytest.mark.parametrize("case", ["official_v2", "tensorpack_bottleneck"])
def test_keras_of_a_bare_checkpoint(case, bare, data):
    model = converters.to_keras(converters.load_checkpoint(bare(case), scheme=CASES[case]))
    image, logits = references(data, case)[0]
    assert distance(model.predict(image, verbose=0), logits) < 1e-5


@pytest.mark.parametrize("case", ["official_18", "ry"])
def test_onnx_of_a_bare_checkpoint(case, bare, data, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"
    made = converters.convert(bare(case), path, "onnx", scheme=CASES[case], verified=False)
    assert not made.error
    session = onnxruntime.InferenceSession(str(path))
    for image, logits in references(data, case):
        feed = {session.get_inputs()[0].name: image.transpose(0, 3, 1, 2)}
        assert distance(session.run(None, feed)[0], logits) < 1e-5


@pytest.mark.parametrize("case", [*CASES, "tensorpack_preact"])
def test_with_the_graph_the_graph_decides(case, data):
    """Variants need not be told, and what no scheme can say is converted whole."""
    ckpt = converters.load_checkpoint(data / "schemes" / case / "model.ckpt")
    image, logits = references(data, case)[-1]
    found = by_torch(ckpt, image)
    assert distance(found, logits) < 1e-5


@pytest.mark.parametrize("case", [*CASES, "tensorpack_preact"])
def test_with_the_graph_the_proof_runs_the_graph(case, data, tmp_path):
    made = converters.convert(
        data / "schemes" / case / "model.ckpt", tmp_path / "net.safetensors", "torch"
    )
    assert not made.error
    assert made.proof.reference == "model.ckpt.meta"


# Case -> facts that its scheme would have wrong: stride place, pool, padding, epsilon.
WRONG = {
    "official_18": {"stride_unit": "last", "root_pool": "zeros"},
    "official_v1": {"stride_conv": "conv1", "root_pool": "symmetric", "batch_norm_epsilon": 0.001},
    "official_v2": {"stride_unit": "last", "root_pool": "symmetric", "batch_norm_epsilon": 0.001},
    "ry": {
        "stride_conv": "conv2",
        "root_pool": "symmetric",
        "root_padding": "symmetric",
        "batch_norm_epsilon": 0.00001,
    },
    "simclr": {"stride_unit": "last", "root_pool": "symmetric", "batch_norm_epsilon": 0.001},
    "tensornets": {"stride_conv": "conv2", "root_pool": "same", "batch_norm_epsilon": 0.001},
    "tensorpack_basic": {"stride_unit": "last", "conv_padding": "symmetric"},
    "tensorpack_bottleneck": {
        "stride_conv": "conv1",
        "root_pool": "symmetric",
        "root_padding": "symmetric",
        "batch_norm_epsilon": 0.001,
    },
}


@pytest.mark.parametrize(
    ("case", "fact", "value"),
    [(case, fact, value) for case, facts in WRONG.items() for fact, value in facts.items()],
)
def test_a_wrong_fact_is_told_by_the_graph(case, fact, value, data, tmp_path):
    checkpoint = data / "schemes" / case / "model.ckpt"
    right = converters.load_checkpoint(checkpoint)
    assert getattr(right.arch, fact) != value
    text = (FOLDER / f"{right.scheme.name}.toml").read_text()
    table, _, rest = text.partition("[network]\n")
    rest = re.sub(rf"(?m)\A((?:\w.*\n)*?){fact} = .*\n", r"\1", rest)  # of this table only
    path = tmp_path / "wrong.toml"
    path.write_text(f"{table}[network]\n{fact} = {json.dumps(value)}\n{rest}")
    ckpt = converters.load_checkpoint(checkpoint, rules=path)
    assert any(f"the graph has {fact}" in note and "wrong.toml" in note for note in ckpt.notes)
    assert getattr(ckpt.arch, fact) == getattr(right.arch, fact)
    image, logits = references(data, case)[-1]
    assert distance(by_torch(ckpt, image), logits) < 1e-5


def test_a_graph_of_one_size_goes_before_what_a_scheme_says(data, tmp_path):
    """caffe-tensorflow's graphs pool 7x7 for their mean: they are converted as they are."""
    text = (FOLDER / "caffe.toml").read_text()
    wrong = text.replace('stride_conv = "conv1"', 'stride_conv = "conv2"')
    assert wrong != text
    (tmp_path / "wrong.toml").write_text(wrong)
    checkpoint = data / "schemes" / "caffe_tensorflow" / "model.ckpt"
    ckpt = converters.load_checkpoint(checkpoint, rules=tmp_path / "wrong.toml")
    assert any("the whole graph is taken" in note for note in ckpt.notes)
    image, logits = references(data, "caffe_tensorflow")[-1]
    assert distance(by_torch(ckpt, image), logits) < 1e-5


def test_what_weights_do_not_tell_is_asked_for(bare):
    path = bare("tensorpack_bottleneck")
    with pytest.raises(converters.CheckpointError) as caught:
        converters.load_checkpoint(path)
    for variant in ("imagenet", "caffe", "align_padding"):
        assert f"--scheme tensorpack:{variant} (" in str(caught.value)
    told = {"stride_conv": "conv2"} | dict.fromkeys(("root_padding", "conv_padding"), "same")
    ckpt = converters.load_checkpoint(path, facts={**told, "root_pool": "same"})
    assert ckpt.arch == converters.load_checkpoint(path, scheme="tensorpack:imagenet").arch


def _zeros(shapes) -> dict[str, np.ndarray]:
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


REFUSED = {
    "group normalisation": {"resnet/block1/unit01/a/standardized_conv2d/kernel": (1, 1, 4, 4)},
    "squeeze-and-excitation": {
        "conv0/W": (7, 7, 3, 4),
        "group0/block0/conv2/W": (3, 3, 4, 4),
        "group0/block0/fc1/W": (4, 1),
    },
    "DeepLab's heads": {
        "conv1/weights": (7, 7, 3, 4),
        "res2a_branch2a/weights": (1, 1, 4, 4),
        "bn2a_branch2a/gamma": (4,),
        "fc1_voc12_c0/weights": (3, 3, 4, 21),
    },
    "its net for small images": {
        "scale1/weights": (3, 3, 3, 16),
        "scale1/block1/A/weights": (3, 3, 16, 16),
        "scale2/block1/A/weights": (3, 3, 16, 32),
    },
    "padded at its end": {
        "resnet50v2/conv1/weights": (7, 7, 3, 4),
        "resnet50v2/conv2/block1/1/conv/weights": (1, 1, 4, 4),
        "resnet50v2/conv2/block1/1/bn/gamma": (4,),
        "resnet50v2/conv2/block1/preact/gamma": (4,),
    },
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_architecture_has_is_refused_by_name(what, tmp_path):
    np.savez(tmp_path / "net.npz", **_zeros(REFUSED[what]))
    with pytest.raises(converters.CheckpointError, match=f"belongs to .*{what}.*give its graph"):
        converters.load_checkpoint(tmp_path / "net.npz")


def test_a_small_root_that_a_scheme_does_not_know(bare, tmp_path):
    """What a code base computes behind a 7x7 root says nothing of its nets for small images."""
    file = converters.open_weights(bare("tensorpack_basic"))
    arrays = {name: np.array(file[name]) for name in file}
    arrays["conv0/W"] = np.ascontiguousarray(arrays["conv0/W"][:3, :3])
    np.savez(tmp_path / "small.npz", **arrays)
    with pytest.raises(converters.CheckpointError, match="its root is 3x3, and what such networks"):
        converters.load_checkpoint(tmp_path / "small.npz", scheme="tensorpack:imagenet")


def test_names_that_anyones_may_be_are_not_recognised(bare, data, tmp_path):
    """tf.layers numbers every network so; of the TPU models' it has to be said."""
    file = converters.open_weights(bare("official_v1"))
    arrays = {name.removeprefix("resnet_model/"): np.array(file[name]) for name in file}
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(converters.CheckpointError, match=r"or say whose they are \(--scheme\)"):
        converters.load_checkpoint(tmp_path / "net.npz")
    ckpt = converters.load_checkpoint(tmp_path / "net.npz", scheme="official_r1")
    image, logits = references(data, "official_v1")[0]
    assert distance(by_torch(ckpt, image), logits) < 1e-5


def test_an_unknown_scheme_or_variant(bare):
    path = bare("ry")
    for told, message in {
        "slim": "unknown scheme 'slim': use bit, caffe, official_r1",
        "ry:x": "the scheme ry has no variant 'x': it has none",
        "tensorpack:x": "has no variant 'x': use imagenet, caffe",
    }.items():
        with pytest.raises(ValueError, match=message):
            converters.load_checkpoint(path, scheme=told)
    with pytest.raises(ValueError, match="--rules and --scheme both say"):
        converters.load_checkpoint(path, scheme="ry", rules=FOLDER / "ry.toml")


def test_shipped_schemes_are_whole_and_apart():
    """Each knows its own example, and the names of no other."""
    for name, scheme in schemes.shipped().items():
        assert all((scheme.about, scheme.example, scheme.signature)), name
        ways = [rule.match for rule in scheme.rules.rules] + list(scheme.refused.values())
        assert any(way.fullmatch(scheme.example) for way in ways), name
    for case in CASES:
        folder = pathlib.Path(__file__).parents[1] / "data" / "schemes" / case
        file = converters.open_weights(folder / "model.ckpt")
        assert len([s for s in schemes.shipped().values() if s.fits(file)]) == 1, case


class TestCreationOrder:
    """The layers of a network from the numbers of their names."""

    def official(self, drop=(), **changes):
        file = converters.open_weights(
            pathlib.Path(__file__).parents[1] / "data" / "schemes" / "official_v1" / "model.ckpt"
        )
        arrays = {name: file[name] for name in file if not name.startswith(tuple(drop))}
        return WeightsFile.of_arrays("net", {**arrays, **changes})

    def test_a_missing_number(self):
        scheme = schemes.shipped()["official_r1"]
        with pytest.raises(converters.CheckpointError, match="conv2d_7 is missing, so the order"):
            scheme.rules.resolved(self.official(drop=["resnet_model/conv2d_7/"]))

    def test_a_batch_norm_too_many(self):
        extra = {"resnet_model/batch_normalization_23/gamma": np.zeros(4, np.float32)}
        scheme = schemes.shipped()["official_r1"]
        with pytest.raises(converters.CheckpointError, match="has 24 batch norms for 23 conv"):
            scheme.rules.resolved(self.official(**extra))

    def test_kernels_that_make_no_units(self):
        with pytest.raises(Malformed, match="make no residual units"):
            layers([(7, 7, 3, 4), (3, 3, 4, 4), (5, 5, 4, 4)], 3)

    def test_a_vector_is_no_kernel(self):
        with pytest.raises(Malformed, match="no kernel of rank 4"):
            layers([(7, 7, 3, 4), (4,)], 2)

    def test_pre_activation_units_of_two(self):
        kernels = [(3, 3, 3, 4), (1, 1, 4, 4), (3, 3, 4, 4), (3, 3, 4, 4)]
        with pytest.raises(Malformed, match="pre-activation units of two 3x3 convolutions"):
            layers(kernels, 3)

    def test_blocks_begin_where_the_depth_changes(self):
        kernels = [(3, 3, 3, 4), *[(3, 3, 4, 4)] * 2, (3, 3, 4, 8), (3, 3, 8, 8)]
        assert layers(kernels, 5).convolutions[3] == "block2/unit_1/basic_v1/conv1"


def test_names_without_numbers_differ(tmp_path):
    """Two stems in one group are no numbers of one thing."""
    path = tmp_path / "rules.toml"
    path.write_text(
        "[creation_order]\nconv = 'convolution'\n"
        "[[rule]]\nmatch = '(?P<conv>[a-z_0-9]+)/kernel'\nname = '{conv}/weights'\n"
    )
    np.savez(tmp_path / "net.npz", **_zeros({"a_1/kernel": (1,) * 4, "b/kernel": (1,) * 4}))
    with pytest.raises(converters.CheckpointError, match="a and b are not numbered together"):
        converters.load_checkpoint(tmp_path / "net.npz", rules=path)


def test_the_docs_page_names_every_scheme():
    page = (pathlib.Path(__file__).parents[2] / "docs" / "schemes.md").read_text()
    for name, scheme in schemes.shipped().items():
        assert f"`{name}`" in page
        assert all(f"`{name}:{variant}`" in page for variant in scheme.variants)


def test_the_shortest_scheme_of_the_docs(bare, data, tmp_path):
    """As written there, for the checkpoint that it is about."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "schemes.md").read_text()
    text = re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1]
    assert len(text.splitlines()) <= 25
    path = tmp_path / "own.toml"
    path.write_text(text)
    ckpt = converters.load_checkpoint(bare("simclr"), rules=path)
    image, logits = references(data, "simclr")[0]
    assert distance(by_torch(ckpt, image), logits) < 1e-5
