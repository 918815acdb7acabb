"""Everything is read on a machine without any framework, by readers of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import h5py
import numpy as np

_SCRIPT = """
import json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED or name.startswith("google.protobuf"):
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

BLOCKED = {"tensorflow", "torch", "keras", "tf_keras", "tf_slim", "ml_dtypes", "flax"}
sys.meta_path.insert(0, Blocked())
from converters.files import graph_for, open_weights
from converters.graphs import graph_facts

found = {}
for path in sys.argv[1:]:
    if path.endswith(".meta"):
        found[path] = len(graph_facts(graph_for(path)).convs)
        continue
    file = open_weights(path)
    assert sum(array.nbytes for array in file.values()) == file.nbytes
    names = [name for name in file if not name.endswith("num_batches_tracked")]
    found[path] = sum(file[name].nbytes for name in names)
assert not BLOCKED & {name.split(".")[0] for name in sys.modules}
print(json.dumps(found))
"""


def test_without_frameworks(data, exports, model_arrays, tmp_path):
    np.savez(tmp_path / "d.npz", **model_arrays)
    with h5py.File(tmp_path / "d.h5", "w") as file:
        for name, array in model_arrays.items():
            file[name] = array
    recorded = [data / "slim_v1" / name for name in ("frozen.pb", "saved_model")]
    exported = sorted(exports.iterdir())
    paths = [*recorded, *exported, tmp_path / "d.npz", tmp_path / "d.h5"]
    meta = data / "slim_v1/inference.meta"
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *map(str, paths), str(meta)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=exports,
        env={"PYTHONPATH": str(data.parent.parent)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    nbytes = sum(array.nbytes for array in model_arrays.values())
    assert {found[str(path)] for path in paths} == {nbytes}
    assert found[str(meta)] == 54
