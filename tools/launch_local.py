#!/usr/bin/env python3
"""Starts a cluster of workers and parameter servers on this machine, each running one command.

    python tools/launch_local.py --workers 2 --ps 1 -- tools/train.py --dataset digits --output out

Exit code: the chief's (0 trained), that of a process that failed, 1 where a parameter server was
killed: the same command then goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse

from converters.cli import terminal
from slim_resnet.training import launch


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2, help="that train; the first is the chief")
    parser.add_argument("--ps", type=int, default=1, help="parameter servers")
    parser.add_argument("--evaluator", action="store_true", help="one more process evaluates")
    parser.add_argument("--restarts", type=int, default=3, help="of killed workers, in all")
    parser.add_argument("command", nargs="+", help="after --: a script and its arguments")
    return parser.parse_args()


def main() -> int:
    args = parse()
    plan = launch.Plan(
        launch.python(args.command), args.workers, args.ps, args.evaluator, args.restarts
    )
    return launch.run(plan, lambda line: print(line, flush=True))


if __name__ == "__main__":
    terminal.run(main)
