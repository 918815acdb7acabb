"""Accuracy of checkpoints and converted models on a dataset, to the image.

A slim checkpoint runs in the slim graph, and as the PyTorch and Keras model it converts to; a
converted file (.pt, .safetensors, .keras) runs in its own framework. Exit code: 0 all put every
image into the same class, 1 they do not, 2 bad input.
"""

from __future__ import annotations

import argparse

from converters import evaluation as engines
from converters.cli import terminal
from slim_resnet import datasets
from slim_resnet.files import check_target, write_json
from slim_resnet.training.evaluation import BATCH_SIZE, Evaluation, evaluate

_SHOWN = 20  # numbers of differing images on one line


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    terminal.checkpoint_arguments(parser)
    parser.add_argument(
        "others", nargs="*", metavar="model", help="more checkpoints, or converted files"
    )
    parser.add_argument("--dataset", required=True, choices=datasets.NAMES)
    parser.add_argument("--data-dir", help="where the dataset's files are")
    parser.add_argument("--split", choices=datasets.SPLITS, default="test")
    parser.add_argument(
        "--image-size", type=int, help="in pixels, where the dataset leaves it open"
    )
    parser.add_argument(
        "--engine", default="slim", help="what checkpoints run on, of slim,torch,keras"
    )
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE)
    parser.add_argument("--json", metavar="FILE", help="counts and predictions of every model")
    return parser.parse_args()


def main() -> int:
    args = parse()
    if args.json:
        check_target(args.json)
    dataset = datasets.load(args.dataset, args.data_dir, args.split, image_size=args.image_size)
    for note in dataset.notes:
        terminal.console.print(f"note: {note}")
    found = {}
    with terminal.progress() as bar:
        task = bar.add_task("", total=None)
        for path, engine in candidates([args.checkpoint, *args.others], args.engine.split(",")):
            bar.update(task, description=f"{path} ({engine})")
            predict = engines.predictor(path, engine, **terminal.network(args))
            found[path, engine] = evaluate(predict, dataset, args.batch_size)
    terminal.console.print(results(dataset, found))
    if args.json:
        write(args.json, found)
    return report_differences(found)


def candidates(models: list[str], chosen: list[str]) -> list[tuple[str, str]]:
    """(path, engine) of everything that is to run."""
    found = []
    for path in models:
        own = engines.engine_of(path)
        found += [(path, engine) for engine in ([own] if own else chosen)]
    return list(dict.fromkeys(found))


def results(dataset, found: dict[tuple[str, str], Evaluation]):
    made = terminal.table(
        f"{dataset.name}, {dataset.split} split, {len(dataset):,} images",
        "model", "engine", "correct", "accuracy", "mean cross entropy",
        text=("engine",),
    )  # fmt: skip
    for (path, engine), one in found.items():
        made.add_row(path, engine, f"{one.correct:,}", f"{one.accuracy:.2%}", f"{one.loss:.6f}")
    return made


def report_differences(found: dict[tuple[str, str], Evaluation]) -> int:
    """Says which images are classified differently from the first model's; the exit code."""
    (first, expected), *others = found.items()
    differing = {name: expected.differing(one) for name, one in others}
    for (path, engine), images in differing.items():
        if images.size:
            shown = ", ".join(map(str, images[:_SHOWN])) + (", ..." if images.size > _SHOWN else "")
            terminal.console.print(
                f"{path} ({engine}) puts {images.size} images into another class than {first[0]} "
                f"({first[1]}): {shown}",
                soft_wrap=True,
            )
    if others and not any(images.size for images in differing.values()):
        terminal.console.print("all agree on every image")
    return int(any(images.size for images in differing.values()))


def write(path: str, found: dict[tuple[str, str], Evaluation]) -> None:
    content = [
        {
            "model": model,
            "engine": engine,
            "correct": one.correct,
            "total": one.total,
            "accuracy": one.accuracy,
            "loss": one.loss,
            "predictions": one.predictions.tolist(),
        }
        for (model, engine), one in found.items()
    ]
    write_json(path, content, indent=None)


def start() -> None:
    terminal.run(main)
