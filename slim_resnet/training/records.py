"""metrics.csv, evaluation.csv and run.json: what a training leaves beside its checkpoints."""

from __future__ import annotations

import csv
import json
import os
import pathlib

from slim_resnet.files import atomic_path, write_json

METRICS = "metrics.csv"
EVALUATION = "evaluation.csv"
RUN = "run.json"


class Table:
    """A CSV file of numbers whose first column, `step`, rises; one row is one write.

    Args:
        path: the file; it is made with its header if it is not there.
        columns: the names after `step`.
    """

    def __init__(self, path: str | os.PathLike, columns: tuple[str, ...]):
        self.path = pathlib.Path(path)
        self.columns = ("step", *columns)
        if not self.path.exists():
            self._replace([])

    def append(self, *values) -> None:
        """Adds a row; floats are written so that reading gives the same value back."""
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            file.write(",".join(map(str, values)) + "\n")

    def rewind(self, step: int) -> None:
        """Drops the rows after `step`, and a row that was cut short."""
        rows = [row for row in _rows(self.path) if _is_whole(row, self.columns)]
        self._replace([row for row in rows if int(row[0]) <= step])

    def steps(self) -> list[int]:
        return [int(row["step"]) for row in read(self.path)]

    def _replace(self, rows: list[list[str]]) -> None:
        with atomic_path(self.path) as temporary:
            lines = [",".join(row) + "\n" for row in (self.columns, *rows)]
            temporary.write_text("".join(lines), encoding="utf-8")


def read(path: str | os.PathLike) -> list[dict[str, float]]:
    """The rows of a `Table`, each a dict from column to number; none where there is no file."""
    path = pathlib.Path(path)
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def _rows(path: pathlib.Path) -> list[list[str]]:
    """The rows after the header; one without its line end is not whole and left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    return [line.rstrip("\n").split(",") for line in lines if line.endswith("\n")]


def _is_whole(row: list[str], columns: tuple[str, ...]) -> bool:
    return len(row) == len(columns) and row[0].isdigit()


def check_run(output: pathlib.Path, settings: dict) -> None:
    """Writes run.json, or compares with the one of the run that goes on.

    Args:
        output: the training's folder.
        settings: all that decides the curve, as JSON knows it.

    Raises:
        ValueError: the folder holds a run with other settings; the message names them.
    """
    path = output / RUN
    if not path.exists():
        write_json(path, settings)
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = _changes(before, json.loads(json.dumps(settings)))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path}: not what a training wrote ({error})") from error
    if changed:
        raise ValueError(
            f"{output} holds another run: {'; '.join(changed)}: name another --output, or go on "
            "with the settings of the first"
        )


def _changes(before: dict, now: dict) -> list[str]:
    found = []
    for key, value in now.items():
        if isinstance(value, dict):
            found += _changes(before.get(key, {}), value)
        elif before.get(key) != value:
            found.append(f"{key} is {value!r}, was {before.get(key)!r}")
    return found
