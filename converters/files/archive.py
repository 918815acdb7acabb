"""Zip files, whose sizes are checked before anything is unpacked.

Source: PKWARE's APPNOTE.TXT, as Python's `zipfile` reads it.
"""

from __future__ import annotations

import os
import zipfile
from collections import Counter

from converters.files.errors import Malformed
from converters.files.memory_maps import mapped
from converters.files.weights_file import check_expansion

_END_SIZE = 22  # bytes of the end of central directory record, its comment left out
_COUNT = 10  # where it has the number of parts, in two bytes
_COUNTED_ELSEWHERE = 0xFFFF  # in the record of ZIP64, for archives of so many parts


def open_archive(path: str) -> zipfile.ZipFile:
    """A zip that holds every name once, all it counts, and unpacks to what its size justifies.

    Raises:
        Malformed: it does not; what `zipfile` raises of a damaged file passes.
    """
    archive = zipfile.ZipFile(path)
    # Python reads the directory by its length, and a damaged entry swallows the next ones.
    end = mapped(path)[-_END_SIZE - len(archive.comment) :]
    count = int.from_bytes(end[_COUNT : _COUNT + 2], "little")
    if count not in (len(archive.infolist()), _COUNTED_ELSEWHERE):
        raise Malformed(f"it counts {count} parts and lists {len(archive.infolist())}")
    for name, count in Counter(archive.namelist()).items():
        if count > 1:
            raise Malformed(f"it holds {count} files called {name!r}")
    check_expansion(sum(info.file_size for info in archive.infolist()), os.path.getsize(path))
    return archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The content of one file in a zip, as long as the zip says and of the right checksum.

    Raises:
        Malformed: it is shorter or longer; what `zipfile` raises of a damaged file passes.
    """
    size = archive.getinfo(name).file_size
    with archive.open(name) as file:
        content = file.read(size)
        if len(content) != size or file.read(1):
            raise Malformed(f"its part {name!r} is not as long as it should be")
    return content
