"""Damaged files: a CheckpointError or arrays of the right size, and nothing else.

Where a format has checksums (zips), the arrays must be the right ones.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from fuzzing.handmade import message

from converters.files import CheckpointError, graph_for, open_weights
from converters.graphs import graph_facts

CHECKED = (".npz", ".keras", ".pt")
FILES = [
    "frozen.pb",
    "frozen.pbtxt",
    "dump.npz",
    "dump.h5",
    "net.safetensors",
    "net.pt",
    "net.keras",
    "net.weights.h5",
]


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """A small file of every kind."""
    import h5py
    import keras
    import torch
    from safetensors.numpy import save_file

    arrays, frozen = small
    folder = tmp_path_factory.mktemp("whole")
    for name in ("frozen.pb", "frozen.pbtxt", "model.meta"):
        shutil.copy(frozen / name, folder)
    shutil.copy(frozen / "saved/saved_model.pb", folder)
    arrays = dict(list(arrays.items())[:20])
    np.savez(folder / "dump.npz", **arrays)
    with h5py.File(folder / "dump.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array
    save_file(arrays, folder / "net.safetensors")
    torch.save({name: torch.tensor(array) for name, array in arrays.items()}, folder / "net.pt")
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    model = keras.Sequential(layers)
    model.save(folder / "net.keras")
    model.save_weights(folder / "net.weights.h5")
    return folder


def read_all(path):
    return {name: array.tobytes() for name, array in open_weights(path).items()}


def read_facts(path):
    return graph_facts(graph_for(path))


def flips(content, count):
    """`count` copies of `content`, one bit flipped in each."""
    for bit in np.random.default_rng(len(content)).integers(0, 8 * len(content), count):
        spoiled = bytearray(content)
        spoiled[bit // 8] ^= 1 << bit % 8
        yield bytes(spoiled)


@pytest.mark.parametrize("name", FILES)
def test_truncated(whole, tmp_path, name):
    content = (whole / name).read_bytes()
    expected = read_all(whole / name)
    path = tmp_path / name
    for percent in range(0, 100, 3):
        path.write_bytes(content[: len(content) * percent // 100])
        try:
            found = read_all(path)
        except CheckpointError:
            continue
        assert path.suffix == ".pb"  # cut between two of its nodes a graph is still one
        assert len(found) < len(expected)
    path.write_bytes(content[:-1])
    if name != "frozen.pbtxt":
        with pytest.raises(CheckpointError):
            read_all(path)


@pytest.mark.parametrize("name", FILES)
def test_flipped_bits(whole, tmp_path, name):
    path = tmp_path / name
    content = (whole / name).read_bytes()
    expected = read_all(whole / name)
    errors = 0
    for spoiled in flips(content, 60 if path.suffix == ".pbtxt" else 200):
        path.write_bytes(spoiled)
        try:
            found = read_all(path)
        except CheckpointError:
            errors += 1
        else:
            if path.suffix in CHECKED:
                assert found == expected
            assert sum(map(len, found.values())) < 1 << 20
    assert errors > 10


@pytest.mark.parametrize("name", ["frozen.pb", "model.meta", "saved_model.pb"])
def test_facts_of_flipped_bits(whole, tmp_path, name):
    path = tmp_path / name
    errors = 0
    for spoiled in flips((whole / name).read_bytes(), 100):
        path.write_bytes(spoiled)
        try:
            assert read_facts(path).convs
        except CheckpointError:
            errors += 1
    assert errors > 3  # most of a graph says nothing of its layers


def test_noise(whole, tmp_path):
    """Several bytes at once, most of them where the structure is."""
    rng = np.random.default_rng(5)
    for name in ("frozen.pb", "net.safetensors", "dump.h5"):
        content = (whole / name).read_bytes()
        for _ in range(100):
            spoiled = bytearray(content)
            for at in rng.integers(0, min(len(content), 4000), 3):
                spoiled[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
            (tmp_path / name).write_bytes(spoiled)
            try:
                found = read_all(tmp_path / name)
            except CheckpointError:
                continue
            assert sum(map(len, found.values())) < 1 << 25


# -- graphs made by hand --------------------------------------------------------------------------


def node(name, op, inputs=(), **attributes):
    pairs = [(5, message((1, key.encode()), (2, value))) for key, value in attributes.items()]
    fields = [(1, name), (2, op), *((3, text) for text in inputs), *pairs]
    return (1, message(*fields))


def constant(name, shape, *fields, dtype=1):
    sizes = message(*((2, message((1, size))) for size in shape))
    tensor = message((1, dtype), (2, sizes), *fields)
    return node(name, b"Const", value=message((8, tensor)))


def conv(weights=b"w", *, strides=b"\1\1\1\1"):
    return node(
        b"c",
        b"Conv2D",
        (b"x", weights),
        strides=message((1, message((3, strides)))),
        padding=message((2, b"SAME")),
    )


def graph_file(tmp_path, *nodes):
    (tmp_path / "g.pb").write_bytes(message(*nodes))
    return tmp_path / "g.pb"


def test_a_graph_made_by_hand(tmp_path):
    path = graph_file(tmp_path, constant(b"w", (1, 1, 1, 2), (4, bytes(8))), conv())
    assert open_weights(path)["w"].shape == (1, 1, 1, 2)
    (fact,) = read_facts(path).convs
    assert (fact.weights, fact.window.padding) == ("w", "SAME")


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([constant(b"w", (1 << 20, 1 << 20, 1, 1)), conv()], "more than 32 times its size"),
        ([constant(b"w", (1 << 12, 1 << 12, 1, 1), (5, bytes(4))), conv()], "more than 32 times"),
        ([constant(b"w", (1 << 40,) * 4), conv()], "'w', its shape is too large for any array"),
        ([constant(b"w", (-1, 1, 1, 1)), conv()], "'w', its shape .* is not fully known"),
        ([constant(b"w", (1, 1, 1, 2), (4, bytes(4))), conv()], "1 values, which do not fill"),
        ([constant(b"w", (1, 1, 1, 2), (4, bytes(5))), conv()], "cut short"),
        ([constant(b"w", (1, 1, 1, 2), (5, bytes(12))), conv()], "3 values, which do not fill"),
        ([constant(b"w", (1, 1, 1, 2), dtype=0), conv()], "'w', it has no data type"),
        ([constant(b"w", (1, 1, 1, 2), dtype=7), conv()], "holds no weights"),
        ([constant(b"w", (1,)), constant(b"w", (1,))], "'w' lacks a name or kind, or is twice"),
        ([node(b"", b"Const")], "'' lacks a name"),
        ([node(b"\xff", b"Const")], "not UTF-8"),
        ([(1, 7)], "holds a number, not bytes"),
    ],
)
def test_absurd_constants(tmp_path, nodes, reason):
    with pytest.raises(CheckpointError, match=reason):
        read_all(graph_file(tmp_path, *nodes))


WEIGHTS = constant(b"w", (1, 1, 1, 1))


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([WEIGHTS, conv(strides=b"\1\1")], "strides of its operation 'c'"),
        ([WEIGHTS, conv(strides=b"\1\0\1\1")], "strides of its operation 'c'"),
        ([WEIGHTS, conv(strides=b"\1\1\1\x80")], "cut short"),
        ([constant(b"w", (3,)), conv()], "'w' of its 'c' is not of rank 4"),
        (
            [WEIGHTS, conv(), node(b"x", b"Pad", (b"y", b"p")), constant(b"p", (3, 2), dtype=3)],
            "paddings of its operation 'x'",
        ),
        (
            [WEIGHTS, conv(), node(b"x", b"Pad", (b"y", b"p")), constant(b"p", (99, 99), dtype=3)],
            "absurd shape",
        ),
        ([WEIGHTS, conv(), node(b"x", b"SpaceToBatchND", (b"x", b"x"))], "block shape of its"),
    ],
)
def test_absurd_operations(tmp_path, nodes, reason):
    with pytest.raises(CheckpointError, match=reason):
        read_facts(graph_file(tmp_path, *nodes))


def test_rings_end(tmp_path):
    ring = [node(b"a", b"Identity", (b"b",)), node(b"b", b"Identity", (b"a",))]
    adds = [node(b"x", b"Add", (b"x", b"s")), node(b"s", b"Sub", (b"x", b"x"))]
    path = graph_file(tmp_path, *ring, *adds, conv(b"a"))
    with pytest.raises(CheckpointError, match="no convolution"):
        read_facts(path)
    path = graph_file(tmp_path, *ring, *adds, WEIGHTS, conv())
    assert read_facts(path).convs[0].groups is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"node { " * 40, "nested more than 32 deep"),
        (b"node { name: 'a'", "ends within a message"),
        (b"}", "closes a bracket"),
        (b"node { name: 7 }", "'name' has a value of the wrong kind"),
        (b"node { name 'a' }", "'name' has no value"),
        (b"node: 'a'", "'node' has a value of the wrong kind"),
        (b"node { attr { value { i: x } } }", "'i' has the impossible value x"),
        (b"node { attr { value { i: 99999999999999999999 } } }", "impossible value"),
        (b"node { attr { value { f: 1e99 } } }", "impossible value"),
        (b"node {\n\n'a' }", "not in protobuf's text format at or after line"),
        (b"unknown { deep { er: 1 } } versions { producer: 7 }", "holds no weights"),
    ],
)
def test_absurd_text(tmp_path, text, reason):
    (tmp_path / "g.pbtxt").write_bytes(text)
    with pytest.raises(CheckpointError, match=reason):
        open_weights(tmp_path / "g.pbtxt")
