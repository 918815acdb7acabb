"""tools/convert_checkpoint.py and tools/inspect_checkpoint.py, as processes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest


@pytest.fixture(scope="module")
def recorded(data):
    return np.load(data / "slim_v1" / "outputs.npz")


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("suffix", [".safetensors", pytest.param(".pt", marks=pytest.mark.slow)])
def test_torch_file_is_loaded_with_its_architecture(tool, data, tmp_path, recorded, suffix):
    import torch

    from converters.models import torch_model

    output, report = tmp_path / f"net{suffix}", tmp_path / "report.json"
    found = tool(
        "convert_checkpoint", data / "slim_v1" / "v2", "--to", "torch", "--output", output,
        "--report", report,
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    assert "(verified)" in found.stdout
    assert (
        "\nleft out: 1 training state, 267 moving averages (--weights ema takes them), "
        "161 optimizer slots (--optimizer takes them)\n"
    ) in found.stdout
    net = torch_model.load(output)
    images = torch.from_numpy(recorded["47x33|image"]).permute(0, 3, 1, 2)
    assert relative(net(images).detach().numpy(), recorded["47x33|logits"]) <= 2e-5
    proof = json.loads(report.read_text())
    assert proof["float64"]["passed"]
    assert proof["float64"]["max_rel_error"] <= 1e-12
    assert proof["float32"]["max_rel_error"] <= 2e-5
    assert {tuple(c["image_size"]) for c in proof["float64"]["comparisons"]} == {
        (64, 64),
        (97, 113),
    }
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([output.name, "report.json"])


@pytest.mark.slow
def test_keras_file_loads_without_this_project(tool, data, tmp_path, recorded):
    found = tool(
        "convert_checkpoint", data / "slim_v1" / "v2", "--to", "keras", "--output",
        tmp_path / "net.keras",
    )  # fmt: skip
    assert (found.returncode, found.stderr) == (0, "")
    np.save(tmp_path / "images.npy", recorded["47x33|image"])
    code = (
        "import sys; sys.modules['slim_resnet'] = sys.modules['converters'] = None\n"
        "import keras, numpy as np\n"
        "model = keras.saving.load_model('net.keras', safe_mode=True)\n"
        "np.save('logits.npy', model.predict(np.load('images.npy'), verbose=0))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert relative(np.load(tmp_path / "logits.npy"), recorded["47x33|logits"]) <= 2e-5
    facts = json.loads(zipfile.ZipFile(tmp_path / "net.keras").read("slim_resnet.json"))
    assert facts["global_step"] == "60"


@pytest.mark.slow
def test_keras_weights_alone(tool, data, tmp_path, recorded):
    import converters
    from converters.models import keras_model

    output = tmp_path / "net.weights.h5"
    source = data / "slim_v1" / "v2" / "model.ckpt-60.index"
    found = tool("convert_checkpoint", source, "--to", "keras", "--output", output, "--no-verify")
    assert (found.returncode, found.stderr) == (0, "")
    assert "(not verified)" in found.stdout
    model = keras_model.build(converters.load_checkpoint(source).arch)
    model.load_weights(output)
    logits = model.predict(recorded["64x64|image"], verbose=0)
    assert relative(logits, recorded["64x64|logits"]) <= 2e-5


@pytest.mark.slow
def test_every_end_point_is_printed_on_request(tool, data, tmp_path):
    found = tool(
        "convert_checkpoint", data / "slim_v2" / "v2", "--to", "torch", "--output",
        tmp_path / "x.pt", "--end-points",
    )  # fmt: skip
    assert found.returncode == 0
    for name in ("block1/unit_1/bottleneck_v2/shortcut", "block4/unit_3/bottleneck_v2", "logits"):
        assert name in found.stdout


@pytest.mark.parametrize(
    ("output", "written"),
    [
        ("net.pb", "net.pb"),
        pytest.param("net", "net/saved_model.pb", marks=pytest.mark.slow),
        pytest.param("out/", "out/model.ckpt-60.pb", marks=pytest.mark.slow),
    ],
)
def test_freeze(tool, data, tmp_path, output, written):
    """A frozen graph where that is what the name says, or in a folder of files; else a folder."""
    import converters

    source = data / "slim_v2" / "v2"
    args = ("--freeze", "--no-verify", "--output", f"{tmp_path}/{output}")
    found = tool("convert_checkpoint", source, *args)
    assert (found.returncode, found.stderr) == (0, "")
    assert (tmp_path / written).is_file()
    expected = converters.load_checkpoint(source).weights()
    frozen = converters.load_checkpoint(tmp_path / written).weights()
    for name, value in expected.items():
        np.testing.assert_array_equal(frozen[name], value)


@pytest.mark.parametrize("output", ["net.pb", pytest.param("net", marks=pytest.mark.slow)])
def test_folded_files_compute_what_tensorflow_115_did(tool, data, tmp_path, recorded, output):
    from slim_resnet.compat import tf

    args = ("--freeze", "--fold", "--no-verify", "--output", tmp_path / output)
    found = tool("convert_checkpoint", data / "slim_v1" / "v2", *args)
    assert (found.returncode, found.stderr) == (0, "")
    with tf.Graph().as_default() as graph, tf.Session() as session:
        if output == "net.pb":
            content = (tmp_path / output).read_bytes()
            tf.import_graph_def(tf.GraphDef.FromString(content), name="")
        else:
            tf.saved_model.load(session, ["serve"], str(tmp_path / output))
        assert not [op for op in graph.get_operations() if op.type.startswith("FusedBatchNorm")]
        for size in ("64x64", "47x33"):
            logits = session.run("logits:0", {"images:0": recorded[f"{size}|image"]})
            assert relative(logits, recorded[f"{size}|logits"]) <= 2e-5


def test_only_tensorflow_1_files_are_folded(tool, data, tmp_path):
    args = ("--to", "torch", "--fold", "--output", tmp_path / "net.pt")
    found = tool("convert_checkpoint", data / "slim_v1" / "v2", *args)
    assert found.returncode == 2
    assert "batch norms are folded for these targets only: frozen, saved_model" in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_chooses_among_a_checkpoints_contents_is_refused_elsewhere(tool, tmp_path):
    args = ("--from", "timm", "--step", "3", "--weights", "ema")
    found = tool("convert_checkpoint", "x.pth", "--to", "slim", "--output", tmp_path / "x", *args)
    assert found.returncode == 2
    assert found.stderr.startswith(
        "error: --step, --weights: of no use with --from timm, whose files hold no graph"
    )


@pytest.mark.slow
def test_a_keras_file_says_which_network_it_holds(tool, data, tmp_path):
    """There and back, with no word of the network."""
    import converters

    source, output = data / "slim_v1" / "v2", tmp_path / "net.keras"
    args = ("--to", "keras", "--no-verify", "--output", output)
    assert tool("convert_checkpoint", source, *args).returncode == 0
    args = ("--from", "keras", "--to", "slim", "--no-verify", "--output", tmp_path / "back.ckpt")
    found = tool("convert_checkpoint", output, *args)
    assert (found.returncode, found.stderr) == (0, "")
    expected = converters.load_checkpoint(source)
    back = converters.load_checkpoint(tmp_path / "back.ckpt")
    assert back.arch.stages == expected.arch.stages
    weights = expected.weights()
    assert list(back.weights()) == list(weights)
    for name, value in back.weights().items():
        np.testing.assert_array_equal(value, weights[name])


def test_to_or_freeze(tool, data, tmp_path):
    source = data / "slim_v2" / "v2"
    for args in ((), ("--freeze", "--to", "torch")):
        found = tool("convert_checkpoint", source, "--output", tmp_path / "x.pb", *args)
        assert found.returncode == 2
        assert "--freeze" in found.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def another(tmp_path_factory):
    """A checkpoint of another network."""
    from converters.files.checkpoint.writer import write_bundle

    prefix = tmp_path_factory.mktemp("another") / "vgg_16.ckpt"
    write_bundle(prefix, {"vgg_16/conv1/conv1_1/weights": np.zeros((3, 3, 3, 64), np.float32)})
    return prefix


@pytest.fixture
def checkpoint(data, tmp_path):
    """A copy of a real checkpoint that a test may break, and its prefix."""
    shutil.copytree(data / "slim_v1" / "v2", tmp_path / "ckpt")
    return tmp_path / "ckpt" / "model.ckpt-60"


def truncate(prefix):
    path = prefix.with_name(prefix.name + ".data-00000-of-00001")
    path.write_bytes(path.read_bytes()[:-1000])


def damage_index(prefix):
    path = prefix.with_name(prefix.name + ".index")
    path.write_bytes(path.read_bytes()[: 2 * path.stat().st_size // 3])


def remove_data(prefix):
    prefix.with_name(prefix.name + ".data-00000-of-00001").unlink()


def flip_a_bit(prefix):
    path = prefix.with_name(prefix.name + ".data-00000-of-00001")
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "args", "message"),
    [
        (truncate, [], "model.ckpt-60.data-00000-of-00001"),
        (damage_index, [], "model.ckpt-60.index"),
        (flip_a_bit, [], "checksum"),
        (remove_data, [], "model.ckpt-60.data-00000-of-00001"),
        (None, ["--arch", "resnet_v1_101"], "detected: resnet_v1, 3-4-6-3 units"),
        (None, ["--arch", "resnet_v1_50"], "bottlenecks 4-8-16-32"),
        (None, ["--arch", "resnet"], "unknown architecture 'resnet'"),
        (None, ["--scope", "tower_1"], "tower_1"),
        (None, ["--step", "61"], "no checkpoints of step 61"),
    ],
)
def test_bad_input_is_one_sentence_and_no_file(tool, checkpoint, tmp_path, damage, args, message):
    if damage:
        damage(checkpoint)
    source = checkpoint.parent if "--step" in args else checkpoint
    output = tmp_path / "net.safetensors"
    found = tool("convert_checkpoint", source, "--to", "torch", "--output", output, *args)
    assert found.returncode == 2
    assert message in found.stderr
    assert found.stderr.startswith("error: ")
    assert found.stderr.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["ckpt"]


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("missing/model.ckpt-1", "x.pt", "missing"),
        ("another", "x.pt", "no slim ResNet in it"),
        ("slim_v1/v2", "x.onnx", "ends in .safetensors or .pt"),
        ("slim_v1/v2", "no/folder/x.pt", "does not exist: make it first"),
    ],
)
def test_what_cannot_be_read_or_written(tool, data, another, tmp_path, source, output, message):
    path = another if source == "another" else data / source
    found = tool("convert_checkpoint", path, "--to", "torch", "--output", tmp_path / output)
    assert found.returncode == 2
    assert message in found.stderr
    assert found.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_nan_in_a_weight(tool, narrow, save_checkpoint, tmp_path):
    name = "net/block3/unit_2/bottleneck_v1/conv1/weights"
    arch = narrow("resnext_v1_50")
    shape = dict((v.name, v.shape) for v in arch.variables)[name.partition("/")[2]]
    prefix = save_checkpoint(arch, scope="net", **{name: np.full(shape, np.nan, np.float32)})
    found = tool("convert_checkpoint", prefix, "--to", "keras", "--output", tmp_path / "x.keras")
    assert found.returncode == 2
    assert f"{name} holds" in found.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_failed_verification_writes_nothing(data, tmp_path, tools_on_path):
    """A file that is wrong (here: one variance) ends with exit code 1."""
    code = (
        "import sys\n"
        "from converters.formats import torch_formats\n"
        "right = torch_formats.to_torch\n"
        "def wrong(ckpt):\n"
        "    net = right(ckpt); net.layer1[1].bn2.running_var *= 2; return net\n"
        "torch_formats.to_torch = wrong\n"
        "from converters.cli import convert_checkpoint, terminal\n"
        f"sys.argv = ['x', {str(data / 'slim_v1' / 'v2')!r}, '--to', 'torch',"
        f" '--output', {str(tmp_path / 'net.pt')!r}]\n"
        "terminal.run(convert_checkpoint.main)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=data.parents[1],
        env=tools_on_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, found.stderr
    said = "logits is the first value of the torch file in float32 that differs"
    assert said in found.stdout
    assert list(tmp_path.iterdir()) == []


def test_inspect_needs_no_framework(data, tools_on_path):
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'torch', 'keras', 'tf_slim'): sys.modules[name] = None\n"
        "from converters.cli import inspect_checkpoint, terminal\n"
        f"sys.argv = ['x', {str(data / 'slim_v1' / 'v2')!r}, '--variables']\n"
        "terminal.run(inspect_checkpoint.main)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=data.parents[1],
        env=tools_on_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
    for fact in (
        "696 variables",
        "bottlenecks 4-8-16-32",
        "106,922",
        "'resnet_v1_50'",
        "267",
        "161",
    ):
        assert fact in found.stdout


def test_inspect_another_network(tool, another):
    found = tool("inspect_checkpoint", another)
    assert found.returncode == 1
    assert "not recognised" in found.stdout


@pytest.mark.parametrize("content", [b"", b"not a file", b"PK\x03\x04" + bytes(100)])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_loading_what_is_no_torch_file(tmp_path, content, suffix):
    import converters
    from converters.models import torch_model

    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with pytest.raises(converters.CheckpointError, match=str(path)):
        torch_model.load(path)
    with pytest.raises(converters.CheckpointError, match="no such file"):
        torch_model.load(tmp_path / f"missing{suffix}")


def test_a_pickle_is_never_executed(tmp_path):
    import pickle

    import converters
    from converters.models import torch_model

    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "boom"), "w"))

    (tmp_path / "x.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(converters.CheckpointError):
        torch_model.load(tmp_path / "x.pt")
    assert not (tmp_path / "boom").exists()


@pytest.mark.slow
def test_torchvision_to_slim_and_back_bit_for_bit(tool, tmp_path):
    import torch

    from converters.models import torch_model
    from slim_resnet import arch as arch_lib

    # our module has torchvision's names, see tests/converters/test_exchange.py for their classes
    arch = arch_lib.get("resnet_v1_18", num_classes=7, convention="torchvision")
    state = torch_model.ResNet(arch).state_dict()
    torch.save(state, tmp_path / "weights.pth")
    there = tool(
        "convert_checkpoint", tmp_path / "weights.pth", "--from", "torchvision",
        "--arch", "resnet_v1_18", "--to", "slim", "--output", tmp_path / "model.ckpt",
    )  # fmt: skip
    assert (there.returncode, there.stderr) == (0, "")
    assert "(verified)" in there.stdout
    args = ("convert_checkpoint", tmp_path / "model.ckpt", "--to", "torchvision", "--no-verify")
    refused = tool(*args, "--output", tmp_path / "back.pth")
    assert refused.returncode == 2
    assert "resnet18 would compute something else with the same weights" in refused.stderr
    assert "use the target 'torch' (--to torch)" in refused.stderr
    back = tool(*args, "--convention", "torchvision", "--output", tmp_path / "back.pth")
    assert (back.returncode, back.stderr) == (0, "")
    found = torch.load(tmp_path / "back.pth", weights_only=True)
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(found[name], value), name
