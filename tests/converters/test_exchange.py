"""Weights of torchvision, timm and Keras to slim and back: the same bits, the same outputs."""

from __future__ import annotations

import dataclasses
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import converters
from converters import formats
from converters.files import WeightsFile
from converters.files.metadata_keys import ARCH_KEY, KERAS_METADATA
from converters.formats import libraries as exchange
from converters.formats.file_metadata import metadata
from converters.formats.libraries import LIBRARIES, from_state, left_out, to_state
from converters.formats.library_files import load_weights
from converters.models.naming import table
from converters.recognise.recognised import Recognised
from slim_resnet import arch as arch_lib
from slim_resnet import graph
from slim_resnet.compat import tf
from slim_resnet.regression.record import seeded_value

MODELS = [
    (library, name, model)
    for library in ("torchvision", "timm")
    for name, model in LIBRARIES[library].models.items()
]


@pytest.fixture(scope="session")
def their_model(torchvision_resnet):
    """their_model("timm", "resnet50") -> the library's module."""

    def make(library: str, model: str, **kwargs) -> torch.nn.Module:
        if library == "torchvision":
            return getattr(torchvision_resnet, model)(**kwargs)
        return pytest.importorskip("timm").create_model(model, **kwargs)

    return make


def randomize(net):
    """Batch norms like a trained net's; as initialised they would hide a mistake."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1)
            module.bias.data.normal_(0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


def arrays(net):
    return {name: tensor.numpy().copy() for name, tensor in net.state_dict().items()}


def seeded(arch):
    """A slim checkpoint in memory, its values seeded by name."""
    scope = "" if arch.has_script_names else arch.name
    prefix = f"{scope}/" if scope else ""
    values = {prefix + v.name: seeded_value(v.name, v.shape) for v in arch.variables}
    return Recognised(WeightsFile.of_arrays("seeded", values), arch, scope)


def assert_same_bits(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert found[name].tobytes() == value.tobytes(), name


def restored(arch, prefix):
    """What a plain `Saver` restores into the rebuilt graph, by names in `arch.variables`."""
    with tf.Graph().as_default(), tf.Session() as session:
        graph.build(arch, tf.placeholder(tf.float32, [None, None, None, 3]))
        tf.train.Saver().restore(session, prefix)
        return session.run(graph.variables(arch))


def slim_logits(arch, values, images):
    """The slim graph's logits in the images' dtype."""
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = tf.placeholder(images.dtype, [None, None, None, 3])
        net, _ = graph.build(arch, inputs)
        graph.assign(session, {v: values[name] for name, v in graph.variables(arch).items()})
        return session.run(net, {inputs: images}).reshape(len(images), -1)


@pytest.mark.parametrize(
    ("library", "name", "model"),
    [
        pytest.param("torchvision", "resnext_v1_50", "resnext50_32x4d", marks=pytest.mark.slow),
        ("torchvision", "resnet_v1_50", "resnet50"),
        pytest.param(
            "torchvision", "wide_resnet_v1_50_2", "wide_resnet50_2", marks=pytest.mark.slow
        ),
        ("timm", "resnext_v1_50", "resnext50_32x4d"),
        pytest.param("timm", "se_resnext_v1_50", "seresnext50_32x4d", marks=pytest.mark.slow),
        pytest.param("timm", "resnet_v1_50_d", "resnet50d", marks=pytest.mark.slow),
        pytest.param(
            "torchvision", "resnext_v1_101_32x8d", "resnext101_32x8d", marks=pytest.mark.slow
        ),
    ],
)
def test_their_weights_to_slim_and_back(library, name, model, their_model, tmp_path):
    """Restored by a plain Saver, slim's graph computes what their module does."""
    arch = arch_lib.get(name, convention="torchvision")
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64, generator=torch.manual_seed(1))
    net = randomize(their_model(library, model))
    state = arrays(net)
    with torch.inference_mode():
        expected = net.double()(images).numpy()
    del net  # 700 MB for resnext101_32x8d
    prefix = str(tmp_path / "model.ckpt")
    formats.write_checkpoint(from_state(arch, state, library), prefix)

    found = slim_logits(arch, restored(arch, prefix), images.permute(0, 2, 3, 1).numpy())
    assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()

    ckpt = converters.load_checkpoint(prefix, arch=name, convention="torchvision")
    counters = set(left_out(state))
    assert len(counters) == sum(name.endswith("running_var") for name in state)
    back = to_state(ckpt, library)
    assert_same_bits(
        dict(sorted(back.items())),
        {name: state[name] for name in sorted(state) if name not in counters},
    )


