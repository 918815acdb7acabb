"""Checkpoints with names of the user's own: the worked example of docs/rules.md, and errors."""

from __future__ import annotations

import itertools
import pathlib
import re

import numpy as np
import pytest

import converters
from converters.files import Entry, WeightsFile
from converters.files.checkpoint.writer import write_bundle
from converters.formats import libraries as exchange
from converters.models import resume
from converters.recognise.recognised import WEIGHTS, Recognised
from converters.recognise.rules import Layout, apply_rules
from converters.recognise.rules_file import read_scheme
from slim_resnet import arch as arch_lib


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    """The rules in docs/rules.md, word for word."""
    text = (pathlib.Path(__file__).parents[2] / "docs" / "rules.md").read_text()
    text = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0]
    path = tmp_path_factory.mktemp("rules") / "caffe_names.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def reference(data):
    """The checkpoint of TensorFlow 1.15, with optimizer slots and averages."""
    return converters.load_checkpoint(data / "slim_v1" / "v2")


PARTS = {"gamma": "scale", "beta": "offset", "moving_mean": "mean", "moving_variance": "variance"}
CONVS = {"shortcut": "1", "conv1": "2a", "conv2": "2b", "conv3": "2c"}


def caffe_name(name: str) -> str:
    """What the author of the worked example would have called slim's variable."""
    parts = name.split("/")
    if parts[0] == "logits":
        return {"weights": "fc10_W", "biases": "fc10_b"}[parts[1]]
    if parts[0] == "conv1":
        return "conv1_W" if parts[1] == "weights" else f"bn_conv1_{PARTS[parts[2]]}"
    stage, unit = int(parts[0][5:]) + 1, "abcdef"[int(parts[1][5:]) - 1]
    branch = f"{stage}{unit}_branch{CONVS[parts[3]]}"
    return f"res{branch}_W" if parts[4] == "weights" else f"bn{branch}_{PARTS[parts[5]]}"


def caffe_array(name: str, value: np.ndarray) -> np.ndarray:
    if name == "fc10_W":
        return np.ascontiguousarray(value[0, 0].T)
    return np.ascontiguousarray(np.moveaxis(value, (3, 2), (0, 1))) if value.ndim == 4 else value


def caffe_arrays(reference, slots=()) -> dict[str, np.ndarray]:
    found = {"loss_average": np.float32(1)}
    for variable in reference.arch.variables:
        name = caffe_name(variable.name)
        found[name] = caffe_array(name, reference[reference.full_name(variable.name)])
        for slot in slots:
            full = f"{reference.full_name(variable.name)}/{slot}"
            if full in reference:
                found[f"{name}/{slot}"] = caffe_array(name, reference[full])
    return found


def save_hdf5(path, arrays):
    import h5py

    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value


def save_torch(path, arrays):
    import torch

    torch.save({name: torch.tensor(value) for name, value in arrays.items()}, path)


def save_safetensors(path, arrays):
    from safetensors.numpy import save_file

    save_file(arrays, path)


FORMATS = {
    "dump.npz": lambda path, arrays: np.savez(path, **arrays),
    "dump.h5": save_hdf5,
    "model.ckpt-60": write_bundle,
    "net.safetensors": save_safetensors,
    "net.pt": save_torch,
}


@pytest.mark.parametrize("name", FORMATS)
def test_worked_example_in_every_format(name, reference, rules, tmp_path):
    arrays = {key: np.asarray(value) for key, value in caffe_arrays(reference).items()}
    FORMATS[name](tmp_path / name, arrays)
    with pytest.raises(converters.CheckpointError, match="--rules"):
        converters.load_checkpoint(tmp_path / name)
    ckpt = converters.load_checkpoint(tmp_path / name, rules=rules)
    assert (ckpt.arch, ckpt.scope, ckpt.notes) == (reference.arch, "resnet_v1_50", [])
    assert ckpt.left_out() == [("dropped by the rules", ["loss_average"])]
    assert_equal(ckpt.stored(), reference.stored())
    ckpt.check_sums()


def test_worked_example_gives_the_outputs_of_tf_115(data, reference, rules, tmp_path):
    import torch

    np.savez(tmp_path / "dump.npz", **caffe_arrays(reference))
    net = converters.to_torch(converters.load_checkpoint(tmp_path / "dump.npz", rules=rules))
    recorded = np.load(data / "slim_v1" / "outputs.npz")
    images = torch.from_numpy(recorded["47x33|image"]).permute(0, 3, 1, 2)
    error = np.abs(net(images).detach().numpy() - recorded["47x33|logits"]).max()
    assert error <= 2e-5 * np.abs(recorded["47x33|logits"]).max()


