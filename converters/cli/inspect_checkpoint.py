"""Shows what a TF1 checkpoint holds and which network it was recognised as; needs no framework.

Exit code: 0 recognised, 1 not recognised, 2 not a checkpoint.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping

from rich.table import Table

import converters
from converters.cli import terminal
from converters.files import WeightsFile, open_weights
from converters.files.metadata_keys import ARCH_KEY, KERAS_CONFIG_KEY, MODULES_KEY, NETWORK_KEY
from converters.graphs.network import Network
from converters.recognise import assumptions, schemes
from converters.recognise.layer_table import layer_rows, shape_text
from slim_resnet.arch import Arch


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    terminal.checkpoint_arguments(parser)
    parser.add_argument(
        "--schemes", action=_Schemes, nargs=0, help="list whose names are known, and exit"
    )
    parser.add_argument("--variables", action="store_true", help="list every variable")
    parser.add_argument(
        "--layers", action="store_true", help="list every layer of the graph, where there is one"
    )
    return parser.parse_args()


class _Schemes(argparse.Action):
    """Prints the schemes of the package."""

    def __call__(self, parser, *_):
        listing = terminal.table("", "scheme", "of", "a variable", "variants")
        for name, scheme in schemes.shipped().items():
            variants = ", ".join(scheme.variants) or "-"
            listing.add_row(name, scheme.about, scheme.example, variants)
        terminal.console.print(listing)
        parser.exit()


def main() -> int:
    args = parse()
    file = open_weights(args.checkpoint, step=args.step)
    out = terminal.console
    out.print(
        f"{file.path}: {file.format}, {len(file)} variables, {file.nbytes / 1e6:.1f} MB in "
        f"{len(file.files)} files",
    )
    if args.variables:
        listing = terminal.table("", "variable", "shape", "dtype")
        for name in file:
            listing.add_row(name, str(list(file.shape(name))), str(file.dtype(name)))
        out.print(listing)
    if file.metadata:
        out.print(table("What the file says of itself", of_itself(file)))
    try:
        ckpt = converters.load_checkpoint(args.checkpoint, **terminal.network(args))
    except converters.CheckpointError as error:
        out.print(f"not recognised: {error}")
        return 1
    out.print(table("", rows(ckpt, args)))
    network = ckpt.network or (ckpt.match and ckpt.match.network)
    if args.layers and network:
        out.print(layers(ckpt))
    for note in ckpt.notes:
        out.print(f"note: {note}")
    return 0


def of_itself(file: WeightsFile) -> dict[str, str]:
    """A file's metadata; the network in it in a few words, as its JSON is for programs."""
    found = dict(sorted(file.metadata.items()))
    for key in (MODULES_KEY, KERAS_CONFIG_KEY):
        found.pop(key, None)
    if ARCH_KEY in found:
        arch = Arch.from_json(found.pop(ARCH_KEY))
        found["network"] = f"{arch.name}: {arch.describe()}"
    if NETWORK_KEY in found:
        network = Network.from_json(found.pop(NETWORK_KEY), file.path)
        found["network"] = f"of a graph: {kinds_of(network)}"
        found["outputs"] = ", ".join(network.outputs)
    return found


def table(title: str, values: Mapping[str, str]) -> Table:
    """Names and values; what comes from a file cannot disturb the terminal."""
    made = terminal.table(title, "", "value", text=("value",))
    made.show_header = False
    for name, value in values.items():
        made.add_row(*(t if t.isprintable() else ascii(t) for t in (name, value)))
    return made


def rows(ckpt: converters.Recognised, args: argparse.Namespace) -> dict[str, str]:
    what = of_a_graph(ckpt) if ckpt.network is not None else of_an_arch(ckpt, args)
    return {
        **what,
        **{
            key.replace("_", " "): f"{fact.value} ({fact.source})"
            for key, fact in assumptions.training_facts(ckpt).items()
        },
        "global step": str(ckpt.global_step),
        "the network's variables": str(len(ckpt.model_variables)),
        **{kind: listed(names) for kind, names in ckpt.left_out()},
    }


def of_an_arch(ckpt: converters.Recognised, args: argparse.Namespace) -> dict[str, str]:
    arch = ckpt.arch
    if args.convention or args.network:
        source = "as you said"
    elif ckpt.facts:
        source = "the graph's"
    elif ARCH_KEY in ckpt.file.metadata:
        source = "the file's"
    else:
        source = "assumed: weights do not tell, see --convention"
    if ckpt.scheme and not ckpt.facts:
        source = ckpt.scheme.rules.path
    return {
        "recognised as": f"{arch.name}: {arch.describe()}",
        **({"names": ckpt.scheme.about} if ckpt.scheme else {}),
        "scope": repr(ckpt.scope),
        "form": arch.form,
        "classes": assumptions.describe_classes(ckpt.num_classes),
        "convention": f"{arch.convention} ({source})",
        **({"assumed": ", ".join(ckpt.assumed)} if ckpt.assumed else {}),
        "trainable parameters": f"{arch.num_parameters:,}",
    }


def of_a_graph(ckpt: converters.Recognised) -> dict[str, str]:
    network = ckpt.network
    return {
        "recognised as": f"the network of {network.path}",
        **({"backbone": f"{ckpt.arch.describe()}, scope {ckpt.scope!r}"} if ckpt.arch else {}),
        "inputs": ", ".join(f"{each.name} {shape_text(each.shape)}" for each in network.inputs),
        "outputs": ", ".join(
            f"{name} {shape_text(shape_of(network, name))}" for name in network.outputs
        ),
        **({"others to ask for": listed(list(network.others), 8)} if network.others else {}),
        "layers": kinds_of(network),
    }


def kinds_of(network: Network) -> str:
    kinds = Counter(layer.kind for layer in network.layers if not layer.is_shape)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def shape_of(network: Network, value: str) -> tuple[int | None, ...] | None:
    layer = network.layer(value)
    return layer.shape if layer else None


def layers(ckpt: converters.Recognised) -> Table:
    """Every layer in order: its operation, what it computes, of what, into which shape."""
    made = terminal.table(
        "", "operation", "kind", "reads", "shape", text=("kind", "reads", "shape")
    )
    for layer in layer_rows(ckpt):
        cells = (layer.name, layer.kind, ", ".join(layer.reads), shape_text(layer.shape))
        made.add_row(*cells)
    return made


def listed(names: list[str], limit: int = 3) -> str:
    """How many there are, and the first of them."""
    more = ", ..." if len(names) > limit else ""
    return f"{len(names)}: {', '.join(names[:limit])}{more}"


def start() -> None:
    terminal.run(main)
