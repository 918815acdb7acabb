"""Rewrites a checkpoint from one form of its ResNeXt units to another; needs no framework.

The forms are those of Fig. 3 of arXiv:1611.05431: branches (a), concat (b), grouped (c). The same
numbers, bit for bit, under the variable names of the other graph.
"""

from __future__ import annotations

import argparse

import converters
from converters import formats
from converters.cli import terminal
from converters.conversion import check_apart
from slim_resnet.arch.parts import FORMS
from slim_resnet.files import check_new


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    terminal.checkpoint_arguments(parser)
    parser.add_argument("--form", required=True, choices=FORMS, help="the form to write")
    parser.add_argument("--output", required=True, help="prefix of the new checkpoint")
    terminal.force_argument(parser)
    args = parser.parse_args()
    if not args.force:
        check_new(args.output)
    ckpt = converters.load_checkpoint(args.checkpoint, **terminal.network(args))
    check_apart(ckpt, args.output)
    new = converters.transcode(ckpt, args.form)
    formats.writer("slim", args.output)(new)
    for note in ckpt.notes:
        terminal.console.print(f"note: {note}", soft_wrap=True)
    left_out = ckpt.auxiliary.get("zero-debias helpers", [])
    terminal.console.print(
        f"wrote {args.output}: {ckpt.arch.form} -> {args.form}, {len(ckpt)} -> {len(new)} variables"
        + (f", {len(left_out)} zero-debias helpers left out" if left_out else ""),
    )
    return 0


def start() -> None:
    terminal.run(main)
