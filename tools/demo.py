#!/usr/bin/env python3
"""The main job in one go: a checkpoint and outputs of TensorFlow 1.15, in PyTorch and Keras 3.

For every end point, on the images that TensorFlow 1.15 saw: the largest difference over the largest
value between its recorded values and the slim graph on today's TensorFlow (float32), and between
that graph and the converted models (float64).
"""

from __future__ import annotations

import argparse

import numpy as np

import converters
from converters import formats
from converters.cli import terminal
from converters.proof.verification import slim_end_points
from slim_resnet.arch.parts import PARITY


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("outputs", help="the .npz of what TensorFlow 1.15 computed")
    parser.add_argument("output_dir", help="for the converted models")
    return parser.parse_args()


def main() -> int:
    args = parse()
    ckpt = converters.load_checkpoint(args.checkpoint)
    terminal.console.print(f"{ckpt.path}: {ckpt.arch.describe()}, step {ckpt.global_step}\n")
    with terminal.progress() as bar, np.load(args.outputs) as recorded:
        task = bar.add_task("slim graph", total=None)
        legacy = against_legacy(ckpt, recorded)
        sizes = [tuple(map(int, size.split("x"))) for size in _sizes(recorded)]
        report = converters.verify(
            ckpt, image_sizes=sizes, progress=lambda step: bar.update(task, description=step)
        )
    rows = terminal.table(
        "End point by end point: largest difference over largest value, images "
        + ", ".join(_sizes(recorded)),
        "end point", "TF 1.15 -> slim graph, float32", "slim graph -> torch, float64",
        "slim graph -> keras, float64",
    )  # fmt: skip
    for name in ckpt.arch.end_points:
        found = [
            max(c.max_rel_error for c in report.comparisons if (c.end_point, c.target) == (name, t))
            for t in ("torch", "keras")
        ]
        rows.add_row(name, *(f"{value:.1e}" for value in (legacy[name], *found)))
    terminal.console.print(rows)
    worst = max(legacy.values())
    passed = report.passed and worst <= PARITY["float32"]
    terminal.console.print(
        f"largest: {worst:.1e} from TensorFlow 1.15 in float32 (bound {PARITY['float32']:.0e}), "
        f"{report.max_rel_error:.1e} from the slim graph in float64 (bound {report.tolerance:.0e})"
        + ": "
        + ("the outputs match" if passed else "THE OUTPUTS DIFFER")
    )
    if not passed:
        return 1
    for target, name in (("torch", "resnet.safetensors"), ("keras", "resnet.keras")):
        path = f"{args.output_dir}/{name}"
        formats.writer(target, path)(ckpt)
        terminal.console.print(f"wrote {path}")
    return 0


def _sizes(recorded) -> list[str]:
    return [key.partition("|")[0] for key in recorded.files if key.endswith("|image")]


def against_legacy(ckpt, recorded) -> dict[str, float]:
    """End point -> largest relative difference between the slim graph and the recorded samples."""
    worst = dict.fromkeys(ckpt.arch.end_points, 0.0)
    sizes = _sizes(recorded)
    found = slim_end_points(ckpt, [recorded[f"{size}|image"] for size in sizes])
    for size, values in zip(sizes, found, strict=True):
        for name in worst:
            then = recorded[f"{size}|ep|{ckpt.full_name(name)}"].ravel()
            flat = values[name].ravel()
            now = flat[np.linspace(0, flat.size - 1, then.size).astype(int)]
            worst[name] = max(worst[name], float(np.abs(now - then).max() / np.abs(then).max()))
    return worst


if __name__ == "__main__":
    terminal.run(main)
