"""Builds a slim graph on today's TensorFlow, prints what it is made of, writes it if asked to."""

from __future__ import annotations

import argparse

from converters.cli import terminal
from slim_resnet import arch as arch_lib
from slim_resnet.arch.parts import CONVENTIONS, FORMS


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", help="a name from --list")
    parser.add_argument("--list", action="store_true", help="list the architectures")
    parser.add_argument("--num-classes", type=int, help="0: no logits layer; default: its own")
    parser.add_argument("--image-size", type=int, help="height and width in pixels")
    parser.add_argument("--batch-size", type=int, help="default: any")
    parser.add_argument("--output-stride", type=int, help="keep this resolution by atrous rates")
    parser.add_argument("--training", action="store_true", help="batch norms in training mode")
    parser.add_argument("--convention", choices=CONVENTIONS, help="default: its own")
    parser.add_argument("--form", choices=FORMS, help="of ResNeXt units")
    parser.add_argument(
        "--output-dir", help="write graph.pb, graph.pbtxt, model.meta and TensorBoard events here"
    )
    parser.add_argument(
        "--init-checkpoint",
        action="store_true",
        help="also write model.ckpt, freshly initialised (needs --output-dir)",
    )
    parser.add_argument("--seed", type=int, help="of the initial values; default: random")
    args = parser.parse_args()
    if not args.arch and not args.list:
        parser.error("--arch NAME, or --list to see the names")
    if args.init_checkpoint and not args.output_dir:
        parser.error("--init-checkpoint needs --output-dir")
    return args


def main() -> int:
    args = parse()
    if args.list:
        terminal.console.print(registry_table())
        return 0
    changes = {
        "convention": args.convention,
        "form": args.form,
        "num_classes": args.num_classes,
        "output_stride": args.output_stride,
    }
    arch = arch_lib.get(args.arch, **{k: v for k, v in changes.items() if v is not None})
    if args.num_classes == 0:
        arch = arch.replace(num_classes=None)
    from slim_resnet import graph
    from slim_resnet.compat import tf

    with tf.Graph().as_default():
        tf.set_random_seed(args.seed)
        size = args.image_size or arch.default_image_size
        images = tf.placeholder(tf.float32, [args.batch_size, size, size, 3], name="images")
        _, end_points = graph.build(arch, images, is_training=args.training)
        terminal.console.print(blocks_table(arch, size, graph.summarize(arch, end_points)))
        if args.output_dir:
            files = graph.write(args.output_dir, init_checkpoint=args.init_checkpoint)
            terminal.console.print(f"wrote {', '.join(files)} to {args.output_dir}")
    return 0


def registry_table():
    made = terminal.table(
        "Architectures", "name", "trainable parameters", "what it is", text=("what it is",)
    )
    for name, arch in arch_lib.REGISTRY.items():
        made.add_row(name, f"{arch.num_parameters:,}", arch.describe())
    return made


def blocks_table(arch, size: int, rows):
    made = terminal.table(
        f"{arch.name} ({arch.describe()}; convention {arch.convention}) at {size}x{size}",
        "block", "output size", "variables", "trainable parameters", "multiply-adds",
        text=("output size",),
    )  # fmt: skip
    for row in rows:
        output = "x".join(map(str, row.output)) if row.output else ""
        counts = (row.variables, row.parameters, row.multiply_adds)
        made.add_row(row.block, output, *(f"{n:,}" for n in counts))
    made.add_section()
    totals = [
        sum(getattr(r, f) for r in rows) for f in ("variables", "parameters", "multiply_adds")
    ]
    made.add_row("total", "", *(f"{n:,}" for n in totals))
    return made


def start() -> None:
    terminal.run(main)
