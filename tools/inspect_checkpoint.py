#!/usr/bin/env python3
"""Shows what a TF1 checkpoint holds and which network it was recognised as; needs no framework.

Exit code: 0 recognised, 1 not recognised, 2 not a checkpoint.
"""

from __future__ import annotations

import argparse

import _cli

import converters
from converters.sources import open_source


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    _cli.checkpoint_arguments(parser)
    parser.add_argument("--variables", action="store_true", help="list every variable")
    return parser.parse_args()


def main() -> int:
    args = parse()
    file = open_source(args.checkpoint, step=args.step)
    out = _cli.console
    out.print(
        f"{file.path}: {file.format}, {len(file)} variables, {file.nbytes / 1e6:.1f} MB in "
        f"{len(file.files)} files",
        markup=False,
    )
    if args.variables:
        listing = _cli.table("", "variable", "shape", "dtype")
        for name in file:
            listing.add_row(name, str(list(file.shape(name))), str(file.dtype(name)))
        out.print(listing)
    try:
        ckpt = converters.load_checkpoint(args.checkpoint, **_cli.network(args))
    except converters.CheckpointError as error:
        out.print(f"not recognised: {error}", markup=False)
        return 1
    facts = _cli.table("", "", "value", text=("value",))
    facts.show_header = False
    rows = {
        "recognised as": f"{ckpt.arch.name}: {ckpt.arch.describe()}",
        "scope": repr(ckpt.scope),
        "convention": f"{ckpt.arch.convention} (the graph's, or the default)",
        "trainable parameters": f"{ckpt.arch.num_parameters:,}",
        "global step": str(ckpt.global_step),
        "the network's variables": str(len(ckpt.arch.variables)),
        **{kind: str(len(names)) for kind, names in ckpt.auxiliary.items()},
        "unknown variables": ", ".join(ckpt.unknown) or "none",
    }
    for name, value in rows.items():
        facts.add_row(name, value)
    out.print(facts)
    return 0


if __name__ == "__main__":
    _cli.run(main)
