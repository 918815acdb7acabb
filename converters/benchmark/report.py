"""Results as data for a JSON file: every time, and what is needed to judge them."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
from collections.abc import Sequence

from converters.benchmark.comparison import Result

_PACKAGES = ("tensorflow", "torch", "torchvision", "keras", "numpy")


def as_json(results: Sequence[Result]) -> dict:
    """What `compare` returned, as plain data, with the machine and the versions."""
    return {"machine": machine(), "results": [_row(result) for result in results]}


def machine() -> dict:
    """The processor, the number of cores, and the versions of the frameworks installed."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def _row(result: Result) -> dict:
    job = result.job
    row = {
        "candidate": job.label,
        "engine": job.engine,
        "arch": job.arch.name,
        "convention": job.arch.convention,
        "form": job.arch.form,
        "layout": job.layout,
        "work": job.work,
        "batch_size": job.batch_size,
        "size": job.size,
        "dtype": job.dtype,
        "flops": job.flops,
    }
    if result.failure:
        return {**row, "failure": result.failure}
    measured = dataclasses.asdict(result)
    del measured["job"], measured["failure"]
    names = ("mean", "sd", "images_per_second", "gflops", "agrees")
    return {**row, **measured, **{name: getattr(result, name) for name in names}}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
