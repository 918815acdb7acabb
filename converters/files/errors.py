"""The one error a caller sees, and how a reason found deep in a file becomes one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_COPY_AGAIN = "the file is damaged or incomplete, so copy it again from where it was saved"
_MAX_TEXT = 6000  # characters; a path has up to 4096


class CheckpointError(ValueError):
    """A checkpoint that cannot be read: names the file, the variable if any, and the remedy.

    Args:
        text: the sentence. What a file put into it cannot disturb a terminal: characters that do
            not print are spelled out, and what is absurdly long is cut.
    """

    def __init__(self, text: str) -> None:
        if not text.isprintable():
            text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        if len(text) > _MAX_TEXT:
            text = f"{text[: _MAX_TEXT // 2]} [...] {text[-_MAX_TEXT // 2 :]}"
        super().__init__(text)


class Malformed(Exception):
    """Bytes that break the format; the parser that raises it knows no file or variable name.

    Args:
        reason: what is wrong, as a clause.
        remedy: what to do about it, as a clause; by default, to copy the file again.
    """

    def __init__(self, reason: str, remedy: str = _COPY_AGAIN) -> None:
        super().__init__(reason)
        self.remedy = remedy


class Incomplete(Malformed):
    """Values of one variable that are not all there, in a file that is sound otherwise."""


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
