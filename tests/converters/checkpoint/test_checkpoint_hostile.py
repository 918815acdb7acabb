"""Files made by hand: rare ones that are right, and ones whose checksums match all the same."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from fuzzing.handmade import message, shape, snappy, table, v1_items, v1_record

from converters.files import CheckpointError
from converters.files.checkpoint import open_checkpoint

# -- V1 with Snappy blocks, as slim's published checkpoints have ----------------------------------


@pytest.mark.parametrize("per_block", [1, 2, 8])
@pytest.mark.parametrize("compressed", [False, True])
def test_v1_blocks(tmp_path, compressed, per_block):
    table(tmp_path / "m", v1_items(), snappy if compressed else None, per_block)
    weights = open_checkpoint(tmp_path / "m", verify=True)
    assert list(weights) == ["n", "w"]
    assert weights["n"] == 7
    assert np.array_equal(weights["w"], np.arange(1200).reshape(4, 300) // 7)
    assert (tmp_path / "m").stat().st_size < (3000 if compressed else 9999)


def test_v1_tensor_content(tmp_path):
    items = v1_items()
    items[1] = (items[1][0], v1_record(b"n", b"", 4, np.int64(-9).tobytes()))
    table(tmp_path / "m", items)
    assert open_checkpoint(tmp_path / "m")["n"] == -9


@pytest.mark.parametrize(
    ("field", "values", "reason"),
    [
        (10, b"", "0 values"),
        (10, b"\1\2", "2 values"),
        (10, b"\x80", "cut short"),
        (10, b"\xff" * 10 + b"\1", "longer than 64 bits"),
        (10, 7, "holds a number, not bytes"),
        (4, b"\1\2\3", "cut short"),
    ],
)
def test_v1_values_that_do_not_fit(tmp_path, field, values, reason):
    items = v1_items()
    items[1] = (items[1][0], v1_record(b"n", b"", field, values))
    table(tmp_path / "m", items)
    with pytest.raises(CheckpointError, match=f"m, variable 'n': .*{reason}"):
        open_checkpoint(tmp_path / "m")["n"]


def test_v1_values_missing_or_of_another_variable(tmp_path):
    items = v1_items()
    table(tmp_path / "m", items[:-1])
    with pytest.raises(CheckpointError, match="'w': its values are missing"):
        open_checkpoint(tmp_path / "m", verify=True)
    items[1] = (items[1][0], v1_record(b"v", b"", 10, b"\7"))
    table(tmp_path / "m", items)
    with pytest.raises(CheckpointError, match="'n': its values are marked as those of 'v'"):
        open_checkpoint(tmp_path / "m", verify=True)


def test_v1_variable_listed_twice(tmp_path):
    items = v1_items()
    contents = message((1, message((1, b"n"), (3, 9), (4, b""))))
    items[0] = (b"", message((1, contents * 2)))
    table(tmp_path / "m", items)
    with pytest.raises(CheckpointError, match="'n': it is stored whole 2 times"):
        open_checkpoint(tmp_path / "m")


def test_v1_shards_that_disagree(tmp_path):
    for number, dtype in enumerate((1, 9)):
        entry = message((1, b"n"), (3, dtype), (4, b""))
        contents = message((1, message((1, entry))))
        table(tmp_path / f"m-0000{number}-of-00002", [(b"", contents)])
    with pytest.raises(CheckpointError, match="'n': the files disagree"):
        open_checkpoint(tmp_path / "m")


# -- hostile V2 indexes ---------------------------------------------------------------------------


def bundle(folder, *entries, header=((1, 1),), data=bytes(1000)):
    """Write a bundle of `entries`: key, and the fields of its BundleEntryProto."""
    items = [(b"", message(*header))]
    items += [(key, message(*fields)) for key, fields in entries]
    table(folder / "m.index", items)
    (folder / "m.data-00000-of-00001").write_bytes(data)
    return folder / "m"


FLOATS = ((1, 1), (2, shape(2, 3)), (5, 24))


def test_a_bundle_made_by_hand(tmp_path):
    path = bundle(tmp_path, (b"w", FLOATS), (b"x", (*FLOATS, (4, 24))))
    assert {name: array.shape for name, array in open_checkpoint(path).items()} == {
        "w": (2, 3),
        "x": (2, 3),
    }


@pytest.mark.parametrize("dtype", ["f4", "i8", "f2", "c8", "bfloat16"])
def test_big_endian(tmp_path, dtype):
    number = {"f4": 1, "i8": 9, "f2": 19, "c8": 8, "bfloat16": 14}[dtype]
    values = np.array([1, -2, 3.0])
    if dtype == "bfloat16":
        stored = (values.astype("f4").view("u4") >> 16).astype(">u2").tobytes()
    else:
        stored = values.astype(">" + dtype).tobytes()
    entry = ((1, number), (2, shape(3)), (5, len(stored)))
    path = bundle(tmp_path, (b"w", entry), header=((1, 1), (2, 1)), data=stored)
    array = open_checkpoint(path)["w"]
    assert array.tolist() == values.tolist()
    assert array.dtype.isnative


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ((), "no data type"),
        (((1, -1),), "no data type"),
        (((1, 1), (2, shape(2, 3)), (5, 23)), "takes 23 bytes where .* need 24"),
        (((1, 1), (2, shape(2, -3)), (5, 24)), "not fully known"),
        (((1, 1), (2, b"\x18\1"), (5, 4)), "not fully known"),
        (((1, 1), (2, shape(2**32, 2**32)), (5, 0)), "too large"),
        (((1, 1), (2, shape(0, 2**62, 2**62)), (5, 0)), "too large"),
        (((1, 1), (2, shape(*[1] * 99)), (5, 4)), "too large"),
        ((*FLOATS, (3, 1)), "outside the data files"),
        ((*FLOATS, (3, -1)), "outside the data files"),
        ((*FLOATS, (4, -24)), "outside the data files"),
        ((*FLOATS, (4, 977)), "end at byte 1001 of m.data-00000-of-00001, which has only 1000"),
        ((*FLOATS, (4, 2**63 - 1)), "end at byte"),
        (((1, 7), (2, shape(1)), (5, -1)), "outside the data files"),
        (((1, 7), (2, shape(1)), (5, 1001)), "end at byte 1001"),
        (((1, b"x"),), "holds bytes, not a number"),
        (((1, 1), (2, 5)), "holds a number, not bytes"),
        (((1, 1), (2, b"\x12\xff")), "cut short"),
        ((*FLOATS, (7, b"\x0a\x00")), "a slice has 1 axes, the variable 2"),
        ((*FLOATS, (7, b"\x0a\x04\x08\1\x10\2\x0a\0")), "outside its shape"),
    ],
)
def test_v2_entries_that_make_no_sense(tmp_path, entry, reason):
    with pytest.raises(CheckpointError, match=f"m.index.*{reason}"):
        open_checkpoint(bundle(tmp_path, (b"w", entry)))


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ((), "no valid header"),
        (((1, -1),), "no valid header"),
        (((1, 1), (2, 2)), "no valid header"),
        (((1, 2**31 - 1),), "of-2147483647: the file cannot be read"),
        (((1, 1), (3, b"\x10\2")), "reader of checkpoint version 2"),
    ],
)
def test_v2_headers_that_make_no_sense(tmp_path, header, reason):
    with pytest.raises(CheckpointError, match=reason):
        open_checkpoint(bundle(tmp_path, (b"w", FLOATS), header=header))


def test_overlapping_values(tmp_path):
    path = bundle(tmp_path, (b"w", FLOATS), (b"x", (*FLOATS, (4, 20))))
    with pytest.raises(CheckpointError, match="values of 'w' and 'x' overlap"):
        open_checkpoint(path)


@pytest.mark.parametrize("keys", [(b"w", b"w"), (b"x", b"w")])
@pytest.mark.parametrize("per_block", [1, 9])
def test_keys_repeated_or_out_of_order(tmp_path, keys, per_block):
    items = [(b"", message((1, 1)))]
    items += [(key, message(*FLOATS, (4, 24 * i))) for i, key in enumerate(keys)]
    table(tmp_path / "m.index", items, per_block=per_block)
    (tmp_path / "m.data-00000-of-00001").write_bytes(bytes(48))
    with pytest.raises(CheckpointError, match="keys are out of order"):
        open_checkpoint(tmp_path / "m")


@pytest.mark.parametrize("key", [b"\xff\xfe", b"k" * 10_000])
def test_keys_that_are_no_names(tmp_path, key):
    with pytest.raises(CheckpointError):
        open_checkpoint(bundle(tmp_path, (key, FLOATS)))


def test_keys_that_expand_without_end(tmp_path):
    entries = [(b"k" * 8000 + b"%05d" % i, FLOATS) for i in range(500)]
    items = [(key, message(*fields)) for key, fields in entries]
    table(tmp_path / "m.index", [(b"", message((1, 1))), *items], per_block=999)
    with pytest.raises(CheckpointError, match="absurdly long"):
        open_checkpoint(tmp_path / "m")


@pytest.mark.parametrize("name", ["m", "m.index"])
def test_another_format(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    with pytest.raises(CheckpointError, match="cut short or another format"):
        open_checkpoint(tmp_path / name)


def test_the_wrong_kind_of_table(data, tmp_path):
    shutil.copy(data / "resnext_cifar/ResNeXt.ckpt.index", tmp_path / "m")
    with pytest.raises(CheckpointError, match="m: field 1 of a record in it holds a number"):
        open_checkpoint(tmp_path / "m")
    table(tmp_path / "m", [(b"a", b"b")])
    with pytest.raises(CheckpointError, match="not a V1 checkpoint"):
        open_checkpoint(tmp_path / "m")
    shutil.copy(data / "slim_v1/v1/model.ckpt-60", tmp_path / "n.index")
    with pytest.raises(CheckpointError, match="header|holds bytes"):
        open_checkpoint(tmp_path / "n")


def test_v2_slices_that_are_nowhere_concern_their_variable_alone(tmp_path):
    entry = (*FLOATS, (7, b"\x0a\x00\x0a\x00"))
    weights = open_checkpoint(bundle(tmp_path, (b"w", entry)))
    assert "1 variables were written incompletely" in weights.notes[0]
    with pytest.raises(CheckpointError, match=r"'w': one of its slices is missing"):
        weights["w"]
