"""Damaged files: a CheckpointError or the right arrays, and nothing else."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from fuzzing.handmade import message, shape, snappy, table, v1_items

from converters.files import CheckpointError
from converters.files.checkpoint import open_checkpoint


def read_all(path):
    return {name: array.tobytes() for name, array in open_checkpoint(path).items()}


@pytest.fixture
def v2(data, tmp_path):
    for file in (data / "resnext_cifar").glob("*.ckpt.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "ResNeXt.ckpt"


@pytest.fixture
def v1(data, tmp_path):
    return shutil.copy(data / "slim_v1/v1/model.ckpt-60", tmp_path)


# -- cut short ------------------------------------------------------------------------------------


@pytest.mark.parametrize("percent", range(0, 100, 4))
@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_truncated_v2(v2, suffix, percent):
    file = v2.with_name(v2.name + suffix)
    file.write_bytes(file.read_bytes()[: file.stat().st_size * percent // 100])
    with pytest.raises(CheckpointError, match="copy it again"):
        open_checkpoint(v2)


@pytest.mark.parametrize("percent", range(0, 100, 4))
def test_truncated_v1(v1, percent):
    with open(v1, "r+b") as file:
        file.truncate(file.seek(0, 2) * percent // 100)
    with pytest.raises(CheckpointError, match="cut short"):
        open_checkpoint(v1)


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_one_byte_short(v2, suffix):
    file = v2.with_name(v2.name + suffix)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError):
        open_checkpoint(v2)


def test_shrunk_after_it_was_opened(v2):
    weights = open_checkpoint(v2)
    file = v2.with_name(v2.name + ".data-00000-of-00001")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="size has changed since"):
        weights[next(iter(weights))]


# -- flipped bits ---------------------------------------------------------------------------------


def flips(content, count, seed):
    """`count` copies of `content`, one bit flipped in each."""
    for bit in np.random.default_rng(seed).integers(0, 8 * len(content), count):
        spoiled = bytearray(content)
        spoiled[bit // 8] ^= 1 << bit % 8
        yield bytes(spoiled)


def assert_flips_are_harmless(file, path, count):
    """Each flip in `file` makes a CheckpointError or changes nothing; returns the errors."""
    expected, content, errors = read_all(path), file.read_bytes(), 0
    for seed, spoiled in enumerate(flips(content, count, seed=len(content))):
        file.write_bytes(spoiled)
        try:
            assert read_all(path) == expected, seed
        except CheckpointError:
            errors += 1
    return errors


def test_flipped_bits_of_an_index(v2):
    index = v2.with_name(v2.name + ".index")
    assert assert_flips_are_harmless(index, v2, 120) > 100


def test_flipped_bits_of_a_recorded_v1_file(v1, tmp_path):
    assert assert_flips_are_harmless(tmp_path / "model.ckpt-60", v1, 50) > 40


@pytest.mark.parametrize("compressed", [False, True])
def test_flipped_bits_of_a_small_v1_file(tmp_path, compressed):
    path = tmp_path / "m"
    table(path, v1_items(), snappy if compressed else None)
    assert assert_flips_are_harmless(path, path, 1000) > 800


def test_flipped_bits_of_data_are_found(v2):
    data = v2.with_name(v2.name + ".data-00000-of-00001")
    for spoiled in flips(data.read_bytes(), 10, seed=1):
        data.write_bytes(spoiled)
        with pytest.raises(CheckpointError, match="00001, variable '.*': its values do not match"):
            open_checkpoint(v2, verify=True)
    weights = open_checkpoint(v2)  # the one flip that is left concerns one variable
    damaged = []
    for name in weights:
        try:
            weights.verify(name)
        except CheckpointError as error:
            damaged.append((name, str(error)))
    [(name, text)] = damaged
    assert f"variable {name!r}" in text


# -- damage that checksums do not show ------------------------------------------------------------


def spoiler(rng):
    def spoil(block):
        out = bytearray(block)
        for at in rng.integers(0, len(block), rng.integers(1, 4)):
            out[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
        return bytes(out)

    return spoil


def test_noise_under_good_checksums_in_v2(tmp_path):
    rng = np.random.default_rng(2)
    items = [(b"", message((1, 1)))]
    cut = [message((1, message((1, 2 * i), (2, 2)))) for i in range(2)]
    part = ((1, 1), (2, shape(2)), (5, 8))
    for i in range(2):
        items.append((b"\0p\0\1\1\1" + bytes([0x80 + 2 * i, 0x82]), [*part, (4, 100 + 8 * i)]))
    items.append((b"p", [(1, 1), (2, shape(4)), (7, cut[0]), (7, cut[1])]))
    items += [
        (b"w", [(1, 1), (2, shape(2, 3)), (5, 24)]),
        (b"x", [(1, 7), (2, shape(1)), (4, 50), (5, 9)]),
    ]
    items[1:] = [(key, message(*fields)) for key, fields in items[1:]]
    (tmp_path / "m.data-00000-of-00001").write_bytes(bytes(1000))
    table(tmp_path / "m.index", items)
    assert list(open_checkpoint(tmp_path / "m")) == ["p", "w", "x"]
    survive(tmp_path / "m.index", items, rng)


@pytest.mark.parametrize("compressed", [False, True])
def test_noise_under_good_checksums_in_v1(tmp_path, compressed):
    compress = snappy if compressed else None
    survive(tmp_path / "m", v1_items(), np.random.default_rng(3), compress)


def survive(path, items, rng, compress=None):
    for _ in range(400):
        table(path, items, compress, spoil=spoiler(rng))
        try:
            weights = open_checkpoint(path)
            for name in weights:
                assert weights[name].nbytes <= 100_000
        except CheckpointError:
            pass
