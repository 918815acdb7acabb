"""The formats that models are written in: one table, a row a format, a module a target."""

from __future__ import annotations

from converters.formats.format import Format, Options
from converters.formats.table import (
    FORMATS,
    find_format,
    formats_of,
    frozen_target,
    suffixes,
    targets,
    usual_suffix,
)
from converters.formats.tensorflow_formats import write_checkpoint
from converters.formats.writing import Writer, format_for, writer

__all__ = [
    "FORMATS",
    "Format",
    "Options",
    "Writer",
    "find_format",
    "format_for",
    "formats_of",
    "frozen_target",
    "suffixes",
    "targets",
    "usual_suffix",
    "write_checkpoint",
    "writer",
]
