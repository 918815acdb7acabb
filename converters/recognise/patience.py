"""A user's regular expressions may backtrack for ever on a name: they have their time."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

from converters.files import CheckpointError

LIMIT = 20.0  # seconds for all names of a file, which take a fraction of one


@contextlib.contextmanager
def limited(told: str) -> Iterator[None]:
    """Ends what takes longer than `LIMIT`, in the main thread of systems that have timers.

    Args:
        told: whose expressions they are, for the error.

    Raises:
        CheckpointError: it took longer.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "setitimer"):  # Windows has none
        yield
        return

    def end(*_):
        raise CheckpointError(
            f"{told}: matching the names takes more than {LIMIT:g} s: an expression tries "
            "too many ways, as one that repeats a group that repeats does: write it without"
        )

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
