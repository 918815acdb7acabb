"""Many checkpoints converted at once: what is to be done, how one is converted, who does it.

jobs = plan(["runs/*/model.ckpt-*"], "out/", "torch")
for job, outcome in convert_all(jobs, Settings("torch"), processes=4):
    print(job.output, outcome.error or outcome.difference)
"""

from __future__ import annotations

from converters.batch.jobs import Job, Settings, run
from converters.batch.planning import expand, folders, into_folder, plan
from converters.batch.workers import convert_all

__all__ = [
    "Job",
    "Settings",
    "convert_all",
    "expand",
    "folders",
    "into_folder",
    "plan",
    "run",
]
