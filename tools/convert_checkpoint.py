#!/usr/bin/env python3
"""Converts a TF1-slim checkpoint to a modern format, or weights back, with proof that they match.

Exit code: 0 converted and verified, 1 verification failed (nothing written), 2 bad input.
"""

from __future__ import annotations

import argparse

import _cli

import converters
from converters import exchange, exchange_files, export
from converters.verification import write_reports


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    _cli.checkpoint_arguments(parser)
    parser.add_argument(
        "--from",
        dest="source",
        choices=("slim", *exchange.LIBRARIES),
        default="slim",
        help="whose weights they are; other than slim needs --arch",
    )
    parser.add_argument("--to", required=True, choices=export.targets(), help="the target")
    parser.add_argument("--output", required=True, help=outputs())
    parser.add_argument("--no-verify", action="store_true", help="write without running anything")
    parser.add_argument("--end-points", action="store_true", help="print every end point")
    parser.add_argument("--report", metavar="FILE.json", help="every comparison, as JSON")
    return parser.parse_args()


def outputs() -> str:
    names = {"slim": "a prefix", "saved_model": "a folder"}
    formats = {t: " or ".join(filter(None, export.suffixes(t))) for t in export.targets()}
    return "; ".join(f"{t}: {formats[t] or names[t]}" for t in formats)


def load(args: argparse.Namespace):
    if args.source == "slim":
        return converters.load_checkpoint(args.checkpoint, **_cli.network(args))
    return exchange_files.load_weights(
        args.checkpoint,
        args.source,
        arch=args.arch,
        convention=args.convention,
        scope=args.scope,
    )


def main() -> int:
    args = parse()
    write = export.writer(args.to, args.output)
    ckpt = load(args)
    _cli.console.print(f"{ckpt.path}: {ckpt.arch.describe()} ({ckpt.arch.name})", markup=False)
    with _cli.progress() as bar:
        task = bar.add_task("reading", total=None)
        if not args.no_verify and not verified(
            ckpt, args, lambda step: bar.update(task, description=step)
        ):
            return 1
        bar.update(task, description=f"writing {args.output}")
        write(ckpt)
    proof = "not verified" if args.no_verify else "verified"
    _cli.console.print(f"wrote {args.output} ({proof})", markup=False)
    return 0


def verified(ckpt, args: argparse.Namespace, progress) -> bool:
    """float64 decides; float32 is what users will run, and is reported."""
    ckpt.check_sums()
    # All but Keras's files hold what our torch module computes.
    target = "keras" if args.to == "keras" else "torch"
    reports = [
        converters.verify(ckpt, [target], dtype, progress=progress)
        for dtype in ("float64", "float32")
    ]
    if args.report:
        write_reports(args.report, reports)
    if args.end_points:
        _cli.console.print(_cli.end_point_table(reports[0]))
    _cli.console.print(_cli.report_table(reports))
    first = reports[0].first_divergence
    if first is not None:
        _cli.console.print(
            f"verification failed: {first.end_point} is the first end point that differs, by "
            f"{first.max_rel_error:.1e} at {first.image_size}; nothing written",
            markup=False,
        )
    return first is None


if __name__ == "__main__":
    _cli.run(main)