@pytest.mark.parametrize(("library", "name", "model"), MODELS)
def test_their_models_have_the_names_and_shapes_of_ours(library, name, model, their_model):
    with torch.device("meta"):
        theirs = their_model(library, model).state_dict()
    rows = table(arch_lib.get(name))
    ours = {row.torch: row.to_torch(np.broadcast_to(0.0, row.shape)).shape for row in rows}
    counters = set(left_out(theirs))
    assert {n: tuple(t.shape) for n, t in theirs.items() if n not in counters} == ours


@pytest.mark.parametrize(
    ("classes", "description"),
    [
        (
            {"cardinality": 32, "base_width": 4, "block_args": {"attn_layer": "se"}},
            "cardinality 32, 5 classes, squeeze-and-excitation of 16-32-64-128",
        ),
        (
            {"stem_type": "deep", "stem_width": 32, "avg_down": True},
            "deep stem of 32-32, average pooling before strided projections",
        ),
    ],
    ids=["seresnext", "resnet-d"],
)
def test_timms_classes_are_told_by_their_names(classes, description, their_model, tmp_path):
    """One unit a block: timm's module, slim's graph and our models compute the same."""
    resnet = pytest.importorskip("timm").models.resnet
    made = resnet.ResNet(resnet.Bottleneck, (1, 1, 1, 1), num_classes=5, **classes)
    net, path = randomize(made), tmp_path / "net.pth"
    torch.save(net.state_dict(), path)
    ckpt = load_weights(path, "timm")
    assert description in ckpt.arch.describe()
    own = load_weights(path, "torch", convention="torchvision")
    assert own.arch.replace(name=ckpt.arch.name) == ckpt.arch
    counters = set(left_out(net.state_dict()))
    state = {name: value for name, value in arrays(net).items() if name not in counters}
    assert_same_bits(dict(sorted(to_state(ckpt, "torch").items())), dict(sorted(state.items())))

    values = {v.name: ckpt[ckpt.full_name(v.name)] for v in ckpt.arch.variables}
    ours, model = converters.to_torch(ckpt), converters.to_keras(ckpt)
    for height, width in ((64, 96), (75, 59)):
        images = torch.randn(2, 3, height, width, generator=torch.manual_seed(1)).double()
        by_place = images.permute(0, 2, 3, 1).numpy()
        with torch.inference_mode():
            expected = net.double()(images).numpy()
            single = ours.float()(images.float()).numpy()
            found = [ours.double()(images).numpy(), slim_logits(ckpt.arch, values, by_place)]
        bound = np.abs(expected).max()
        assert bound > 0.1
        assert all(np.abs(each - expected).max() <= 1e-12 * bound for each in found)
        singles = [single, np.array(model(by_place.astype(np.float32)))]
        singles.append(slim_logits(ckpt.arch, values, by_place.astype(np.float32)))
        assert all(np.abs(each - expected).max() <= 2e-5 * bound for each in singles)


@pytest.mark.parametrize("library", LIBRARIES)
def test_slim_to_a_library_and_back(library):
    name = "resnet_v1_18" if LIBRARIES[library].framework == "torch" else "resnet_v2_50"
    arch = LIBRARIES[library].own(arch_lib.get(name, num_classes=7))
    ckpt = seeded(arch)
    back = from_state(arch, to_state(ckpt, library), library)
    assert_same_bits(dict(back), dict(ckpt))


def test_their_modules_take_the_state(their_model):
    arch = arch_lib.get("resnet_v1_18", num_classes=7, convention="torchvision")
    state = {n: torch.from_numpy(v) for n, v in to_state(seeded(arch), "torchvision").items()}
    their_model("torchvision", "resnet18", num_classes=7).load_state_dict(state, strict=True)


@pytest.mark.parametrize("library", ["torch", "keras"])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("resnext_v1_50", {"form": "concat"}),
        ("resnext_v1_50", {"form": "branches"}),
        ("resnet_v2_50", {"num_classes": None}),
        ("resnext_v2_50", {}),
    ],
    ids=str,
)
def test_our_modules_of_any_network_and_back(library, name, changes, narrow):
    arch = narrow(name, **changes)
    ckpt = seeded(arch)
    assert_same_bits(dict(from_state(arch, to_state(ckpt, library), library)), dict(ckpt))
    assert set(ckpt) == {f"{arch.name}/{v.name}" for v in arch.variables}


def test_a_net_with_script_names_has_no_scope():
    arch = arch_lib.resnext_cifar(2, 4)
    ckpt = seeded(arch)
    assert set(ckpt) == {v.name for v in arch.variables}
    assert_same_bits(dict(from_state(arch, to_state(ckpt, "keras"), "keras")), dict(ckpt))


