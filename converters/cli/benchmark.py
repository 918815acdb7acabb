"""Times a network's forward pass, and forward + backward, on several engines side by side.

slim: the slim graph in a Session, with variables. slim-frozen: the same with constants, batch norms
folded into the convolutions. torch, keras: the converted models. torchvision: its own class, eager.

Every candidate is a process of its own with the same weights and images, and works when the others
do not: they take turns, so read the ratios. GFLOP/s counts 2 x the multiply-adds of convolutions
and logits. Peak memory is the largest resident set of the process, framework included. Difference:
of the logits from the reference's (of the gradients' norm: with --backward), over the largest.

Exit code: 0 all were timed, 1 one failed or computes something else, 2 bad input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from converters import benchmark
from converters.cli import terminal
from converters.formats.libraries import model_name
from slim_resnet import arch as arch_lib
from slim_resnet.arch.parts import CONVENTIONS
from slim_resnet.files import atomic_path, check_target


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, number = parser.add_argument, {"type": int, "metavar": "N"}
    add("--arch", required=True, help="a name from tools/build_graph.py --list")
    add("--engine", type=names, default=["slim-frozen"], metavar="A,B,...", dest="engines",
        help=f"of {', '.join(benchmark.ENGINES)}; default: slim-frozen")  # fmt: skip
    add("--form", type=names, default=[], metavar="A,B,...", dest="forms",
        help="of ResNeXt units in the slim graphs: branches, concat, grouped")  # fmt: skip
    add("--layout", type=names, default=list(benchmark.LAYOUTS), metavar="A,B", dest="layouts",
        help=f"of PyTorch's tensors; default: {','.join(benchmark.LAYOUTS)}")  # fmt: skip
    add("--batch", **number, default=8, help="images at a time; default: 8")
    add("--size", type=image_size, metavar="N or HxW", help="default: the network's own")
    add("--backward", action="store_true", help="also forward + backward, as in training")
    add("--dtype", choices=benchmark.DTYPES, default="float32",
        help="bfloat16: mixed precision; default: float32")  # fmt: skip
    add("--convention", choices=CONVENTIONS,
        help="default: torchvision's where it takes part, else the network's own")  # fmt: skip
    add("--rounds", **number, default=20, help="batches that count; default: 20")
    add("--warm-up", **number, default=benchmark.WARM_UP, help="batches before them; default: 2")
    add("--threads", **number, default=os.cpu_count(), help="default: all")
    add("--ratio-to", metavar="NAME", help="a candidate or engine; default: the first")
    add("--json", metavar="FILE", help="write every time here")
    add("--chart", metavar="FILE.png", help="draw the means as bars here")
    args = parser.parse_args()
    if min(args.rounds, args.threads) < 1 or args.warm_up < 0:
        parser.error("numbers are positive")
    return args


def names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def image_size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width or height)


def plan(args: argparse.Namespace) -> list[list[benchmark.Job]]:
    """The candidates, a list for each kind of work."""
    arch = arch_lib.get(args.arch)
    convention = args.convention
    if not convention and "torchvision" in args.engines and model_name(arch, "torchvision"):
        convention = "torchvision"  # it computes nothing else
    if convention:
        arch = arch.replace(convention=convention)
    return [
        benchmark.plan(
            arch,
            args.engines,
            batch_size=args.batch,
            size=args.size,
            work=work,
            dtype=args.dtype,
            forms=args.forms,
            layouts=args.layouts,
        )
        for work in (benchmark.WORKS if args.backward else [benchmark.FORWARD])
    ]


def main() -> int:
    args = parse()
    tables = plan(args)
    if args.ratio_to:
        args.ratio_to = benchmark.find(tables[0], args.ratio_to).label
    if args.json:
        check_target(args.json)
    if args.chart:
        from converters.benchmark import chart

        chart.check(args.chart)
    found = []
    for jobs in tables:
        results = timed(jobs, args)
        terminal.console.print(results_table(results, args))
        print_trouble(results)
        found += results
    if args.json:
        with atomic_path(args.json) as path:
            path.write_text(
                json.dumps({"options": vars(args), **benchmark.as_json(found)}, indent=1)
            )
    if args.chart:
        with atomic_path(args.chart) as path:
            chart.draw(found, heading(found[0].job, args), path)
    return 0 if all(not r.failure and r.agrees for r in found) else 1


def timed(jobs: list[benchmark.Job], args: argparse.Namespace) -> list[benchmark.Result]:
    with terminal.progress() as bar:
        task = bar.add_task("")
        return benchmark.compare(
            jobs,
            rounds=args.rounds,
            threads=args.threads,
            warm_up=args.warm_up,
            ratio_to=args.ratio_to,
            report=lambda step: bar.update(task, description=step),
        )


def heading(job: benchmark.Job, args: argparse.Namespace) -> str:
    height, width = job.size
    return (
        f"{job.arch.name} ({job.arch.convention} convention), batch {job.batch_size} at "
        f"{height}x{width}, {job.dtype}, {args.threads} threads"
    )


def results_table(results: list[benchmark.Result], args: argparse.Namespace):
    job = results[0].job
    made = terminal.table(
        f"{heading(job, args)}\n{job.work}: {job.flops / 1e9:.1f} GFLOP a batch; mean +- sd of "
        f"{args.rounds} batches; ratio: median (quartiles)",
        "", "ms", "images/s", "GFLOP/s", "peak MB", "ratio", "difference",
    )  # fmt: skip
    for result in results:
        if result.failure:
            made.add_row(result.job.label, "failed")
            continue
        made.add_row(
            result.job.label,
            f"{1000 * result.mean:.1f} +- {1000 * result.sd:.1f}",
            f"{result.images_per_second:.1f}",
            f"{result.gflops:.1f}",
            f"{result.peak_bytes / 1e6:.0f}",
            "{1:.2f} ({0:.2f}-{2:.2f})".format(*result.ratios),
            f"{result.difference:.1e}",
        )
    return made


def print_trouble(results: list[benchmark.Result]) -> None:
    for result in results:
        if result.failure:
            print(f"{result.job.label}: {result.failure}", file=sys.stderr)
        elif not result.agrees:
            print(f"{result.job.label}: computes something else", file=sys.stderr)


def start() -> None:
    terminal.run(main)
