"""docs/three_branches.md: its code is run as it stands, and computes what it says."""

from __future__ import annotations

import pathlib
import re

import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # in Keras itself

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "three_branches.md"
SIZES = {"front": (64, 64), "side": (47, 33), "top": (32, 65)}


@pytest.fixture(scope="module")
def prefixes(narrow, save_checkpoint):
    """A checkpoint for each branch: a ResNet-50, and two of one architecture, one with logits."""
    from slim_resnet import arch as arch_lib
    from slim_resnet.arch.parts import Stage

    def small(num_classes):
        """One unit a block, few channels, but vectors of 2048 numbers."""
        arch = narrow("resnext_v1_50", num_classes=num_classes)
        widths = [stage.depth_bottleneck for stage in arch.stages]
        stages = [
            Stage(1, depth, width, stride)
            for depth, width, stride in zip((16, 32, 64, 2048), widths, (2, 2, 2, 1), strict=True)
        ]
        return arch.replace(stages=tuple(stages))

    return {
        "front": save_checkpoint(arch_lib.get("resnet_v1_50", num_classes=None)),
        "side": save_checkpoint(small(None), scope="trained/as"),
        "top": save_checkpoint(small(5)),
    }


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    return {
        branch: rng.uniform(-1, 1, (2, *size, 3)).astype(np.float32)
        for branch, size in SIZES.items()
    }


@pytest.fixture(scope="module")
def recipes(prefixes, tmp_path_factory):
    """What the page's code blocks define, run where their checkpoints are: TF1's, Keras's."""
    folder = tmp_path_factory.mktemp("three_branches")
    for branch, prefix in prefixes.items():
        (folder / branch).symlink_to(pathlib.Path(prefix).parent)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
            defined = {}
            exec(compile(block, str(PAGE), "exec"), defined)
            found.append(defined)
    return found


@pytest.fixture(scope="module")
def single(prefixes, photos):
    """The vector of each network by itself: its own graph, its own names, a plain Saver."""
    import converters
    from slim_resnet import graph
    from slim_resnet.compat import tf

    found = {}
    for branch, prefix in prefixes.items():
        ckpt = converters.load_checkpoint(prefix)
        with tf.Graph().as_default(), tf.Session() as session:
            graph.build(ckpt.arch, tf.constant(photos[branch]), scope=ckpt.scope)
            tf.train.Saver().restore(session, prefix)
            pooled = tf.get_default_graph().get_tensor_by_name(f"{ckpt.scope}/pool5:0")
            found[branch] = session.run(pooled)[:, 0, 0]
    return found


def assert_same(found, expected):
    assert set(found) == set(expected) == set(SIZES)
    for branch, vectors in expected.items():
        assert found[branch].shape == vectors.shape == (2, 2048)
        assert np.abs(vectors).max() > 0
        assert np.abs(found[branch] - vectors).max() <= 2e-5 * np.abs(vectors).max(), branch


@pytest.fixture(scope="module")
def tf1(recipes, photos):
    """What the page's TF1 graph computes."""
    defined, _ = recipes
    feed = {defined["images"][branch]: photo for branch, photo in photos.items()}
    return defined["session"].run(defined["vectors"], feed)


@pytest.mark.slow
def test_tf1_graph(tf1, single):
    assert_same(tf1, single)


@pytest.mark.parametrize("name", ["model", "loaded"])
@pytest.mark.slow
def test_keras_model(name, recipes, photos, single, tf1):
    _, defined = recipes
    found = defined[name].predict(photos, verbose=0)
    assert_same(found, single)
    assert_same(found, tf1)
