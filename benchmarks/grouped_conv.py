#!/usr/bin/env python3
"""Times the equivalent forms of a ResNeXt unit, and a whole ResNeXt-50 beside torchvision's.

units: a unit of each stage of ResNeXt-50 32x4d in the three forms of Fig. 3 of arXiv:1611.05431,
and as `dense`, whose 3x3 filter is a full one with zeros outside the groups. Forward as in
inference; forward + backward as in training, to the gradients of all weights and of the input.
nets: torchvision's resnext50_32x4d, our PyTorch module, and a frozen slim graph in a Session.

The candidates of a row hold the same weights and are only timed once their outputs agree. They take
turns (A B C A B C ...), so that what else the machine does falls on all of them: read the ratios,
each to the first candidate in the same round. All is float32 on the CPU.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from converters.benchmark import timing
from converters.benchmark.comparison import difference
from converters.benchmark.engines import torchvision_models
from converters.cli import terminal
from converters.models import naming
from converters.recognise import forms
from slim_resnet import arch as arch_lib
from slim_resnet import graph, inference, resnet_utils, resnext_v1
from slim_resnet.arch.architecture import Arch
from slim_resnet.arch.parts import FORMS, Stage
from slim_resnet.compat import slim, tf
from slim_resnet.files import check_target, write_json
from slim_resnet.regression.record import seeded_images, seeded_value

NET = "resnext_v1_50"
BOUND = 2e-5  # largest difference over largest value, float32


def compare(shape: tuple, work: str, calls: dict[str, Callable], rounds: int) -> dict:
    """Times `calls` (candidate -> a function that returns its output) in turns: a row of the JSON.

    Returns:
        "input"; "work"; "seconds": candidate -> its times; "ratios": candidate -> the quartiles of
        its time over the first candidate's, round by round.

    Raises:
        SystemExit: a candidate computes something else than the first.
    """
    row = {"input": "x".join(map(str, shape)), "work": work}
    (reference, expected), *others = ((name, call()) for name, call in calls.items())
    for name, output in others:
        error = difference(output, expected)
        if not error <= BOUND:
            sys.exit(f"{row}: {name} differs from {reference} by {error:.1e} (bound {BOUND:.0e})")
    clocks = {name: partial(timing.seconds, call) for name, call in calls.items()}
    seconds = timing.take_turns(clocks, rounds)
    ratios = {name: timing.ratios(times, seconds[reference]) for name, times in seconds.items()}
    return {**row, "ratios": ratios, "seconds": seconds}


def measure_units(args: argparse.Namespace) -> Iterator[dict]:
    for i in args.stages:
        stage = arch_lib.get(NET).stages[i - 1]
        size = -(-args.image_size // 2 ** (i + 1))
        candidates = unit_candidates(stage)
        for batch_size in args.batch_size:
            images = seeded_images((batch_size, size, size, stage.depth))
            calls = {name: unit_calls(*unit, images) for name, unit in candidates.items()}
            for work in ("forward", "forward + backward"):
                of_work = {name: by_work[work] for name, by_work in calls.items()}
                yield compare(images.shape, work, of_work, args.rounds)


def unit_candidates(stage: Stage) -> dict[str, tuple[Arch, dict]]:
    """Networks of one unit of `stage` with an identity shortcut, each with the same weights."""
    stage = Stage(1, stage.depth, stage.depth_bottleneck, stride=1)
    grouped = arch_lib.get(NET, num_classes=None).replace(stages=(stage,), root_depth=stage.depth)
    weights = {v.name: seeded_value(v.name, v.shape) for v in grouped.variables}
    archs = [grouped.replace(form=form) for form in FORMS]
    found = {arch.form: (arch, forms.split(arch, weights)) for arch in archs}
    conv2 = f"{grouped.units[0].scope}/conv2/weights"
    full = {**weights, conv2: block_diagonal(weights[conv2])}
    return {**found, "dense": (grouped.replace(cardinality=1), full)}


def block_diagonal(weights: np.ndarray) -> np.ndarray:
    """The filter of a grouped convolution that keeps the depth, as that of a plain one."""
    height, width, group, depth = weights.shape
    full = np.zeros((height, width, depth, depth), weights.dtype)
    for i in range(0, depth, group):
        full[:, :, i : i + group, i : i + group] = weights[..., i : i + group]
    return full


def unit_calls(arch: Arch, weights: dict, images: np.ndarray) -> dict[str, Callable]:
    """Kind of work -> a call that does it and returns the unit's output.

    Each arch has a graph of its own: slim takes longer with every variable that is already there.
    """
    kind = {"cardinality": arch.cardinality, "form": arch.form}
    blocks = resnet_utils.arch_blocks(arch, resnext_v1.bottleneck, **kind)
    only_blocks = {"global_pool": False, "include_root_block": False}

    def unit(**kwargs):
        with slim.arg_scope(resnext_v1.resnet_arg_scope()):
            return resnext_v1.resnext_v1(inputs, blocks, scope="net", **only_blocks, **kwargs)[0]

    with tf.Graph().as_default() as built:
        # A variable: feeding an array may copy it, a cost that would blur the ratios.
        inputs = tf.get_variable("images", images.shape, trainable=False)
        forward, trained = unit(is_training=False), unit(is_training=True, reuse=True)
        gradients = tf.gradients(tf.nn.l2_loss(trained), [inputs, *tf.trainable_variables()])
        session = tf.Session(graph=built)
        values = {v: weights[v.op.name[len("net/") :]] for v in tf.global_variables("net/")}
        graph.assign(session, {inputs: images, **values})
    run_forward = session.make_callable(forward)
    # The tensors themselves, not a tf.group of them: TensorFlow prunes what nobody reads.
    run_both = session.make_callable([trained, *gradients])
    return {"forward": run_forward, "forward + backward": lambda: run_both()[0]}


def measure_nets(args: argparse.Namespace) -> Iterator[dict]:
    arch = arch_lib.get(NET, convention="torchvision")
    weights = {v.name: seeded_value(v.name, v.shape) for v in arch.variables}
    candidates = {**torch_candidates(arch, weights, args.threads), **frozen(arch, weights)}
    for batch_size in args.batch_size:
        images = seeded_images((batch_size, args.image_size, args.image_size, 3))
        calls = {name: bind(images) for name, bind in candidates.items()}
        yield compare(images.shape, "forward", calls, args.rounds)


def torch_candidates(arch: Arch, weights: dict, threads: int) -> dict[str, Callable]:
    """Name -> a function from images to a call that returns the logits; torchvision's first."""
    from converters.models import torch_model

    torch = torch_model.torch
    torch.set_num_threads(threads)
    arrays = {row.torch: row.to_torch(weights[row.slim]) for row in naming.table(arch)}
    ours = torch_model.from_state(arch, {k: np.ascontiguousarray(v) for k, v in arrays.items()})
    theirs = torchvision_models().resnext50_32x4d().eval()
    theirs.load_state_dict(ours.state_dict())

    def candidate(net, layout):
        net = copy.deepcopy(net).to(memory_format=layout)

        def bind(images):
            x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
            return torch.inference_mode()(lambda: net(x).numpy())

        return bind

    nets = {"torchvision": theirs, "our module": ours}
    layouts = {"": torch.contiguous_format, ", channels_last": torch.channels_last}
    return {n + s: candidate(net, f) for n, net in nets.items() for s, f in layouts.items()}