def test_slots_and_averages_go_with_their_variables(reference, rules, tmp_path):
    arrays = caffe_arrays(reference, slots=("Momentum", "ExponentialMovingAverage"))
    write_bundle(tmp_path / "model.ckpt", {**arrays, "global_step": np.int64(60)})
    for weights in WEIGHTS:
        ckpt = converters.load_checkpoint(tmp_path / "model.ckpt", rules=rules, weights=weights)
        assert (ckpt.global_step, len(ckpt.auxiliary["optimizer slots"])) == (60, 161)
        expected = Recognised(reference.file, reference.arch, reference.scope, weights)
        assert_equal(ckpt.stored(), expected.stored())
        if weights == "model":
            assert_equal(resume.momentum(ckpt), resume.momentum(expected))


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, strict=True)


TORCH_RULES = r"""
[[rule]]
match = '.*num_batches_tracked'
drop = true
[[rule]]
match = 'conv1\.weight'
name = 'conv1/weights'
layout = 'OIHW'
[[rule]]
match = 'layer(\d)\.(\d+)\.conv(\d)\.weight'
name = 'block{1}/unit_{2+1}/basic_v1/conv{3}/weights'
layout = 'OIHW'
[[rule]]
match = 'layer(\d)\.(\d+)\.downsample\.0\.weight'
name = 'block{1}/unit_{2+1}/basic_v1/shortcut/weights'
layout = 'OIHW'
[[rule]]
match = 'bn1\.(?P<part>\w+)'
name = 'conv1/BatchNorm/{part}'
[[rule]]
match = 'layer(\d)\.(\d+)\.bn(\d)\.(?P<part>\w+)'
name = 'block{1}/unit_{2+1}/basic_v1/conv{3}/BatchNorm/{part}'
[[rule]]
match = 'layer(\d)\.(\d+)\.downsample\.1\.(?P<part>\w+)'
name = 'block{1}/unit_{2+1}/basic_v1/shortcut/BatchNorm/{part}'
[[rule]]
match = 'fc\.weight'
name = 'logits/weights'
layout = 'OI'
[[rule]]
match = 'fc\.bias'
name = 'logits/biases'
[words.part]
weight = "gamma"
bias = "beta"
running_mean = "moving_mean"
running_var = "moving_variance"
"""


def test_rules_for_torchvision_equal_the_table(torchvision_resnet, tmp_path):
    state = torchvision_resnet.resnet18(num_classes=7).state_dict()
    arrays = {name: value.numpy() for name, value in state.items()}
    save_safetensors(tmp_path / "net.safetensors", arrays)
    (tmp_path / "rules.toml").write_text(TORCH_RULES)
    found = converters.load_checkpoint(
        tmp_path / "net.safetensors", rules=tmp_path / "rules.toml", convention="torchvision"
    )
    arch = arch_lib.get("resnet_v1_18", num_classes=7, convention="torchvision")
    expected = exchange.from_state(arch, arrays, "torchvision")
    assert (found.arch, found.notes) == (arch, [])
    assert_equal(found.stored(), expected.stored())


@pytest.mark.parametrize("changes", [{"convention": "torchvision"}, {"output_stride": 8}], ids=str)
def test_the_graph_is_read_through_the_rules(changes, narrow, tmp_path):
    from slim_resnet import graph
    from slim_resnet.compat import tf

    def own_names(getter, name, *args, **kwargs):
        return getter(name.replace("weights", "kernel").replace("block", "stage"), *args, **kwargs)

    arch = narrow("resnext_v1_50", base=2, **changes)
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.variable_scope("", custom_getter=own_names):
            graph.build(arch, tf.placeholder(tf.float32, [None, None, None, 3]), scope="net")
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    (tmp_path / "rules.toml").write_text(
        "[[rule]]\nmatch = 'net/stage(.*)/kernel'\nname = 'net/block{1}/weights'\n"
        "[[rule]]\nmatch = 'net/stage(.*)'\nname = 'net/block{1}'\n"
        "[[rule]]\nmatch = '(.*)/kernel'\nname = '{1}/weights'\n"
    )
    ckpt = converters.load_checkpoint(tmp_path / "model.ckpt", rules=tmp_path / "rules.toml")
    assert ckpt.arch.replace(name="x") == arch.replace(name="x")
    assert ckpt.facts.weight_decays("net") == (1e-4,)


