#!/usr/bin/env python3
"""Shows what a TF1 checkpoint holds and which network it was recognised as; needs no framework.

Exit code: 0 recognised, 1 not recognised, 2 not a checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import _cli
from rich.markup import escape
from rich.table import Table

import converters
from converters.files import open_weights
from converters.recognise import assumptions as metadata


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    _cli.checkpoint_arguments(parser)
    parser.add_argument("--variables", action="store_true", help="list every variable")
    return parser.parse_args()


def main() -> int:
    args = parse()
    file = open_weights(args.checkpoint, step=args.step)
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
    of_itself = file.metadata
    if of_itself:
        out.print(table("What the file says of itself", dict(sorted(of_itself.items()))))
    try:
        ckpt = converters.load_checkpoint(args.checkpoint, **_cli.network(args))
    except converters.CheckpointError as error:
        out.print(f"not recognised: {error}", markup=False)
        return 1
    out.print(table("", rows(ckpt, args.convention)))
    for note in ckpt.notes:
        out.print(f"note: {note}", markup=False)
    return 0


def table(title: str, values: Mapping[str, str]) -> Table:
    """Names and values; what comes from a file cannot disturb the terminal."""
    made = _cli.table(title, "", "value", text=("value",))
    made.show_header = False
    for name, value in values.items():
        made.add_row(*(escape(t if t.isprintable() else ascii(t)) for t in (name, value)))
    return made


def rows(ckpt: converters.Recognised, convention: str | None) -> dict[str, str]:
    arch = ckpt.arch
    if convention:
        source = "as you said"
    elif ckpt.facts:
        source = "the graph's"
    elif metadata.ARCH_KEY in ckpt.file.metadata:
        source = "the file's"
    else:
        source = "assumed: weights do not tell, see --convention"
    return {
        "recognised as": f"{arch.name}: {arch.describe()}",
        "scope": repr(ckpt.scope),
        "form": arch.form,
        "classes": metadata.describe_classes(ckpt.num_classes),
        "convention": f"{arch.convention} ({source})",
        **{
            key.replace("_", " "): f"{fact.value} ({fact.source})"
            for key, fact in metadata.training_facts(ckpt).items()
        },
        "trainable parameters": f"{arch.num_parameters:,}",
        "global step": str(ckpt.global_step),
        "the network's variables": str(len(arch.variables)),
        **{kind: listed(names) for kind, names in ckpt.left_out()},
    }


def listed(names: list[str], limit: int = 3) -> str:
    """How many there are, and the first of them."""
    more = ", ..." if len(names) > limit else ""
    return f"{len(names)}: {', '.join(names[:limit])}{more}"


if __name__ == "__main__":
    _cli.run(main)
