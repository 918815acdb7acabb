"""What pickles of arrays may hold, whatever they are unpickled into."""

from __future__ import annotations

import io
import pickletools

from converters.files.errors import Malformed


def check_instructions(file: io.BytesIO) -> None:
    """Reads the next pickle in `file` without making anything of it.

    Raises:
        Malformed: it would make an unpickler allocate more than the pickle has bytes.
    """
    start = file.tell()
    for opcode, value, position in pickletools.genops(file):
        if opcode.name == "BYTEARRAY8" or (
            opcode.name in ("PUT", "LONG_BINPUT") and value > position - start
        ):
            raise Malformed(f"it holds the instruction {opcode.name}, which no array needs")
