"""Ways to damage a file: of its bytes, of the files around it, and under right checksums."""

from __future__ import annotations

import os
import pathlib
import random
import re
import shutil
from collections.abc import Callable

Spoil = Callable[[random.Random, bytes], bytes]

_MAX_RANGE = 64  # bytes that are cut out, repeated or moved at once
# Lengths, sizes and numbers that a reader may have forgotten.
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 1 << 16, (1 << 31) - 1, 1 << 31, 1 << 60, (1 << 63) - 1, -1)
_DIGITS = re.compile(rb"-?\d+")


def flip(rng: random.Random, content: bytes) -> bytes:
    """One bit flipped."""
    bit = rng.randrange(8 * len(content))
    return _with(content, bit // 8, bytes([content[bit // 8] ^ 1 << bit % 8]))


def flips(rng: random.Random, content: bytes) -> bytes:
    """Two to eight bits flipped, close to each other in half of the cases."""
    near = rng.randrange(len(content))
    width = rng.choice((32, len(content)))
    for _ in range(rng.randint(2, 8)):
        at = min(len(content) - 1, max(0, near + rng.randint(-width, width)))
        content = _with(content, at, bytes([content[at] ^ 1 << rng.randrange(8)]))
    return content


def noise(rng: random.Random, content: bytes) -> bytes:
    """One to four bytes set to anything."""
    for _ in range(rng.randint(1, 4)):
        value = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        content = _with(content, rng.randrange(len(content)), bytes([value]))
    return content


def number(rng: random.Random, content: bytes) -> bytes:
    """A binary number of two, four or eight bytes set to an extreme."""
    size = rng.choice((2, 4, 8))
    value = rng.choice((*_NUMBERS, len(content), len(content) + 1)) % (1 << 8 * size)
    order = rng.choice(("little", "big"))
    return _with(content, rng.randrange(len(content)), value.to_bytes(size, order))[: len(content)]


def digits(rng: random.Random, content: bytes) -> bytes:
    """A number in the text (or what looks like one) replaced by an extreme."""
    found = list(_DIGITS.finditer(content))
    if not found:
        return number(rng, content)
    match = rng.choice(found)
    return content[: match.start()] + b"%d" % rng.choice(_NUMBERS) + content[match.end() :]


def cut_out(rng: random.Random, content: bytes) -> bytes:
    """A range removed."""
    start, end = _range(rng, content)
    return content[:start] + content[end:]


def repeat(rng: random.Random, content: bytes) -> bytes:
    """A range put in once more, there or elsewhere."""
    start, end = _range(rng, content)
    at = rng.choice((end, rng.randrange(len(content))))
    return content[:at] + content[start:end] + content[at:]


def exchange(rng: random.Random, content: bytes) -> bytes:
    """A range overwritten with another."""
    start, end = _range(rng, content)
    return _with(content, rng.randrange(len(content)), content[start:end])[: len(content)]


def zeros(rng: random.Random, content: bytes) -> bytes:
    """A range of zeros."""
    start, end = _range(rng, content)
    return _with(content, start, bytes(end - start))


def longer(rng: random.Random, content: bytes) -> bytes:
    """Something behind the end."""
    return content + rng.choice((b"\0", b"\n", rng.randbytes(_MAX_RANGE), content))


def truncated(rng: random.Random, content: bytes) -> bytes:
    """Cut short anywhere."""
    return content[: rng.randrange(len(content))]


# The first are most of what happens to a file, and of what finds errors.
SPOILS: tuple[Spoil, ...] = (
    flip, flip, flip, noise, noise, number, number,
    flips, digits, cut_out, repeat, exchange, zeros, longer, truncated,
)  # fmt: skip


def spoil(rng: random.Random, content: bytes) -> bytes:
    """`content` (not empty), damaged in one way; it may be the same by chance."""
    return rng.choice(SPOILS)(rng, content)


def at_percent(content: bytes, percent: int) -> bytes:
    """The first `percent` of a file."""
    return content[: len(content) * percent // 100]


def spoil_folder(rng: random.Random, folder: pathlib.Path, names: tuple[str, ...]) -> None:
    """One of the files in `folder` missing, empty, a folder, a ring of links, or another's."""
    path = folder / rng.choice(names)
    other = folder / rng.choice(names)
    how = rng.randrange(5)
    if how == 4:
        content, others = path.read_bytes(), other.read_bytes()
        path.write_bytes(others)
        other.write_bytes(content)
        return
    path.unlink()
    if how == 1:
        path.touch()
    elif how == 2:
        path.mkdir()
    elif how == 3:
        os.symlink(path.name, path)


def restore(folder: pathlib.Path, whole: pathlib.Path, names: tuple[str, ...]) -> None:
    """Puts the files back, whatever is in their places."""
    for name in names:
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        shutil.copyfile(whole / name, path)


def _with(content: bytes, at: int, part: bytes) -> bytes:
    return content[:at] + part + content[at + len(part) :]


def _range(rng: random.Random, content: bytes) -> tuple[int, int]:
    start = rng.randrange(len(content))
    return start, min(len(content), start + rng.randint(1, _MAX_RANGE))
