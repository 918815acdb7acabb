#!/usr/bin/env python3
"""Writes what this project exports for TensorFlow 1, and what each file has to compute.

    python tests/tf115/make_exports.py FOLDER
    PYTHON tests/tf115/run_exports.py FOLDER      # Python 3.7, TensorFlow 1.15.5

FOLDER gets the exports, exports.json (what they are, and how they are loaded) and .npz files: what
is fed ("feed|TENSOR") and what is expected ("fetch|TENSOR"). What is expected was recorded by
TensorFlow 1.15.5; where nothing was, today's TensorFlow computes it from the same files.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np

from converters.files import graph_for, open_weights
from converters.graphs.reading import read_network
from converters.models import network_tf
from slim_resnet.compat import tf

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "tests/data"
CHECKPOINTS = ("slim_v1", "slim_v2")
NETWORKS = ("keras_functional", "layers_placeholder", "unet_shape", "group_slices_and_depthwise")
BUILT = ("resnet_v1_50", "resnet_v2_50")
TARGETS = {"frozen": ".pb", "saved_model": ""}
SIZE = 65


def tool(name: str, *arguments: object) -> None:
    """Runs one of this project's tools."""
    command = [sys.executable, str(ROOT / "tools" / name), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def expect(folder: pathlib.Path, name: str, feeds: dict, fetches: dict) -> None:
    """Writes what a network is fed and has to give; keys are names of tensors."""
    arrays = {f"feed|{key}": value for key, value in feeds.items()}
    np.savez(folder / f"{name}.npz", **arrays, **{f"fetch|{k}": v for k, v in fetches.items()})


def exports(folder: pathlib.Path, name: str, write) -> list[dict]:
    """Frozen graph and SavedModel, with batch norms as they are and folded.

    Args:
        folder: where they go.
        name: of the network.
        write: writes one: (target, path, whether to fold).
    """
    rows = []
    for target, suffix in TARGETS.items():
        for fold in (False, True):
            file = f"{name}{'_folded' * fold}{suffix}"
            write(target, folder / file, fold)
            what = f"`--to {target}{' --fold' * fold}` of {name}"
            rows.append({"file": file, "kind": target, "expected": f"{name}.npz", "what": what})
    return rows


def of_checkpoint(folder: pathlib.Path, name: str) -> list[dict]:
    """A slim ResNet that TensorFlow 1.15.5 trained."""
    recorded = np.load(DATA / name / "outputs.npz")
    images, logits = recorded["47x33|image"], recorded["47x33|logits"]
    expect(folder, name, {"images:0": images}, {"logits:0": logits})

    def write(target: str, path: pathlib.Path, fold: bool) -> None:
        options = ["--fold"] * fold
        tool("convert_checkpoint.py", DATA / name / "v2", "--to", target, "--output", path,
             *options)  # fmt: skip

    return exports(folder, name, write)


def of_network(folder: pathlib.Path, name: str) -> list[dict]:
    """A network of another kind, from the graph beside its checkpoint."""
    case = json.loads((DATA / "wild" / name / "case.json").read_text())
    checkpoint = DATA / "wild" / name / case["checkpoint"]
    recorded = np.load(DATA / "wild" / name / case["ref"])
    ends = {kind: list(case[kind]) for kind in ("inputs", "outputs")}
    network = read_network(graph_for(checkpoint), **ends)
    arrays = network.arrays(open_weights(checkpoint))
    feeds, fetches = (
        {f"{operation}:0": recorded[key] for operation, key in case[kind].items()} for kind in ends
    )
    expect(folder, name, feeds, fetches)

    def write(target: str, path: pathlib.Path, fold: bool) -> None:
        if target == "frozen":
            graph_def = network_tf.frozen(network, arrays, fold=fold)
            path.write_bytes(graph_def.SerializeToString())
        else:
            network_tf.write_saved_model(network, arrays, path, fold=fold)

    return exports(folder, name, write)


def of_built_graph(folder: pathlib.Path, name: str) -> list[dict]:
    """What `build_graph.py` writes: model.meta, with the checkpoint of its initial values."""
    tool("build_graph.py", "--arch", name, "--num-classes", 10, "--image-size", SIZE,
         "--output-dir", folder / name, "--init-checkpoint", "--seed", 1)  # fmt: skip
    meta = folder / name / "model.meta"
    images = np.random.default_rng(0).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    logits = f"{name}/logits/BiasAdd:0"
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.import_meta_graph(str(meta)).restore(session, str(meta.with_suffix(".ckpt")))
        expect(
            folder, name, {"images:0": images}, {logits: session.run(logits, {"images:0": images})}
        )
    what = f"`build_graph.py --arch {name} --init-checkpoint`"
    file = f"{name}/model.meta"
    return [{"file": file, "kind": "meta", "expected": f"{name}.npz", "what": what}]


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir()
    rows = []
    for make, names in (
        (of_checkpoint, CHECKPOINTS),
        (of_built_graph, BUILT),
        (of_network, NETWORKS),
    ):
        for name in names:
            rows += make(folder, name)
            print(f"{name}: written")
    (folder / "exports.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
