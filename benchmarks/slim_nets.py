#!/usr/bin/env python3
"""Every network of slim's nets_factory: recorded under TensorFlow 1.15, rebuilt under the shim.

  slim_nets.py --slim models/research/slim --tf1 /path/to/python3.7 --output out/slim_nets

`models` is a checkout of TensorFlow's models as of 2018; its code is used as it is. Results are
kept in the output folder, so that what was stopped goes on; --markdown prints the table for the
docs from what is there. Exit code: 0 all of it done, 1 something could not be recorded or rebuilt.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

from slim_resnet.files import write_json

TOOLS = pathlib.Path(__file__).resolve().parents[1] / "tools"
_INCEPTION = "nets.inception:inception_v1_arg_scope"
_RESNET = "nets.resnet_v1:resnet_arg_scope"
_MOBILENET_V2 = "nets.mobilenet.mobilenet_v2:training_scope"


class Net(NamedTuple):
    """A network of nets_factory: its function, its arg scope, the images that it is shown.

    `fixed` are those that must know the size of their images; `classes` keep layers small.
    """

    builder: str
    arg_scope: str
    size: int
    fixed: bool = True
    channels: int = 3
    scope_is_told: bool = False  # whether the arg scope wants is_training
    has_dropout: bool = True


NETS = {
    "lenet": Net("nets.lenet:lenet", "nets.lenet:lenet_arg_scope", 28, channels=1),
    "cifarnet": Net("nets.cifarnet:cifarnet", "nets.cifarnet:cifarnet_arg_scope", 32),
    "alexnet_v2": Net("nets.alexnet:alexnet_v2", "nets.alexnet:alexnet_v2_arg_scope", 224),
    "overfeat": Net("nets.overfeat:overfeat", "nets.overfeat:overfeat_arg_scope", 231),
    **{
        f"vgg_{size}": Net(f"nets.vgg:vgg_{size}", "nets.vgg:vgg_arg_scope", 224)
        for size in ("a", "16", "19")
    },
    **{
        f"inception_v{n}": Net(f"nets.inception:inception_v{n}", _INCEPTION, size)
        for n, size in ((1, 224), (2, 224), (3, 299), (4, 299))
    },
    "inception_resnet_v2": Net(
        "nets.inception:inception_resnet_v2", "nets.inception:inception_resnet_v2_arg_scope", 299
    ),
    **{
        f"mobilenet_v1{width}": Net(
            f"nets.mobilenet_v1:mobilenet_v1{width}", "nets.mobilenet_v1:mobilenet_v1_arg_scope",
            128, scope_is_told=True,
        )
        for width in ("", "_075", "_050", "_025")
    },
    **{
        f"mobilenet_v2{width}": Net(
            f"nets.mobilenet.mobilenet_v2:mobilenet{'_v2' if width else ''}{width}", _MOBILENET_V2,
            96, scope_is_told=True, has_dropout=False,
        )
        for width in ("", "_140", "_035")
    },
    **{
        f"resnet_{version}_{depth}": Net(
            f"nets.resnet_{version}:resnet_{version}_{depth}", _RESNET, 64, fixed=False,
            has_dropout=False,
        )
        for depth in (50, 101, 152, 200)
        for version in ("v1", "v2")
    },
    "nasnet_cifar": Net(
        "nets.nasnet.nasnet:build_nasnet_cifar", "nets.nasnet.nasnet:nasnet_cifar_arg_scope", 32,
        has_dropout=False,
    ),
    **{
        f"{family}_{size}": Net(
            f"nets.nasnet.{family}:build_{family}_{size}",
            f"nets.nasnet.{family}:{family}_{size}_arg_scope", pixels, has_dropout=False,
        )
        for family, size, pixels in (
            ("nasnet", "mobile", 224), ("pnasnet", "mobile", 224), ("nasnet", "large", 331),
            ("pnasnet", "large", 331),
        )
    },
}  # fmt: skip
MODES = ("inference", "training")
_SUMMARY = re.compile(r"^ *(graph|regularization losses|variables|collections|numbers \w+) +"
                      r"(same|DIFFERS|-) +(\d+)", re.MULTILINE)  # fmt: skip
_WORST = re.compile(r"numbers (\w+).*?worst (\S+)")


def main() -> int:
    args = parse()
    folder = pathlib.Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    for mode in args.modes:
        for name in args.nets:
            result = folder / f"{name}.{mode}.json"
            if args.markdown or result.exists():
                continue
            found = compare(name, mode, args, folder)
            write_json(result, found)
            print(name, mode, found["says"], flush=True)
    results = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    print_table(results)
    return int(any(result["failed"] for result in results.values()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slim", help="the folder that holds nets/")
    parser.add_argument("--tf1", help="a Python with TensorFlow 1.15")
    parser.add_argument("--output", default="out/slim_nets", metavar="FOLDER")
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS), metavar="NAME")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument(
        "--dtypes", nargs="+", choices=("float32", "float64"), default=("float32", "float64"),
        help="of the numbers; the graph that is compared is always the float32 one",
    )  # fmt: skip
    parser.add_argument("--markdown", action="store_true", help="only print what is there")
    args = parser.parse_args()
    if not args.markdown and not (args.slim and args.tf1):
        parser.error("--slim and --tf1 are missing")
    return args


def compare(name: str, mode: str, args: argparse.Namespace, folder: pathlib.Path) -> dict:
    """Records a network and rebuilds it."""
    record = folder / f"{name}.{mode}.npz"
    dtypes = [word for dtype in args.dtypes for word in ("--dtype", dtype)]
    done = run([args.tf1, TOOLS / "record_legacy.py", *options(NETS[name], mode), *dtypes,
                "--output", record], args.slim)  # fmt: skip
    if done.returncode:
        return {"failed": True, "says": f"not recorded: {done.stderr.splitlines()[-1]}"}
    page = folder / f"{name}.{mode}.html"
    done = run([sys.executable, TOOLS / "check_legacy.py", record, "--builder",
                NETS[name].builder, "--html", page], args.slim)  # fmt: skip
    record.unlink()
    said = [line for line in done.stdout.splitlines() if "difference: " in line]
    if not said:
        return {"failed": True, "says": f"not rebuilt: {done.stderr.splitlines()[-1]}"}
    aspects = {n: [verdict, int(count)] for n, verdict, count in _SUMMARY.findall(done.stdout)}
    worst = dict(_WORST.findall(done.stdout))
    return {"failed": False, "says": said[-1], "aspects": aspects, "worst": worst}


def options(net: Net, mode: str) -> list[str]:
    """The recorder's arguments."""
    is_training = mode == "training"
    kwargs = {"num_classes": 10}
    if is_training and net.has_dropout:
        kwargs["dropout_keep_prob"] = 1.0  # chance is not compared
    given = ["--builder", net.builder, "--arg-scope", net.arg_scope]
    given += ["--kwargs", json.dumps(kwargs), "--image-size", f"{net.size}x{net.size}"]
    given += ["--channels", str(net.channels), "--samples", "32"]
    given += ["--fixed-size"] if net.fixed else ["--image-size", "49x33"]
    given += ["--training", "--batch-size", "2"] if is_training else ["--batch-size", "1"]
    if net.scope_is_told:
        given += ["--arg-scope-kwargs", json.dumps({"is_training": is_training})]
    return given


