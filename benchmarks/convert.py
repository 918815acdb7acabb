#!/usr/bin/env python3
"""Times the conversion of a checkpoint to a PyTorch file beside the usual script, and beside cp.

Every candidate is a process of its own, timed from its start to its end, imports included:
ours: `tools/convert_checkpoint.py --to torch --no-verify`; the file is on disk (fsync) at its end.
usual script: `tf.train.load_variable` for each name, a transposition, `torch.save`; no fsync.
cp: of the checkpoint's data file; no fsync. cp + sync: the same, and `sync` of the copy: an fsync.
import numpy: Python and NumPy start, and nothing else.
ours, verified: the same with the proof, which runs TensorFlow and the written file side by side.
import both: TensorFlow and PyTorch are imported, one after the other; what a proof cannot go below.

The checkpoint is written here, with seeded weights, and nothing is timed before ours and the usual
script's file hold the same arrays. Candidates take turns (A B C A B C ...), each into a new file
with all earlier writes on disk, and with the checkpoint in the page cache: read the ratios, of ours
to each candidate in the same round. Memory is the largest resident set, which counts mapped files;
below the 10 MB of the process that measures it, it is not known.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import numpy as np

from converters.cli import terminal
from converters.files.checkpoint.writer import write_bundle
from converters.models.naming import table
from slim_resnet import arch as arch_lib
from slim_resnet.files import check_target, write_json
from slim_resnet.regression.record import seeded_value

TOOLS = pathlib.Path(__file__).resolve().parents[1] / "tools"

OURS, USUAL, VERIFIED = "ours", "usual script", "ours, verified"
IMPORT_BOTH = "import tensorflow; import torch"
USUAL_SCRIPT = """
import sys
import tensorflow as tf
import torch

prefix, output = sys.argv[1:]
state = {}
for name, _ in tf.train.list_variables(prefix):
    value = tf.train.load_variable(prefix, name)
    if value.ndim == 4:
        value = value.transpose(3, 2, 0, 1).copy()
    state[name] = torch.from_numpy(value)
torch.save(state, output)
"""
# A process inherits the largest resident set of the one that starts it, so a small one must do it.
METER = """
import json, os, sys, time
start = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(json.dumps([status, time.perf_counter() - start, usage.ru_maxrss * 1024]), file=sys.stderr)
"""


def write_checkpoint(arch: arch_lib.Arch, folder: pathlib.Path) -> tuple[pathlib.Path, int]:
    """Writes a checkpoint of `arch` with seeded weights; returns its prefix and the data's size."""
    prefix = folder / "model.ckpt-1"
    weights = {f"{arch.name}/{v.name}": seeded_value(v.name, v.shape) for v in arch.variables}
    write_bundle(prefix, weights)
    return prefix, os.path.getsize(data_file(prefix))


def data_file(prefix: pathlib.Path) -> str:
    return f"{prefix}.data-00000-of-00001"


def candidates(prefix: pathlib.Path) -> dict[str, tuple[list, pathlib.Path]]:
    """Candidate -> its command, and the file that this makes."""
    tool, data, folder = TOOLS / "convert_checkpoint.py", data_file(prefix), prefix.parent
    ours, usual, copy = folder / "ours.safetensors", folder / "usual.pt", folder / "copy"
    verified = folder / "verified.safetensors"
    options = ["--to", "torch", "--no-verify", "--output", ours]
    copy_and_sync = ["sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", data, copy]
    return {
        OURS: ([sys.executable, tool, prefix, *options], ours),
        USUAL: ([sys.executable, "-c", USUAL_SCRIPT, prefix, usual], usual),
        "cp": (["cp", data, copy], copy),
        "cp + sync": (copy_and_sync, copy),
        "import numpy": ([sys.executable, "-c", "import numpy"], copy),
        VERIFIED: ([sys.executable, tool, prefix, "--to", "torch", "--output", verified], verified),
        "import both": ([sys.executable, "-c", IMPORT_BOTH], copy),
    }