def file_of(arrays, read=None) -> WeightsFile:
    """A file in memory; the names of what is read from it are added to `read`."""
    read = [] if read is None else read

    def entry(name, array):
        return Entry(array.shape, array.dtype, lambda: (read.append(name), array)[1])

    return WeightsFile("file", "npz", (), {name: entry(name, a) for name, a in arrays.items()})


def renamed(tmp_path, text, arrays, read=None) -> WeightsFile:
    (tmp_path / "rules.toml").write_text(text)
    return apply_rules(file_of(arrays, read), read_scheme(tmp_path / "rules.toml").rules)


KERNEL = "[[rule]]\nmatch = '(.*)_w'\nname = '{1}/weights'\nlayout = 'OIHW'\n"


def test_nothing_is_read_or_copied_before_it_is_needed(tmp_path):
    kernel = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    read = []
    file = renamed(tmp_path, KERNEL, {"a_w": kernel, "b_w": kernel}, read)
    assert list(file) == ["a/weights", "b/weights"]
    assert file.shape("a/weights") == (3, 4, 2, 1)
    assert read == []
    assert np.shares_memory(file["a/weights"], kernel)
    assert read == ["a_w"]


@pytest.mark.parametrize(
    "axes",
    [
        *map("".join, itertools.permutations("HWIO")),
        "OI",
        "IO",
        "C",
        "111C",
        "1C1",
        "O1I1",
        "1OIHW",
    ],
)
def test_every_layout_against_einsum(axes):
    sizes = {"H": 2, "W": 3, "I": 4, "O": 5, "C": 6, "1": 1}
    stored = np.random.default_rng(0).standard_normal([sizes[axis] for axis in axes])
    letters = "".join(f"{axis}" if axis != "1" else "z" for axis in axes)
    squeezed = stored.reshape([sizes[axis] for axis in axes if axis != "1"])
    letters = letters.replace("z", "")
    target = next(order for order in ("HWIO", "IO", "C") if set(order) == set(letters))
    expected = np.einsum(f"{letters}->{target}", squeezed)
    if target == "IO":
        expected = expected[None, None]
    np.testing.assert_array_equal(Layout(axes)(stored), expected)


def test_what_rules_leave_is_noted(tmp_path):
    kernel = np.zeros((1, 1, 1, 1), np.float32)
    text = KERNEL + "[[rule]]\nmatch = 'x_w'\nname = 'late'\n[[rule]]\nmatch = 'y'\ndrop = true\n"
    names = ["x_w", *"abcdefg", "global_step"]
    file = renamed(tmp_path, text, dict.fromkeys(names, kernel))
    assert set(file) == {"x/weights", *"abcdefg", "global_step"}
    late, unused, unmatched = file.notes
    assert "rule 2 ('x_w') decides on no variable of file" in late
    assert "rule 3 ('y') decides on no variable" in unused
    assert unmatched.endswith("no rule fits 7 variables, which keep their names: "
                              "a, b, c, d, e and 2 more")  # fmt: skip


def test_an_incomplete_mapping_says_what_no_rule_fits(reference, rules, tmp_path):
    arrays = caffe_arrays(reference)
    arrays["res3b_branch2d_W"] = arrays.pop("res3b_branch2c_W")
    np.savez(tmp_path / "dump.npz", **arrays)
    with pytest.raises(
        converters.CheckpointError,
        match="no variable resnet_v1_50/block2/unit_2/bottleneck_v1/conv3/weights.*"
        r"caffe_names.toml: no rule fits 1 variables.*: res3b_branch2d_W",
    ):
        converters.load_checkpoint(tmp_path / "dump.npz", rules=rules)


