"""Many checkpoints converted at once: what is to be done, how one is converted, who does it.

jobs = plan(["runs/*/model.ckpt-*"], "out/", "torch")
for outcome in convert_all(jobs, Settings("torch"), processes=4):
    print(outcome.job.output, outcome.error or outcome.difference)
"""

from __future__ import annotations

from converters.batch.conversion import Job, LeftOut, Outcome, Settings, convert
from converters.batch.planning import expand, folders, into_folder, plan
from converters.batch.workers import convert_all

__all__ = [
    "Job",
    "LeftOut",
    "Outcome",
    "Settings",
    "convert",
    "convert_all",
    "expand",
    "folders",
    "into_folder",
    "plan",
]
