"""Files of torch.save's, read without PyTorch: as PyTorch reads them, and hostile ones refused."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from converters.files import CheckpointError, open_weights


@pytest.fixture(params=[True, False], ids=["zip", "before 1.6"])
def save(request, tmp_path):
    torch = pytest.importorskip("torch")

    def saved(content):
        path = tmp_path / "net.pt"
        torch.save(content, path, _use_new_zipfile_serialization=request.param)
        return path

    return saved


def test_as_torch_reads_them(save):
    """Types, layouts, shared storages, and everything else that a training keeps."""
    import torch

    base = torch.arange(24.0).reshape(4, 6)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = OrderedDict(
        net.state_dict(),
        transposed=base.T,
        part=base[1:3, 2:],
        expanded=torch.ones(1, 3).expand(5, 3),
        scalar=torch.tensor(2.5, dtype=torch.float64),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(torch.ones(2)),
        **{str(t): torch.tensor([0, 1, 1]).to(t) for t in (torch.float16, torch.bool, torch.uint8,
                                                           torch.bfloat16, torch.complex64)},
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    content = {"state_dict": state, "optimizer": optimizer.state_dict(), "epoch": 3, "size": (1, 2)}
    found = open_weights(save({**content, "shape": base.shape, "seed": 1 << 62}))
    assert set(found) == set(state)
    for name, tensor in state.items():
        expected = tensor.detach()
        expected = expected.float() if expected.dtype == torch.bfloat16 else expected
        np.testing.assert_array_equal(found[name], expected.numpy(), strict=True)


class Runs:
    """Unpickles to the result of a call."""

    def __init__(self, call, *arguments):
        self.call = call, arguments

    def __reduce__(self):
        return self.call


def zipped(path, content):
    """A file like torch.save's with `content` pickled by protocol 2."""
    pickled = content if isinstance(content, bytes) else pickle.dumps(content, 2)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", pickled)
        archive.writestr("net/data/0", bytes(16))
    return path


def test_no_code_is_run(tmp_path):
    canary = tmp_path / "canary"
    for call in (Runs(os.mkdir, str(canary)), Runs(eval, f"open({str(canary)!r}, 'w')")):
        for content in (call, {"state_dict": {"a": call}}):
            with pytest.raises(CheckpointError, match="more than tensors .*; save the state_dict"):
                open_weights(zipped(tmp_path / "net.pt", content))
            (tmp_path / "old.pt").write_bytes(pickle.dumps(content, 2))
            with pytest.raises(CheckpointError, match="more than tensors"):
                open_weights(tmp_path / "old.pt")
    assert not canary.exists()


def tensor(size=4, offset=0, shape=(4,), strides=(1,), key=b"0"):
    """The pickle of {"a": a tensor of float32}, as torch.save writes it."""
    numbers = [pickle.dumps(n, 2)[2:-1] for n in (size, offset, shape, strides)]
    storage = b"(X\7\0\0\0storagectorch\nFloatStorage\n" + pickle.dumps(key.decode(), 2)[2:-1]
    storage += b"X\3\0\0\0cpu" + numbers[0] + b"tQ"
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"".join(numbers[1:])
    return b"\x80\2}X\1\0\0\0a" + rebuilt + b"\x89}tRs."


def test_a_tensor_made_by_hand(tmp_path):
    assert open_weights(zipped(tmp_path / "net.pt", tensor()))["a"].tolist() == [0] * 4


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (tensor(size=1 << 60), "storage '0' has 16 bytes, not"),
        (tensor(size=3, shape=(3,)), "storage '0' has 16 bytes, not 12"),
        (tensor(size=-4), "a kind that is not known"),
        (tensor(shape=(5,)), "reaches beyond its 4 values"),
        (tensor(offset=1), "reaches beyond its 4 values"),
        (tensor(shape=(2, 2), strides=(4, 1)), "reaches beyond its 4 values"),
        (tensor(shape=(1 << 60,), strides=(0,)), "more than 32 times its size"),
        (tensor(shape=(4,), strides=(-1,)), "impossible shape"),
        (tensor(shape=(4,), strides=()), "impossible shape"),
        (tensor(shape=(1,) * 33, strides=(1,) * 33), "impossible shape"),
        (tensor(offset=-1), "impossible shape"),
        (tensor(key=b"1"), "no item named"),
        (tensor(key=b"../data.pkl"), "no item named"),
        (b"\x80\2}r\xff\xff\xff\x7f.", "the instruction LONG_BINPUT"),
        (b"\x80\5\x96" + (1 << 40).to_bytes(8, "little") + b".", "expected|bytes"),
        (b"\x80\2X\xff\xff\xff\x7f.", "expected"),
        (b"\x80\2ctorch\nnonsense\n.", "more than tensors .torch.nonsense."),
        (b"\x80\2(X\6\0\0\0moduletQ.", "no storage of a tensor"),
        (b"", "cannot be read"),
    ],
)
def test_hostile_pickles(tmp_path, content, reason):
    with pytest.raises(CheckpointError, match=reason):
        dict(open_weights(zipped(tmp_path / "net.pt", content)))


def test_one_list_made_into_many_dictionaries(tmp_path):
    """Memory that grows with the square of the file's size."""
    pairs = pickle.dumps([[i, i] for i in range(500)], 2)[2:-1]
    many = b"ccollections\nOrderedDict\nq\xffh\xfe\x85R" * 500
    content = b"\x80\2](" + pairs + b"q\xfe" + many + b"e."
    with pytest.raises(CheckpointError, match="dictionaries are larger than it is"):
        open_weights(zipped(tmp_path / "net.pt", content))


def test_big_endian_values_are_refused(tmp_path):
    path = zipped(tmp_path / "net.pt", tensor())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/byteorder", "big")
    with pytest.raises(CheckpointError, match="not little-endian"):
        open_weights(path)
