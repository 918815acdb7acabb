"""`slim-resnet COMMAND ...`: one entry point for every command; nothing is loaded but what runs."""

from __future__ import annotations

import importlib
import sys

import slim_resnet

# Command -> its module here, and what it does.
COMMANDS = {
    "inspect": ("inspect_checkpoint", "what a checkpoint holds, and which network it is"),
    "convert": ("convert_checkpoint", "a checkpoint to PyTorch, Keras, ONNX, ..., or back, proved"),
    "transcode": ("transcode_checkpoint", "from one form of ResNeXt units to another"),
    "build-graph": ("build_graph", "a slim graph: what it is made of, and its files"),
    "check-legacy": ("check_legacy", "whether a rebuilt network is the one recorded under 1.x"),
    "run-legacy": ("run_legacy", "a TensorFlow 1 script as it is; --check and --rewrite"),
    "train": ("train", "a network as slim did"),
    "evaluate": ("evaluate", "trained and converted models on a dataset"),
    "finetune": ("finetune_torch", "a converted PyTorch model on slim's recipe"),
    "benchmark": ("benchmark", "slim, PyTorch, Keras and torchvision in turns"),
    "verify-zoo": ("verify_zoo", "every architecture in every framework, compared"),
}


def main() -> None:
    """Runs the command that the first argument names; exits with 2 for none that is known."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name == "--version":
        print(f"slim-resnet {slim_resnet.__version__}")
    elif name in ("--help", "-h"):
        print(usage())
    elif name not in COMMANDS:
        print(f"error: unknown command {name!r}: use {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    else:
        module, _ = COMMANDS[name]
        sys.argv = [f"slim-resnet {name}", *sys.argv[2:]]  # which is what --help calls it
        importlib.import_module(f"converters.cli.{module}").start()


def usage() -> str:
    lines = [f"  {name:13} {what}" for name, (_, what) in COMMANDS.items()]
    head = "usage: slim-resnet COMMAND ...   (slim-resnet COMMAND --help tells its options)"
    return "\n".join([head, "", *lines])