def measure(command: list, output: pathlib.Path) -> tuple[float, int]:
    """Runs a command that makes the file `output`; returns its seconds and its peak memory.

    Raises:
        SystemExit: it failed.
    """
    output.unlink(missing_ok=True)
    os.sync()  # or it would wait for what others have written
    meter = [sys.executable, "-I", "-S", "-c", METER, *map(str, command)]
    found = subprocess.run(meter, capture_output=True, text=True, check=False)
    *chatter, last = found.stderr.splitlines() or [""]
    if found.returncode or json.loads(last)[0]:
        sys.exit("\n".join([f"{command[0]} failed:", *chatter, last]))
    _, seconds, peak = json.loads(last)
    return seconds, peak


def compare(arch: arch_lib.Arch, ours: pathlib.Path, usual: pathlib.Path) -> None:
    """Checks that both files hold the same arrays.

    Raises:
        SystemExit: they do not.
    """
    import torch
    from safetensors import safe_open

    theirs = torch.load(usual, mmap=True)
    with safe_open(ours, "numpy") as file:
        for row in table(arch):
            mine = file.get_tensor(row.torch)
            other = theirs[f"{arch.name}/{row.slim}"].numpy()
            if not np.array_equal(mine, other.reshape(mine.shape)):
                sys.exit(f"{row.torch} differs between {ours.name} and {usual.name}")


def rows(arch: arch_lib.Arch, folder: pathlib.Path, rounds: int) -> Iterator[dict]:
    """Measures all candidates in turns: a row of the JSON for each.

    Yields:
        "candidate"; "seconds" and "peak_bytes": of each round; "ratios": the quartiles of our time
        (verified, where that is compared) over the candidate's, round by round; "memory": the
        median peak over the data's size.
    """
    prefix, size = write_checkpoint(arch, folder)
    commands = candidates(prefix)
    for name in commands:  # a first time for the caches
        measure(*commands[name])
    compare(arch, commands[OURS][1], commands[USUAL][1])
    measured = {name: [] for name in commands}
    for name in list(commands) * rounds:
        measured[name].append(measure(*commands[name]))
    times = {name: [seconds for seconds, _ in pairs] for name, pairs in measured.items()}
    for name, pairs in measured.items():
        seconds, peaks = zip(*pairs, strict=True)
        ours = times[VERIFIED if name in (VERIFIED, "import both") else OURS]
        yield {
            "candidate": name,
            "seconds": seconds,
            "peak_bytes": peaks,
            "ratios": quartiles(np.divide(ours, seconds)),
            "memory": float(np.median(peaks)) / size,
        }


def quartiles(values) -> list[float]:
    return np.percentile(values, [25, 50, 75]).tolist()


def results_table(title: str, measured: list[dict]):
    made = terminal.table(title, "", "seconds", "ours / this", "peak memory / file")
    for row in measured:
        cells = (
            "{1:.2f} ({0:.2f}-{2:.2f})".format(*quartiles(row["seconds"])),
            "{1:.2f} ({0:.2f}-{2:.2f})".format(*row["ratios"]),
            f"{row['memory']:.2f}",
        )
        made.add_row(row["candidate"], *cells)
    return made


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--arch", choices=arch_lib.REGISTRY, default="resnext_v1_101_64x4d", metavar="ARCH")
    add("--rounds", type=int, metavar="N", default=7, help="default: 7")
    add("--json", metavar="FILE", help="write all times here")
    args = parser.parse_args()
    if args.rounds < 1:
        parser.error("numbers are positive")
    if args.json:
        check_target(args.json)
    return args


def main() -> int:
    args = parse()
    arch = arch_lib.get(args.arch)
    with terminal.progress() as progress, tempfile.TemporaryDirectory() as folder:
        progress.add_task(f"timing {args.arch}")
        measured = list(rows(arch, pathlib.Path(folder), args.rounds))
    title = f"{args.arch}: median (quartiles); rounds: {args.rounds}"
    terminal.console.print(results_table(title, measured))
    if args.json:
        write_json(args.json, {"options": vars(args), "candidates": measured})
    return 0


if __name__ == "__main__":
    terminal.run(main)
