"""Small whole files of every kind, and how each is read and damaged."""

from __future__ import annotations

import io
import pathlib
import random
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from converters.files import WeightsFile
from converters.files.checkpoint.checksums import masked_crc32c
from converters.files.checkpoint.slices import slice_key
from converters.files.checkpoint.table import Table
from converters.files.checkpoint.writer import write_bundle
from converters.recognise.recognised import Recognised
from fuzzing import graphs, readers
from fuzzing.damage import Spoil, spoil
from fuzzing.handmade import message, shape, snappy, table_bytes, v1_record
from fuzzing.judge import GRAPH_ALLOCATION, MAX_ALLOCATION
from slim_resnet.regression.record import seeded_value

Arrays = Mapping[str, np.ndarray]

_STATE = 'model_checkpoint_path: "model.ckpt-1"\nall_model_checkpoint_paths: "model.ckpt-1"\n'
_FLOAT = 1  # DT_FLOAT
_WILD = pathlib.Path(__file__).parents[2] / "tests/data/wild"
# Names in that folder: inference, control flow, training.
_GRAPHS = (
    "lrn", "saver_name_map", "unet_shape", "group_slices_and_depthwise", "layers_placeholder",
    "keras_functional", "layers_trained", "train_cond_ema_moments",
)  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """A whole file, alone or with the files that belong to it.

    Attributes:
        entry: what is opened: a path in the folder of all samples.
        damaged: the names, beside `entry`, of the files to damage.
        read: gives what is in it, see `readers`.
        checked: whether checksums cover all of it, so that whatever loads must be as it was.
        spoil: how a file is damaged.
        needs: the frameworks that make it or read it.
        allocation: how many times the size of its files reading them may take.
    """

    entry: str
    damaged: tuple[str, ...]
    read: Callable[[str], dict] = readers.weights
    checked: bool = False
    spoil: Spoil = spoil
    needs: tuple[str, ...] = ()
    allocation: int = MAX_ALLOCATION

    @property
    def folder(self) -> pathlib.Path:
        """Where the damaged files lie, in the folder of all samples."""
        return pathlib.Path(self.entry).parent

    @property
    def resealed(self) -> bool:
        """Whether the damage comes with checksums that are right."""
        return self.spoil is not spoil


# -- making ---------------------------------------------------------------------------------------


def make(folder: pathlib.Path, have: Callable[[str], bool]) -> dict[str, Sample]:
    """Writes the samples whose frameworks are there; returns those."""
    arch = readers.tiny_arch()
    values = {f"tiny/{v.name}": seeded_value(v.name, v.shape) for v in arch.variables}
    ckpt = Recognised(WeightsFile.of_arrays("tiny", values), arch, "tiny")
    for maker, needs in _MAKERS.items():
        if all(map(have, needs)):
            maker(folder, ckpt)
    return {name: sample for name, sample in SAMPLES.items() if all(map(have, sample.needs))}


def _folder(folder: pathlib.Path, name: str) -> pathlib.Path:
    made = folder / name
    made.mkdir(parents=True)
    return made


def _make_checkpoints(folder: pathlib.Path, ckpt: Recognised) -> None:
    v2 = _folder(folder, "v2")
    write_bundle(v2 / "model.ckpt-1", ckpt)
    (v2 / "checkpoint").write_text(_STATE)
    _partitioned(_folder(folder, "sharded") / "model.ckpt-1", ckpt)
    listings, records = _v1_parts(ckpt)
    for name, compress in (("v1", None), ("snappy", snappy)):
        content = table_bytes(_v1_items(listings, records), compress, per_block=4)
        (_folder(folder, name) / "model.ckpt-1").write_bytes(content)
    shards = _folder(folder, "v1_shards")
    for number in range(2):
        part = slice(number, None, 2)
        (shards / f"model.ckpt-1-0000{number}-of-00002").write_bytes(
            table_bytes(_v1_items(listings[part], records[part]))
        )


def _partitioned(prefix: pathlib.Path, ckpt: Recognised) -> None:
    """A V2 checkpoint in three shards, each variable of rank 4 cut in two along its last axis."""
    shards = [bytearray() for _ in range(3)]
    items = [(b"", message((1, len(shards))))]

    def entry(name: str, array: np.ndarray) -> bytes:
        number, raw = len(name) % len(shards), np.ascontiguousarray(array).tobytes()
        fields = ((1, _FLOAT), (2, shape(*array.shape)), (3, number), (4, len(shards[number])))
        shards[number].extend(raw)
        checksum = masked_crc32c(raw).to_bytes(4, "little")
        return message(*fields, (5, len(raw))) + b"\x35" + checksum

    for name, array in ckpt.items():
        if array.ndim < 4:
            items.append((name.encode(), entry(name, array)))
            continue
        half = array.shape[-1] // 2
        cuts = [(0, half), (half, array.shape[-1] - half)]
        whole = [(0, -1)] * (array.ndim - 1)
        for start, size in cuts:
            part = entry(f"{name}{'-' * start}", array[..., start : start + size])
            items.append((slice_key(name.encode(), (*whole, (start, size))), part))
        extents = [
            message(*((1, b"") for _ in whole), (1, message((1, start), (2, size))))
            for start, size in cuts
        ]
        fields = ((1, _FLOAT), (2, shape(*array.shape)), *((7, extent) for extent in extents))
        items.append((name.encode(), message(*fields)))
    prefix.with_name(f"{prefix.name}.index").write_bytes(table_bytes(sorted(items)))
    for number, content in enumerate(shards):
        name = f"{prefix.name}.data-0000{number}-of-00003"
        prefix.with_name(name).write_bytes(content)


