"""How fast a network is: on several engines, side by side, in turns. Loads no framework itself."""

from __future__ import annotations

from converters.benchmark.comparison import Result, compare, find
from converters.benchmark.jobs import DTYPES, ENGINES, LAYOUTS, Job, plan
from converters.benchmark.operation_counts import FORWARD, TRAINING, WORKS, flops
from converters.benchmark.report import as_json
from converters.benchmark.timing import WARM_UP

__all__ = [
    "DTYPES",
    "ENGINES",
    "FORWARD",
    "LAYOUTS",
    "TRAINING",
    "WARM_UP",
    "WORKS",
    "Job",
    "Result",
    "as_json",
    "compare",
    "find",
    "flops",
    "plan",
]
