"""Builds, converts and verifies every architecture of the registry, with weights drawn by name.

For each one: the slim graph in float64 against its PyTorch and Keras models, at every end point, at
an even and an odd image size. Exit code: 0 all match, 1 one does not.
"""

from __future__ import annotations

import argparse

import converters
from converters.cli import terminal
from slim_resnet import arch as arch_lib
from slim_resnet.arch.parts import CONVENTIONS
from slim_resnet.regression.record import seeded_value

# Deep nets and wide CIFAR nets at small images: the structure is the same, the time is not.
SIZES = {224: ((64, 64), (49, 33)), 32: ((32, 32), (17, 23))}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", nargs="+", help="only these; default: all")
    parser.add_argument(
        "--markdown", action="store_true", help="print the table of docs/networks.md"
    )
    args = parser.parse_args()
    names = args.arch or list(arch_lib.REGISTRY)
    rows, failed = [], []
    with terminal.progress() as bar:
        task = bar.add_task("", total=None)
        for name in names:
            for ckpt in seeded_checkpoints(name):
                changed = ckpt.arch.convention != arch_lib.get(name).convention
                label = f"{name}, {ckpt.arch.convention} convention" if changed else name
                bar.update(task, description=label)
                sizes = SIZES[ckpt.arch.default_image_size]
                report = converters.verify(ckpt, image_sizes=sizes, batch_size=1)
                rows.append(row(label, ckpt.arch, report))
                if not report.passed:
                    failed.append(f"{label}: {report.first_divergence}")
    columns = ("architecture", "trainable parameters", "end points", "torch", "keras", "")
    if args.markdown:
        print_markdown(columns, rows)
    else:
        table = terminal.table("Slim graph against converted models, float64", *columns, text=("",))
        for cells in rows:
            table.add_row(*cells)
        terminal.console.print(table)
    for line in failed:
        terminal.console.print(line)
    return 1 if failed else 0


def seeded_checkpoints(name: str):
    """The architecture in each convention that it knows, its weights drawn by their names."""
    from converters.files import WeightsFile
    from converters.recognise.recognised import Recognised

    own = arch_lib.get(name)
    conventions = (own.convention,) if own.kind.preact or own.stem == "cifar" else CONVENTIONS
    for convention in conventions:
        arch = own.replace(convention=convention)
        weights = {v.name: seeded_value(f"{name}/{v.name}", v.shape) for v in arch.variables}
        yield Recognised(WeightsFile.of_arrays(f"seeded {name}", weights), arch, "")


def row(label: str, arch, report) -> tuple[str, ...]:
    worst = {
        target: max(c.max_rel_error for c in report.comparisons if c.target == target)
        for target in ("torch", "keras")
    }
    return (
        label,
        f"{arch.num_parameters:,}",
        str(len(arch.end_points)),
        f"{worst['torch']:.1e}",
        f"{worst['keras']:.1e}",
        "same" if report.passed else "DIFFERS",
    )


def print_markdown(columns, rows) -> None:
    print("| " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * (len(columns) - 2) + " --- |")
    for cells in rows:
        print("| " + " | ".join(cells) + " |")


def start() -> None:
    terminal.run(main)