def run(command: list, slim: str) -> subprocess.CompletedProcess:
    paths = [os.path.abspath(slim), os.environ.get("PYTHONPATH")]
    own = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.run(
        list(map(str, command)), env=own, capture_output=True, text=True, check=False
    )


def print_table(results: dict[str, dict]) -> None:
    print("| network | mode | graph | float32 | float64 | says |")
    print("| --- | --- | --- | ---: | ---: | --- |")
    for name in NETS:
        for mode in MODES:
            if result := results.get(f"{name}.{mode}"):
                print(f"| {name} | {mode} | " + " | ".join(cells(result)) + " |")
    for mode in MODES:
        missing = [name for name in NETS if f"{name}.{mode}" not in results]
        print(f"\nNot run, {mode}: {', '.join(missing) or 'none'}")


def cells(result: dict) -> list[str]:
    aspects, worst = result.get("aspects", {}), result.get("worst", {})
    structure = [v for n, v in aspects.items() if not n.startswith("numbers")]
    differences = sum(count for _, count in structure)
    graph = "same" if structure and not differences else f"{differences} differences"
    says = result["says"].removeprefix("first difference: ")
    return [graph if structure else "-", worst.get("float32", "-"), worst.get("float64", "-"), says]


if __name__ == "__main__":
    sys.exit(main())
