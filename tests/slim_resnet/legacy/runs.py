"""What a script that ran under `python -m slim_resnet.legacy` said."""

from __future__ import annotations

import re
from typing import NamedTuple


class Ran(NamedTuple):
    """A run's exit code and streams, as they were."""

    code: int
    out: str
    err: str

    @property
    def script_err(self) -> str:
        return without_versions(self.err)


def without_versions(err: str) -> str:
    """Takes off the runner's own line on stderr, which comes before anything of the script's."""
    first, _, rest = err.partition("\n")
    assert re.match(r"slim_resnet\.legacy: TensorFlow 2\.\d+\.\d+, NumPy [12]\.\d+\.\d+", first)
    return rest