def _v1_parts(ckpt: Recognised) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    """The listing and the record of every variable."""
    listings, records = [], []
    for name, array in ckpt.items():
        key, cut = name.encode(), message(*((1, b"") for _ in array.shape))
        listings.append(message((1, key), (2, shape(*array.shape)), (3, _FLOAT), (4, cut)))
        record = v1_record(key, cut, 5, array.tobytes())
        records.append((slice_key(key, ((0, -1),) * array.ndim), record))
    return listings, records


def _v1_items(listings, records) -> list[tuple[bytes, bytes]]:
    contents = message((1, message(*((1, listing) for listing in listings))))
    return sorted([(b"", contents), *records])


def _make_dumps(folder: pathlib.Path, ckpt: Recognised) -> None:
    import h5py

    from converters import formats

    dumps = _folder(folder, "dumps")
    np.savez(dumps / "dump.npz", **ckpt)
    np.savez_compressed(dumps / "packed.npz", **ckpt)
    formats.writer("torch", dumps / "net.safetensors")(ckpt)
    formats.writer("hdf5", dumps / "net.h5")(ckpt)
    with h5py.File(dumps / "packed.h5", "w", libver="latest") as file:
        for name, array in list(ckpt.items())[:6]:
            options = {"compression": "gzip", "shuffle": True} if array.ndim == 4 else {}
            file.create_dataset(name, data=array, fletcher32=array.ndim == 4, **options)


def _make_torch(folder: pathlib.Path, ckpt: Recognised) -> None:
    import torch

    from converters import formats

    made = _folder(folder, "torch")
    formats.writer("torch", made / "net.pt")(ckpt)
    content = torch.load(made / "net.pt", weights_only=True)
    torch.save(content, made / "old.pt", _use_new_zipfile_serialization=False)


def _make_keras(folder: pathlib.Path, ckpt: Recognised) -> None:
    from converters import formats

    made = _folder(folder, "keras")
    for name in ("net.keras", "net.weights.h5"):
        formats.writer("keras", made / name)(ckpt)


def _make_graphs(folder: pathlib.Path, ckpt: Recognised) -> None:
    from converters import formats
    from slim_resnet import graph
    from slim_resnet.compat import tf

    made = _folder(folder, "graphs")
    formats.writer("frozen", made / "frozen.pb")(ckpt)
    frozen = tf.GraphDef.FromString((made / "frozen.pb").read_bytes())
    tf.io.write_graph(frozen, str(made), "frozen.pbtxt", as_text=True)
    formats.writer("saved_model", made / "saved")(ckpt)
    write_bundle(made / "model.ckpt-1", ckpt)
    with tf.Graph().as_default():
        graph.build(ckpt.arch, tf.placeholder(tf.float32, [None, None, None, 3]), scope="tiny")
        tf.train.export_meta_graph(str(made / "model.ckpt-1.meta"))


def _copy_graphs(folder: pathlib.Path, ckpt: Recognised) -> None:
    """Checkpoints and graphs that TensorFlow 1.15 wrote."""
    for name in _GRAPHS:
        made = _folder(folder, f"whole/{name}")
        for path in (_WILD / name).glob("model.ckpt-100.*"):
            shutil.copyfile(path, made / path.name)


_MAKERS = {
    _copy_graphs: (),
    _make_checkpoints: (),
    _make_dumps: (),
    _make_torch: ("torch",),
    _make_keras: ("keras", "tensorflow"),
    _make_graphs: ("tensorflow", "tf_slim"),
}


# -- damage under right checksums -----------------------------------------------------------------


def _resealed_table(compress: Callable[[bytes], bytes] | None = None) -> Spoil:
    """Damages one value of a table, or a block of it, compressed or not."""

    def damage(rng: random.Random, content: bytes) -> bytes:
        items = [(key, bytes(value)) for key, value in Table(content).items()]
        how = rng.randrange(3)
        if how == 0:
            at = rng.randrange(len(items))
            items[at] = (items[at][0], spoil(rng, items[at][1]))
            return table_bytes(items, compress)
        if how == 1 and compress:
            return table_bytes(items, lambda block: spoil(rng, compress(block)))
        return table_bytes(items, compress, spoil=lambda block: spoil(rng, block))

    return damage


