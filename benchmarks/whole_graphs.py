#!/usr/bin/env python3
"""Times the reading of training graphs, and whole networks beside other libraries' own.

Reading: a `.meta` of tf-slim's training graph, from the file to a `Network`; nothing is imported
that this does not need. Networks: the module that comes of a graph, and the library's class of the
same architecture with as many classes, both in eval mode on the same images, float32, contiguous.
Their operations are counted first, as ratios of different networks say nothing.

  whole_graphs.py --net runs/model.ckpt-9=timm:mobilenetv2_100

adds networks of one's own, a checkpoint with its graph each. Candidates take turns (A B A B ...) in
this process. Seconds are those of the CPU, which bear it better than the clock where the machine is
busy with other work: read the ratios, of ours to the other in the same round.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from converters.benchmark.engines import torchvision_models
from converters.benchmark.timing import quartiles, ratios, take_turns
from converters.cli import terminal
from converters.files.checkpoint.writer import write_bundle
from converters.files.graph_files import read_meta
from converters.graphs import read_network
from slim_resnet.files import check_target, write_json
from slim_resnet.frameworks import require
from slim_resnet.regression.record import seeded_value

CLASSES = 1000


class Graph(NamedTuple):
    """A network of tf-slim's: its size of images, its arg scope, its output, who else has it."""

    size: int
    arg_scope: str
    output: str
    other: str


GRAPHS = {
    "resnet_v1_50": Graph(224, "resnet_arg_scope", "resnet_v1_50/predictions/Reshape_1", ""),
    "inception_v3": Graph(
        299, "inception_v3_arg_scope", "InceptionV3/Logits/SpatialSqueeze",
        "torchvision:inception_v3",
    ),
}  # fmt: skip


class Pair(NamedTuple):
    """A checkpoint with its graph, what is wanted of it, and LIBRARY:NAME."""

    source: str
    outputs: tuple[str, ...]
    other: str


def write_graph(name: str, folder: pathlib.Path) -> str:
    """Writes a training graph of tf-slim's, and a checkpoint of drawn weights; its prefix."""
    from slim_resnet.compat import slim, tf

    told, prefix = GRAPHS[name], str(folder / name)
    module = importlib.import_module(f"tf_slim.nets.{name.partition('_50')[0]}")
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, told.size, told.size, 3], "images")
        labels = tf.placeholder(tf.int32, [None], "labels")
        with slim.arg_scope(getattr(module, told.arg_scope)()):
            logits, end_points = getattr(module, name)(images, CLASSES, is_training=True)
        for each in (logits, end_points.get("AuxLogits")):
            if each is not None:
                each = tf.reshape(each, [-1, CLASSES])
                tf.losses.sparse_softmax_cross_entropy(labels, each)
        optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
        slim.learning.create_train_op(tf.losses.get_total_loss(), optimizer)
        tf.train.export_meta_graph(f"{prefix}.meta", saver_def=tf.train.Saver().as_saver_def())
        shapes = {v.op.name: v.shape.as_list() for v in slim.get_model_variables()}
    write_bundle(prefix, {name: seeded_value(name, shape) for name, shape in shapes.items()})
    return prefix


def cpu_seconds(call: Callable[[], object]) -> float:
    """How long one `call` keeps the CPU busy, in seconds."""
    start = time.process_time()
    call()
    return time.process_time() - start


def reading_row(name: str, prefix: str, rounds: int) -> dict:
    """From a `.meta` to a `Network`: the size of the file, and the seconds of each round."""
    path = f"{prefix}.meta"

    def read():
        return read_network(read_meta(path), outputs=[GRAPHS[name].output])

    times = take_turns({name: functools.partial(cpu_seconds, read)}, rounds)[name]
    nodes = len(read_meta(path).nodes)
    return {"graph": name, "bytes": os.path.getsize(path), "nodes": nodes, "seconds": times}


