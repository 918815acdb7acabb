"""Rebuilds a network that record_legacy.py recorded and says where it is another one, if it is.

  check_legacy.py resnet_v1_50.npz --arch resnet_v1_50
  check_legacy.py record.npz --builder nets.mine:network --kwargs '{"output_stride": 16}'

Exit code: 0 it is the same network, 1 it differs, 2 bad input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from converters.cli import terminal
from slim_resnet.files import check_target
from slim_resnet.regression.record import read_record


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("record", help="what tools/record_legacy.py wrote")
    network = parser.add_mutually_exclusive_group(required=True)
    network.add_argument("--arch", help="a network of this project, see build_graph.py --list")
    network.add_argument("--builder", help="module:function, called as function(images, **kwargs)")
    parser.add_argument(
        "--arg-scope", help="module:function, for --builder; default: the record's; '': none"
    )
    parser.add_argument("--kwargs", type=json_object, help="JSON; replace those of the record")
    parser.add_argument("--checkpoint", help="the weights of a record that was not seeded")
    parser.add_argument("--html", metavar="FILE.html", help="write all differences here")
    args = parser.parse_args()
    if args.arch and args.arg_scope is not None:
        parser.error("--arg-scope goes with --builder")
    return args


def json_object(text: str) -> dict:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object")
    return value


def main() -> int:
    args = parse()
    if args.html:
        check_target(args.html)
    record = read_record(args.record)
    from slim_resnet.regression.html_report import write_page
    from slim_resnet.regression.network_check import check

    with terminal.progress() as bar:
        task = bar.add_task("starting", total=None)
        checked = check(
            record,
            builder(record, args),
            checkpoint=checkpoint(args.checkpoint),
            progress=lambda step: bar.update(task, description=step),
        )
    terminal.console.print(aspect_table(checked))
    if args.html:
        write_page(args.html, checked)
        terminal.console.print(f"wrote {args.html}")
    if checked.first is None:
        terminal.console.print("no difference: this is the network that was recorded")
        return 0
    terminal.console.print(f"first difference: {checked.first}", soft_wrap=True)
    return 1


def builder(record, args: argparse.Namespace):
    from slim_resnet.regression import rebuilt

    if args.arch:
        return rebuilt.arch_builder(record, args.arch, args.kwargs)
    sys.path.insert(0, os.getcwd())
    return rebuilt.user_builder(record, args.builder, args.arg_scope, args.kwargs)


def checkpoint(path: str | None):
    if path is None:
        return None
    from converters.files.checkpoint import open_checkpoint

    return open_checkpoint(path)


def aspect_table(checked):
    made = terminal.table(
        f"{checked.record.path}, recorded with TensorFlow "
        f"{checked.record.info['versions']['tensorflow']}",
        "", "", "differences", "compared",
        text=("", "compared"),
    )  # fmt: skip
    for aspect in checked.aspects:
        made.add_row(aspect.name, aspect.verdict, str(len(aspect.differences)), aspect.detail)
    return made


def start() -> None:
    terminal.run(main)
