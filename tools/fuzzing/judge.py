"""Reads a damaged file and says whether that went as it must."""

from __future__ import annotations

import enum
import traceback
import tracemalloc
from collections.abc import Callable

from converters.files import CheckpointError

MAX_ALLOCATION = 32  # times the size of the files: bytes that reading them may take
GRAPH_ALLOCATION = 128  # the same where thousands of operations become layers
SLACK = 2 << 20  # bytes: what a reader takes whatever the file
_MAX_MESSAGE = 6100  # characters


class Outcome(enum.StrEnum):
    """How a case ended. Of a file that checksums cover only the first two are right."""

    REFUSED = "refused"
    SAME = "same"
    OTHER = "other"  # loaded as something else: it cannot be told from a file meant to be that
    FAILED = "failed"


class Judge:
    """Reads files of one kind.

    Args:
        read: gives what is in a file, see `readers`.
        whole: what it gives of the whole file.
        checked: whether checksums cover all of it.
        allocation: how many times the size of the files reading them may take.
    """

    def __init__(
        self,
        read: Callable[[str], dict],
        whole: dict,
        *,
        checked: bool,
        allocation: int = MAX_ALLOCATION,
    ):
        self.read = read
        self.allocation = allocation
        self.whole = whole
        self.checked = checked
        self.peak = 0  # bytes

    def __call__(
        self, path: str, folder: str, size: int, measured: bool = True
    ) -> tuple[Outcome, str]:
        """The outcome for the file `path`, and what is wrong with it.

        Args:
            path: what is opened.
            folder: where every file that an error may name lies.
            size: of all its files, in bytes.
            measured: whether to measure the memory it takes, which makes it three times slower.
        """
        if not measured:
            return self._read(path, folder)
        tracemalloc.start()
        try:
            outcome, reason = self._read(path, folder)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.peak = max(self.peak, peak)
        if peak > self.allocation * size + SLACK:
            return Outcome.FAILED, f"it took {peak} bytes to read {size}"
        return outcome, reason

    def _read(self, path: str, folder: str) -> tuple[Outcome, str]:
        try:
            found = self.read(path)
        except CheckpointError as error:
            reason = complaint(error, folder)
            return (Outcome.FAILED, reason) if reason else (Outcome.REFUSED, "")
        except Exception:
            return Outcome.FAILED, traceback.format_exc()
        if found == self.whole:
            return Outcome.SAME, ""
        if self.checked:
            return Outcome.FAILED, f"other weights than were saved, in {_first(found, self.whole)}"
        return Outcome.OTHER, ""


def complaint(error: CheckpointError, folder: str) -> str:
    """What is wrong with a refusal; "" if it is a sentence that names a file."""
    text = str(error)
    if _has_memory_error(error):
        return f"it tried to allocate more than there is: {text}"
    if not text.startswith(folder):
        return f"the error does not begin with a file: {text!r}"
    if not text.isprintable():
        return f"the error would disturb a terminal: {text!r}"
    if len(text) > _MAX_MESSAGE:
        return f"the error has {len(text)} characters: {text[:_MAX_MESSAGE]!r}"
    return ""


def _has_memory_error(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _first(found: dict, whole: dict) -> str:
    """The first name that differs."""
    return next(n for n in (*whole, *found) if found.get(n) != whole.get(n))