def network_row(pair: Pair, size: int, batch: int, rounds: int) -> dict:
    """A converted module and the other library's, in turns: seconds, ratios, operations.

    Raises:
        SystemExit: their operations differ by more than a hundredth.
    """
    torch = require("torch")
    import converters
    from converters.models.targets import to_torch

    ckpt = converters.load_checkpoint(pair.source, outputs=pair.outputs, whole_graph=True)
    (given,) = ckpt.network.inputs
    shape = [batch, given.shape[3], given.shape[1] or size, given.shape[2] or size]
    images = torch.from_numpy(np.random.default_rng(0).random(shape, np.float32))
    ours = to_torch(ckpt)
    with torch.inference_mode():
        classes = first(ours(images)).shape[-1]
        nets = {"ours": ours, pair.other: others_class(pair.other, classes)}
        counts = {name: operations(net, images) for name, net in nets.items()}
        one, other = counts.values()
        if abs(one / other - 1) > 0.01:
            sys.exit(f"{pair.other} is another network than {pair.source}: {counts} operations")
        clocks = {
            name: functools.partial(cpu_seconds, functools.partial(net, images))
            for name, net in nets.items()
        }
        times = take_turns(clocks, rounds)
    return {
        "network": pair.other,
        "shape": shape,
        "operations": counts,
        "seconds": times,
        "ratios": ratios(times["ours"], times[pair.other]),
    }


def first(value):
    """The first output of a network."""
    return next(iter(value.values())) if isinstance(value, dict) else value


def others_class(told: str, classes: int):
    """The class that LIBRARY:NAME names, in eval mode."""
    library, _, name = told.partition(":")
    if library == "timm":
        return require("timm").create_model(name, num_classes=classes).eval()
    more = {"init_weights": False} if name == "inception_v3" else {}  # its own takes a minute
    return torchvision_models().get_model(name, num_classes=classes, **more).eval()


def operations(net, images) -> int:
    """The multiplications and additions of a network, as PyTorch counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        net(images)
    return counter.get_total_flops()


def print_tables(reading: list[dict], networks: list[dict]) -> None:
    made = terminal.table(
        "From a .meta to a Network, CPU seconds", "graph", "MB", "nodes", "seconds"
    )
    for row in reading:
        cells = f"{row['bytes'] / 1e6:.1f}", f"{row['nodes']:,}", quartile_text(row["seconds"])
        made.add_row(row["graph"], *cells)
    terminal.console.print(made)
    made = terminal.table("CPU seconds of a batch", "network", "images", "GFLOP", "ours", "theirs",
                      "ours / theirs", text=("images",))  # fmt: skip
    for row in networks:
        ours, theirs = row["seconds"].values()
        gflop = row["operations"]["ours"] / 1e9
        cells = quartile_text(ours), quartile_text(theirs), "{1:.2f} ({0:.2f}-{2:.2f})"
        made.add_row(row["network"], str(row["shape"]), f"{gflop:.2f}", *cells[:2],
                     cells[2].format(*row["ratios"]))  # fmt: skip
    terminal.console.print(made)


def quartile_text(seconds) -> str:
    return "{1:.3f} ({0:.3f}-{2:.3f})".format(*quartiles(seconds))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--graph", nargs="*", choices=GRAPHS, default=list(GRAPHS), help="tf-slim's; default: all")
    add("--net", action="append", default=[], metavar="CHECKPOINT=LIBRARY:NAME")
    add("--size", type=int, default=224, help="of images, where a graph takes any")
    add("--batch", type=int, default=1)
    add("--rounds", type=int, default=15)
    add("--threads", type=int, default=1)
    add("--json", metavar="FILE", help="write all times here")
    args = parser.parse_args()
    if min(args.size, args.batch, args.rounds, args.threads) < 1:
        parser.error("numbers are positive")
    if args.json:
        check_target(args.json)
    return args


def main() -> int:
    args = parse()
    require("torch").set_num_threads(args.threads)
    pairs = [Pair(source, (), other) for source, _, other in (n.rpartition("=") for n in args.net)]
    with tempfile.TemporaryDirectory() as folder:
        written = {name: write_graph(name, pathlib.Path(folder)) for name in args.graph}
        reading = [reading_row(name, prefix, args.rounds) for name, prefix in written.items()]
        pairs += [
            Pair(prefix, (GRAPHS[name].output,), GRAPHS[name].other)
            for name, prefix in written.items()
            if GRAPHS[name].other
        ]
        networks = [network_row(pair, args.size, args.batch, args.rounds) for pair in pairs]
    print_tables(reading, networks)
    if args.json:
        write_json(args.json, {"options": vars(args), "reading": reading, "networks": networks})
    return 0


if __name__ == "__main__":
    terminal.run(main)
