"""The one error a caller sees, and how a reason found deep in a file becomes one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_COPY_AGAIN = "the file is damaged or incomplete, so copy it again from where it was saved"


class CheckpointError(ValueError):
    """A checkpoint that cannot be read: names the file, the variable if any, and the remedy."""


class Malformed(Exception):
    """Bytes that break the format; the parser that raises it knows no file or variable name.

    Args:
        reason: what is wrong, as a clause.
        remedy: what to do about it, as a clause; by default, to copy the file again.
    """

    def __init__(self, reason: str, remedy: str = _COPY_AGAIN) -> None:
        super().__init__(reason)
        self.remedy = remedy


@contextmanager
def blame(path: str, variable: str | None = None) -> Iterator[None]:
    """Turn a failure inside the block into a CheckpointError about `path` (and `variable`)."""
    subject = path if variable is None else f"{path}, variable {variable!r}"
    try:
        yield
    except Malformed as error:
        raise CheckpointError(f"{subject}: {error}; {error.remedy}.") from None
    except OSError as error:
        raise CheckpointError(
            f"{subject}: the file cannot be read ({error.strerror or error}); "
            "check that it exists and that you may read it."
        ) from error
