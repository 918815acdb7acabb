"""Turn-taking: candidates run A B C A B C ..., so that what else the machine does falls on all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

WARM_UP = 2


def seconds(call: Callable[[], object]) -> float:
    """How long one `call` takes, in seconds."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def take_turns(
    clocks: Mapping[str, Callable[[], float]],
    rounds: int,
    warm_up: int = WARM_UP,
    after_round: Callable[[int], None] = lambda done: None,
) -> dict[str, list[float]]:
    """Runs every clock once a round.

    Args:
        clocks: candidate -> a function that works once and returns its seconds.
        rounds: how many rounds count.
        warm_up: rounds before them that do not.
        after_round: is called after every round with the number of those done, warm-up included.

    Returns:
        Candidate -> its seconds in each round.
    """
    found = {name: [] for name in clocks}
    for done in range(1, warm_up + rounds + 1):
        for name, clock in clocks.items():
            found[name].append(clock())
        after_round(done)
    return {name: times[warm_up:] for name, times in found.items()}


def ratios(times: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Quartiles of one candidate's time over another's, round by round."""
    return quartiles(np.divide(times, reference))


def quartiles(values) -> list[float]:
    """The 25th, 50th and 75th percentile."""
    return np.percentile(values, [25, 50, 75]).tolist()
