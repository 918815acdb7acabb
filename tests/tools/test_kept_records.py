"""The records that tools/record_legacy.py made under TensorFlow 1.15, read with NumPy."""

import importlib.util
import pathlib
import zlib

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "record_legacy.py"
RECORDS = sorted((ROOT / "tests" / "data" / "legacy_records").glob("*.npz"))

spec = importlib.util.spec_from_file_location("record_legacy", SCRIPT)
record_legacy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(record_legacy)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_kept_records_are_whole(path):
    """What format 1 promises, and the seed rules: NumPy makes TensorFlow 1.15's numbers again."""
    assert path.stat().st_size < 1 << 20
    record = record_legacy.read_record(path)
    info, arrays = record.info, record.arrays
    assert info["format"] == 1
    assert info["skipped"] == {}
    assert info["versions"]["tensorflow"].startswith("1.")
    assert arrays["graph_def"].dtype == np.uint8
    assert arrays["graph_def"].size
    names = [entry["name"] for entry in info["end_points"]]
    assert len(set(names)) == len(names)
    assert set(info["outputs"]) <= set(names)
    assert info["mode"] == "frozen" or info["variables"]
    for case in info["cases"]:
        samples, offset = arrays[case + "|samples"], 0
        assert samples.dtype == case.split("|")[0]
        assert np.isfinite(samples).all()
        assert arrays[case + "|stats"].shape == (len(names), 4)
        for entry in info["end_points"]:
            point = record.end_point(case, entry["name"])
            assert entry["offsets"][case] == offset
            assert point["samples"].size == min(np.prod(point["shape"]), info["samples"])
            # float32 samples against float64 statistics: equal, as rounding is monotonic
            assert (point["samples"] >= np.array(point["min"], samples.dtype)).all()
            assert (point["samples"] <= np.array(point["max"], samples.dtype)).all()
            offset += point["samples"].size
        assert offset == samples.size
        assert (case + "|reg" in arrays) == bool(info["regularization_losses"])
    for size, crc in info["images_crc32"].items():
        height, width = map(int, size.split("x"))
        images = record_legacy.seeded_images((height, width), info["batch_size"], info["channels"])
        assert zlib.crc32(images.tobytes()) == crc
    small = [item for item in info["variables"] if np.prod(item["shape"]) < 40000]
    for item in small if info["weights"] == "seeded-v1" else []:
        value = record_legacy.seeded_value(item["name"], tuple(item["shape"]))
        assert zlib.crc32(value.tobytes()) == item["crc32"], item["name"]
