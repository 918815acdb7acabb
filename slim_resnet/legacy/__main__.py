"""python -m slim_resnet.legacy script.py [args...] | -m module [args...]"""

from __future__ import annotations

import argparse
import sys

from slim_resnet.legacy.running import runner


def main(argv: list[str] | None = None) -> int:
    """Runs a TensorFlow 1.x script; returns its exit code, 2 where it cannot be started."""
    args = _parse(sys.argv[1:] if argv is None else argv)
    name, *rest = args.command
    try:
        run = runner.run_module if args.module else runner.run_path
        return run(name, rest, tuple(args.also))
    except (OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m slim_resnet.legacy",
        description="Runs a TensorFlow 1.x script as it is, on today's TensorFlow.",
        usage="%(prog)s [--also PACKAGE] (script.py | -m module) [args...]",
    )
    parser.add_argument(
        "--also", metavar="PACKAGE", action="append", default=[],
        help="an installed package that is TensorFlow 1 code, too; may be repeated",
    )  # fmt: skip
    parser.add_argument("-m", dest="module", action="store_true", help="run a module, as python -m")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the script and its arguments")
    args = parser.parse_args(argv)
    if not args.command:
        parser.error("which script?")
    return args


if __name__ == "__main__":
    sys.exit(main())