RULE = "[[rule]]\nmatch = '(?P<n>.)(.*)'\n"
NAMED = RULE + "name = '{n}'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[rule]\n", "no TOML file: .*line 1"),
        ("\xff", "no TOML file"),
        ("scope = 'x'\n", "it has no rules"),
        ("rule = 3\n", "it has no rules"),
        ("rule = [3]\n", "rule 1: it is no table"),
        ("rules = 3\n", "unknown 'rules': use about, choices, creation_order, example"),
        (RULE, "rule 1: it needs `match`, and either `name` or `drop = true`"),
        (RULE + "name = 'x'\ndrop = true\n", "rule 1: it needs `match`, and either"),
        ("[[rule]]\nname = 'x'\n", "rule 1: it needs `match`"),
        (RULE + "name = 3\n", "rule 1: match, name are texts"),
        (RULE + "name = 'x'\ntransform = 'y'\n", "rule 1: unknown 'transform': use drop, layout"),
        (RULE + "name = 'x'\nlayout = 'HWIX'\n", "rule 1: the layout 'HWIX' is no order of HWIO"),
        (RULE + "name = 'x'\nlayout = 'HWIOO'\n", "rule 1: the layout 'HWIOO' is no order"),
        (KERNEL + "[[rule]]\nmatch = '('\nname = 'x'\n", "rule 2: '\\(' is no regular expression"),
        (RULE + "name = '{3}'\n", r"rule 1: \{3\} in its name is no group"),
        (RULE + "name = '{m}'\n", "rule 1: {m} in its name is no group"),
        (RULE + "name = '\\1'\n", "is no template: refer to a group as {1}"),
        (RULE + "name = '{1*2}'\n", "is no template"),
        (RULE + "name = ''\n", "is no template"),
        (RULE + "name = '{n}'\n[words.k]\na = 'b'\n", r"no rule has a group \(\?P<k>...\)"),
        (RULE + "name = '{n}'\n[words.n]\na = 1\n", "a table of texts"),
        (RULE + "name = '{n}'\n[words]\nn = 1\n", "a table of texts"),
        (NAMED + "[network]\nstride = 1\n", r"\[network\] is a table of facts: conv"),
        (
            RULE + "name = '{n}'\n[choices.k]\na = '('\n",
            r"choices.k: '\(' is no regular expression",
        ),
        (NAMED + "[creation_order]\nn = 'x'\n", "says convolution or batch norm of a group each"),
        (
            RULE + "name = '{n}'\n[creation_order]\nk = 'convolution'\n",
            r"no rule has a group \(\?P<k>",
        ),
        (NAMED + "[variants.a]\nstride_unit = 'last'\n", "with a text `about`"),
        (
            RULE + "name = '{n}'\n[variants.a]\nabout = 'x'\nstride = 1\n",
            "variants.a. is a table of f",
        ),
        ("signature = [3]\n" + RULE + "name = '{n}'\n", "signature: 3 is no regular expression"),
    ],
)
def test_rules_that_make_no_sense(text, message, tmp_path):
    path = tmp_path / "rules.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=f"(?s)^{re.escape(str(path))}: .*{message}"):
        read_scheme(path)


def test_missing_rules(tmp_path):
    with pytest.raises(ValueError, match="missing.toml: the rules cannot be read"):
        read_scheme(tmp_path / "missing.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[[rule]]\nmatch = 'a.*'\nname = 'x'\n",
            "rule 1: the variables 'a1' and 'a2' of file would both be 'x'",
        ),
        (
            "[[rule]]\nmatch = 'a1'\nname = 'b'\n",
            "the variables 'a1' and 'b' of file would both be 'b'",
        ),
        (
            "[[rule]]\nmatch = 'b'\nname = 'x'\nlayout = 'OIHW'\n",
            r"rule 1: the variable 'b' of file: it has the shape \[2\], not the layout 'OIHW'",
        ),
        (
            "[[rule]]\nmatch = 'b'\nname = 'x'\nlayout = '1'\n",
            "the layout '1' is no order",
        ),
        (
            "[[rule]]\nmatch = 'a1'\nname = 'x'\nlayout = '1C'\n",
            r"it has the shape \[2, 2\], not the layout '1C'",
        ),
        (
            "[[rule]]\nmatch = '(.*)'\nname = 'x{1+1}'\n",
            r"rule 1, variable 'a1': \{1\+1\} needs a number of digits, not 'a1'",
        ),
        (
            "[[rule]]\nmatch = '(?P<n>.*)'\nname = '{n}'\n[words.n]\na2 = 'c'\n",
            r"rule 1, variable 'a1': \[words.n\] lacks 'a1'",
        ),
    ],
)
def test_rules_that_do_not_fit_the_variables(text, message, tmp_path):
    arrays = {"a1": np.zeros((2, 2)), "a2": np.zeros(2), "b": np.zeros(2)}
    with pytest.raises(ValueError, match=message):
        renamed(tmp_path, text, arrays)


def test_hostile_names_are_no_recursion_and_no_huge_numbers(tmp_path):
    text = "[[rule]]\nmatch = '(\\d+)'\nname = 'x{1+1}'\n"
    with pytest.raises(converters.CheckpointError, match="match them alone"):
        renamed(tmp_path, text, {"9" * 5000: np.zeros(2)})
    deep = "a" + "/Momentum" * 5000
    assert list(renamed(tmp_path, text, {deep: np.zeros(2)})) == [deep]
