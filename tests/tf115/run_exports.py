"""Loads exports in TensorFlow 1.15 and compares what they compute: a table for docs/converting.md.

    PYTHON tests/tf115/run_exports.py FOLDER

PYTHON has TensorFlow 1.15.5 and NumPy, nothing else; FOLDER is what make_exports.py wrote. Exits 1
if an export does not load, or is further than 2e-5 of the largest value from what it should give.
"""
# Python 3.7 has to run it.

from __future__ import annotations

import json
import os
import sys

import numpy as np
import tensorflow as tf

BOUND = 2e-5


def load_frozen(session, path: str) -> None:
    with open(path, "rb") as file:
        tf.import_graph_def(tf.GraphDef.FromString(file.read()), name="")


def load_saved_model(session, path: str) -> None:
    tf.saved_model.loader.load(session, [tf.saved_model.tag_constants.SERVING], path)


def load_meta(session, path: str) -> None:
    """A .meta with the checkpoint of the same name beside it."""
    tf.train.import_meta_graph(path).restore(session, os.path.splitext(path)[0] + ".ckpt")


LOADERS = {"frozen": load_frozen, "saved_model": load_saved_model, "meta": load_meta}


def difference(folder: str, export: dict) -> float:
    """The largest difference of an export from what is expected of it, over the largest value."""
    expected = np.load(os.path.join(folder, export["expected"]))
    names = {
        kind: {key: key[len(kind) + 1 :] for key in expected.files if key.startswith(kind + "|")}
        for kind in ("feed", "fetch")
    }
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        LOADERS[export["kind"]](session, os.path.join(folder, export["file"]))
        feed = {name: expected[key] for key, name in names["feed"].items()}
        found = session.run(names["fetch"], feed)
    return max(
        np.abs(value - expected[key]).max() / np.abs(expected[key]).max()
        for key, value in found.items()
    )


def judged(folder: str, export: dict) -> tuple[str, bool]:
    """What the table says of an export, and whether it is as it should be."""
    try:
        found = difference(folder, export)
    except tf.errors.UnimplementedError as error:  # it loads, but not every machine runs it
        return "loads; " + str(error.message).split(".")[0], False
    except Exception as error:
        return "does not load: " + str(error).split("\n")[0][:100], False
    return f"{found:.1e}", found <= BOUND


def main() -> int:
    folder = sys.argv[1]
    with open(os.path.join(folder, "exports.json")) as file:
        exports = json.load(file)
    print(f"| file | what it is | largest difference in TensorFlow {tf.__version__} |")
    print("| --- | --- | --- |")
    fine = True
    for export in exports:
        text, is_fine = judged(folder, export)
        fine = fine and is_fine
        print("| `{}` | {} | {} |".format(export["file"], export["what"], text), flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