def test_the_scope_is_the_callers_choice(narrow):
    arch = narrow("resnet_v1_50")
    ckpt = from_state(arch, to_state(seeded(arch), "torch"), "torch", scope="tower/net")
    assert ckpt.scope == "tower/net"
    assert "tower/net/conv1/weights" in ckpt
    assert not ckpt.unknown


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_the_slim_convention_is_refused(library):
    ckpt = seeded(arch_lib.get("resnet_v1_18"))
    with pytest.raises(ValueError, match=r"convention 'slim'.*resnet18 would.*--to torch\)"):
        to_state(ckpt, library)
    with pytest.raises(ValueError, match=r"convention 'slim'.*resnet18 would.*--from torch and"):
        from_state(ckpt.arch, to_state(ckpt, "torch"), library)


@pytest.mark.parametrize(
    "arch",
    [
        arch_lib.get("resnet_v2_50"),
        arch_lib.get("resnet_cifar_20_b"),
        arch_lib.get("resnext_v1_101", convention="torchvision"),
        arch_lib.get("resnet_v1_50", convention="torchvision", output_stride=8),
        arch_lib.get("resnet_v1_50", convention="torchvision", batch_norm_epsilon=1e-3),
    ],
    ids=lambda arch: arch.name,
)
def test_a_network_that_torchvision_lacks_is_refused(arch):
    with pytest.raises(ValueError, match=f"torchvision has no model of {arch.name}.*--to torch"):
        to_state(seeded(arch), "torchvision")


def test_forms_classes_and_decay_do_not_matter():
    arch = arch_lib.get("resnext_v1_50", num_classes=None, form="concat", batch_norm_decay=0.9)
    assert exchange.model_name(arch, "torchvision") == "resnext50_32x4d"


def test_unknown_library(narrow):
    ckpt = seeded(narrow("resnet_v1_50"))
    with pytest.raises(ValueError, match="unknown library 'jax': use torch, torchvision, timm"):
        to_state(ckpt, "jax")
    with pytest.raises(ValueError, match="unknown library 'slim'"):
        from_state(ckpt.arch, {}, "slim")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("bn1.bias"), "it lacks bn1.bias; name the right --arch"),
        (lambda s: s.update({"layer9.x": s["bn1.bias"]}), "it has besides layer9.x;"),
        (lambda s: s.update({"fc.weight": s["fc.weight"].T}), r"fc.weight has shape \[64, 10\] "),
        (lambda s: s.update({"bn1.bias": np.float32(0)}), r"bn1.bias has shape \[\] where \[8\]"),
        (lambda s: s.update({"bn1.bias": np.zeros(8)}), "bn1.bias is float64, and slim's"),
        (lambda s: [s.pop(name) for name in list(s)[:9]], "it lacks conv1.weight, .* and 5 more"),
    ],
)
def test_other_weights_are_named(change, message, narrow):
    arch = narrow("resnet_v1_50", base=2)
    state = to_state(seeded(arch), "torch")
    change(state)
    with pytest.raises(converters.CheckpointError, match=message):
        from_state(arch, state, "torch", path="some.pth")