def frozen(arch: Arch, weights: dict) -> dict[str, Callable]:
    """The slim graph as `inference.freeze` makes it, in the manner of `torch_candidates`."""
    with tf.Graph().as_default(), tf.Session() as session:
        net, _ = graph.build(arch, tf.placeholder(tf.float32, [None, None, None, 3], "images"))
        tf.squeeze(net, [1, 2], name="logits_2d")
        graph.assign(session, {v: weights[k] for k, v in graph.variables(arch).items()})
        constant = inference.freeze(session, ["logits_2d"])
    run = inference.runner(constant, ["images:0"], "logits_2d:0")
    return {"slim, frozen": lambda images: lambda: run(images)}


PARTS = {"units": measure_units, "nets": measure_nets}


def results_table(title: str, rows: list[dict]):
    """The times of the first candidate and the ratios of the others, median (quartiles)."""
    reference, *others = rows[0]["seconds"]
    made = terminal.table(title, "input", "work", f"{reference}, ms", *others, text=("work",))
    for row in rows:
        times = timing.quartiles(np.multiply(row["seconds"][reference], 1000))
        ratios = ["{1:.2f} ({0:.2f}-{2:.2f})".format(*row["ratios"][name]) for name in others]
        made.add_row(row["input"], row["work"], "{1:.1f} ({0:.1f}-{2:.1f})".format(*times), *ratios)
    return made


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add, number = parser.add_argument, {"type": int, "metavar": "N"}
    add("--only", choices=PARTS, help="default: both")
    add("--batch-size", **number, nargs="+", default=[1, 8], help="default: 1 8")
    add("--image-size", **number, default=224, help="of a whole net; default: 224")
    add("--stages", **number, nargs="+", choices=range(1, 5), default=[1, 2, 3, 4], help="of units")
    add("--rounds", **number, default=20, help="default: 20")
    add("--threads", **number, default=os.cpu_count(), help="default: all")
    add("--json", metavar="FILE", help="write all times here")
    args = parser.parse_args()
    if min(*args.batch_size, args.image_size, args.rounds, args.threads) < 1:
        parser.error("numbers are positive")
    if args.json:
        check_target(args.json)
    return args


def main() -> int:
    args = parse()
    # TensorFlow reads these when the first session starts, and keeps to them in all.
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(args.threads)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    # PyTorch's threads would spin: a hundred times slower where another process holds a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    found = {}
    for part in [args.only] if args.only else PARTS:
        with terminal.progress() as progress:
            progress.add_task(f"timing {part}")
            found[part] = list(PARTS[part](args))
        title = f"{part}: median (quartiles); rounds: {args.rounds}, threads: {args.threads}"
        terminal.console.print(results_table(title, found[part]))
    if args.json:
        write_json(args.json, {"options": vars(args), **found})
    return 0


if __name__ == "__main__":
    terminal.run(main)
