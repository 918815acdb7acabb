"""Sizes and bytes of files on disk."""

from __future__ import annotations

import mmap
import os
import stat

from converters.files.errors import Malformed

# What stands in a clone of a Git repository for a large file until that is fetched.
_POINTER = b"version https://"
_LARGEST_POINTER = 1024  # bytes; source: Git LFS's docs/spec.md


def file_size(path: str) -> int:
    """The size of a regular file, in bytes.

    Raises:
        OSError: if there is none.
        Malformed: if it is something else, such as a folder or a pipe, or stands for a file that
            Git LFS has not fetched.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise Malformed("it is not a regular file", "put the checkpoint's own file there")
    if status.st_size < _LARGEST_POINTER and _starts_with(path, _POINTER):
        raise Malformed("it is a pointer of Git LFS, not the file itself", "run git lfs pull")
    return status.st_size


def _starts_with(path: str, magic: bytes) -> bool:
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def mapped(path: str) -> memoryview:
    """The bytes of a file as a read-only view of a memory map, which lives as long as the view.

    Raises:
        OSError, Malformed: as `file_size`.
    """
    if file_size(path) == 0:  # which cannot be mapped
        return memoryview(b"")
    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