def _resealed_zip(rng: random.Random, content: bytes) -> bytes:
    """Damages one member of a zip."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(made, "w") as other:
        names = archive.namelist()
        # The ones that are no bare numbers, in half of the cases.
        told = [name for name in names if not name.rpartition("/")[0].endswith("/data")]
        chosen = rng.choice(rng.choice((names, told)))
        for name in names:
            part = archive.read(name)
            other.writestr(name, spoil(rng, part) if name == chosen and part else part)
    return made.getvalue()


# -- the samples ----------------------------------------------------------------------------------

_CKPT = "model.ckpt-1"
_INDEX, _DATA = f"{_CKPT}.index", f"{_CKPT}.data-00000-of-00001"
_SHARDS = tuple(f"{_CKPT}.data-0000{number}-of-00003" for number in range(3))
_TF, _TORCH, _KERAS = ("tensorflow", "tf_slim"), ("torch",), ("keras", "tensorflow")
_NET = readers.network

SAMPLES = {
    "V2 index": Sample(f"v2/{_CKPT}", (_INDEX,), _NET, checked=True),
    "V2 index, resealed": Sample(f"v2/{_CKPT}", (_INDEX,), _NET, spoil=_resealed_table()),
    "V2 data": Sample(f"v2/{_CKPT}", (_DATA,), _NET, checked=True),
    "V2 in shards, partitioned": Sample(
        f"sharded/{_CKPT}", (_INDEX, *_SHARDS), _NET, checked=True
    ),
    "`checkpoint` file": Sample("v2/checkpoint", ("checkpoint",), _NET, checked=True),
    "V1": Sample(f"v1/{_CKPT}", (_CKPT,), _NET, checked=True),
    "V1, Snappy": Sample(f"snappy/{_CKPT}", (_CKPT,), _NET, checked=True),
    "V1, Snappy, resealed": Sample(
        f"snappy/{_CKPT}", (_CKPT,), _NET, spoil=_resealed_table(snappy)
    ),
    "V1 in shards": Sample(
        f"v1_shards/{_CKPT}",
        tuple(f"{_CKPT}-0000{number}-of-00002" for number in range(2)),
        _NET,
        checked=True,
    ),
    ".meta beside a checkpoint": Sample(f"graphs/{_CKPT}", (f"{_CKPT}.meta",), _NET, needs=_TF),
    "frozen .pb": Sample("graphs/frozen.pb", ("frozen.pb",), _NET, needs=_TF),
    "frozen .pbtxt": Sample("graphs/frozen.pbtxt", ("frozen.pbtxt",), _NET, needs=_TF),
    "SavedModel graph": Sample("graphs/saved/saved_model.pb", ("saved_model.pb",), _NET, needs=_TF),
    "SavedModel variables": Sample(
        "graphs/saved/saved_model.pb",
        ("variables/variables.index", "variables/variables.data-00000-of-00001"),
        checked=True,
        needs=_TF,
    ),
    "frozen .pb as a network": Sample(
        "graphs/frozen.pb", ("frozen.pb",), readers.whole_graph, spoil=graphs.spoil_graph,
        needs=_TF, allocation=GRAPH_ALLOCATION,
    ),
    **{
        f"{name}.meta as a network": Sample(
            f"whole/{name}/model.ckpt-100",
            ("model.ckpt-100.meta",),
            readers.whole_graph,
            spoil=graphs.spoil_meta,
            allocation=GRAPH_ALLOCATION,
        )
        for name in _GRAPHS
    },
    ".npz": Sample("dumps/dump.npz", ("dump.npz",), checked=True),
    ".npz, compressed": Sample("dumps/packed.npz", ("packed.npz",), checked=True),
    ".npz, resealed": Sample("dumps/dump.npz", ("dump.npz",), _NET, spoil=_resealed_zip),
    "HDF5": Sample("dumps/net.h5", ("net.h5",), _NET),
    "HDF5, packed": Sample("dumps/packed.h5", ("packed.h5",)),
    ".keras": Sample("keras/net.keras", ("net.keras",), checked=True, needs=_KERAS),
    ".keras, resealed": Sample(
        "keras/net.keras", ("net.keras",), readers.exchanged_keras, spoil=_resealed_zip,
        needs=_KERAS,
    ),
    ".weights.h5": Sample("keras/net.weights.h5", ("net.weights.h5",), needs=_KERAS),
    ".pt": Sample("torch/net.pt", ("net.pt",), checked=True, needs=_TORCH),
    ".pt, resealed": Sample(
        "torch/net.pt", ("net.pt",), readers.exchanged_torch, spoil=_resealed_zip, needs=_TORCH
    ),
    ".pt of PyTorch before 1.6": Sample("torch/old.pt", ("old.pt",), needs=_TORCH),
    ".pt as a module": Sample(
        "torch/net.pt", ("net.pt",), readers.module, spoil=_resealed_zip, needs=_TORCH
    ),
    ".safetensors": Sample("dumps/net.safetensors", ("net.safetensors",)),
    ".safetensors, exchanged": Sample(
        "dumps/net.safetensors", ("net.safetensors",), readers.exchanged_torch
    ),
    ".safetensors as a module": Sample(
        "dumps/net.safetensors", ("net.safetensors",), readers.module, needs=_TORCH
    ),
}  # fmt: skip