@pytest.fixture(scope="module")
def small():
    return seeded(arch_lib.get("resnet_v1_18", num_classes=3, convention="torchvision"))


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state}])
def test_a_torch_file(wrap, small, their_model, tmp_path):
    net = randomize(their_model("torchvision", "resnet18", num_classes=3))
    torch.save(wrap(net.state_dict()), tmp_path / "net.pth")
    ckpt = load_weights(tmp_path / "net.pth", "torchvision", arch="resnet_v1_18", scope="net")
    assert (ckpt.arch.convention, ckpt.num_classes, ckpt.scope) == ("torchvision", 3, "net")
    below = ["its weights are those below 'state_dict'"] * (wrap(0) != 0)
    assert ckpt.notes == [
        *below,
        "20 counters of batches (*.num_batches_tracked) left out: slim has none, and no result "
        "depends on them",
    ]
    assert metadata(ckpt)["preprocessing_source"].startswith("assumed: torchvision's own")
    assert_same_bits(dict(ckpt), dict(from_state(small.arch, arrays(net), "torchvision", "net")))


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_our_torch_files_say_what_they_are(suffix, narrow, tmp_path):
    ckpt = seeded(narrow("resnet_v1_50"))
    formats.writer("torch", tmp_path / f"net{suffix}")(ckpt)
    back = load_weights(tmp_path / f"net{suffix}", "torch")
    assert (back.arch, back.library) == (ckpt.arch, "torch")
    assert_same_bits(dict(back), dict(ckpt))
    with pytest.raises(ValueError, match="torchvision has no model of resnet_v1_50_narrow"):
        load_weights(tmp_path / f"net{suffix}", "torchvision")


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_our_keras_files(suffix, narrow, tmp_path):
    ckpt = seeded(narrow("resnext_v2_50"))
    formats.writer("keras", tmp_path / f"net{suffix}")(ckpt)
    back = load_weights(tmp_path / f"net{suffix}", "keras", arch=ckpt.arch)
    assert_same_bits(dict(back), dict(ckpt))
    if suffix == ".keras":
        back = load_weights(tmp_path / "net.keras", "keras")
        assert back.arch == ckpt.arch
        assert_same_bits(dict(back), dict(ckpt))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ("[]", "slim_resnet.json is not one text for each name"),
        ('{"slim_resnet.arch": 3}', "slim_resnet.json is not one text for each name"),
        ('{"slim_resnet.arch": "{}"}', r"its architecture \(slim_resnet.arch\) cannot be used"),
        ("{", "cannot be read as weights"),
        ('{"source": "model.ckpt-7"}', "name its --arch"),
    ],
)
def test_keras_files_that_say_nonsense(told, message, narrow, tmp_path):
    path = tmp_path / "net.keras"
    converters.to_keras(seeded(narrow("resnet_cifar_20", base=2))).save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(KERAS_METADATA, told)
    with pytest.raises(ValueError, match=message):
        load_weights(path, "keras")


def test_a_file_of_more_branches_than_weights(narrow, tmp_path):
    """As many branches as it says would fill the memory."""
    path = tmp_path / "net.safetensors"
    formats.writer("torch", path)(seeded(narrow("resnext_29_8x64d")))
    arrays = load_file(path)
    arch = arch_lib.get("resnext_29_8x64d", form="branches")
    stages = [dataclasses.replace(stage, depth_bottleneck=10**5) for stage in arch.stages]
    arch = arch.replace(stages=tuple(stages), cardinality=10**5)
    save_file(arrays, path, metadata={ARCH_KEY: arch.to_json()})
    with pytest.raises(converters.CheckpointError, match="units, or of their branches, is not"):
        load_weights(path, "torch")


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_writers_refuse_another_convention_before_the_work(library, tmp_path):
    write = formats.writer(library, tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"convention 'slim'.*resnet18 would"):
        write.left_out(seeded(arch_lib.get("resnet_v1_18")))


def test_a_file_without_classes(tmp_path):
    ckpt = seeded(arch_lib.get("resnet_v1_18", num_classes=None, convention="torchvision"))
    torch.save({n: torch.from_numpy(v) for n, v in to_state(ckpt, "timm").items()},
               tmp_path / "net.pth")  # fmt: skip
    assert load_weights(tmp_path / "net.pth", "timm", arch="resnet_v1_18").num_classes is None


@pytest.mark.parametrize(
    ("name", "source", "arch", "message"),
    [
        ("net.pth", "torch", None, "does not say which network it holds: name its --arch"),
        ("net.pth", "torchvision", "resnet_v1_34", "not the weights of resnet_v1_34.*lacks layer1"),
        ("none.pth", "torch", "resnet_v1_18", "none.pth: no such file"),
        ("bad.pth", "torch", "resnet_v1_18", "bad.pth: cannot be read as weights"),
        ("bad.safetensors", "timm", "resnet_v1_18", "cannot be read as weights"),
        ("bad.keras", "keras", "resnet_v1_18", "cannot be read as weights"),
        ("bad.weights.h5", "keras", "resnet_v1_18", "cannot be read as weights"),
        ("dump.pth", "torch", "resnet_v1_18", "as weights: it is of the format npz"),
        ("net.pth", "jax", "resnet_v1_18", "unknown source 'jax'"),
    ],
)
def test_files_that_do_not_fit(name, source, arch, message, small, tmp_path):
    if name == "net.pth":
        state = to_state(small, "torch")
        torch.save({n: torch.from_numpy(v) for n, v in state.items()}, tmp_path / name)
    elif name == "dump.pth":
        with open(tmp_path / name, "wb") as file:
            np.savez(file, **{"conv1.weight": np.ones(1)})
    elif name.startswith("bad"):
        (tmp_path / name).write_bytes(b"not weights" * 9)
    with pytest.raises(ValueError, match=message):
        load_weights(tmp_path / name, source, arch=arch)
