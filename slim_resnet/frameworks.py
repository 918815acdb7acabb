"""The one place that imports a framework: names the remedy when it is missing, hides its chatter."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import sys
import tempfile
from types import ModuleType

# Distribution name and the extra that brings it, by module.
_FRAMEWORKS = {
    "tensorflow": ("TensorFlow", "tf"),
    "tf_slim": ("tf-slim", "tf"),
    "tf_keras": ("tf_keras", "tf"),
    "keras": ("Keras", "tf"),
    "torch": ("PyTorch", "torch"),
}

# What TensorFlow's C++ side prints while it starts; no environment variable silences all of it.
_CHATTER = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog|[IW]\d{4} |"
    rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] |To enable the following instructions)"
)


class MissingFrameworkError(ImportError):
    """A framework that this call needs is not installed."""


def require(module: str) -> ModuleType:
    """Imports `module`, quietly.

    Args:
      module: a dotted module name whose first part is a framework, e.g. "tensorflow.compat.v1".

    Returns:
      The module itself (not its top-level package).

    Raises:
      MissingFrameworkError: it is not installed; the message names the extra that brings it.
    """
    top = module.partition(".")[0]
    if top == "tensorflow":
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with quiet_stderr():
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != top:
            raise
        name, extra = _FRAMEWORKS[top]
        raise MissingFrameworkError(
            f"this needs {name}: pip install 'slim-resnet[{extra}]'", name=top
        ) from error


@contextlib.contextmanager
def quiet_stderr():
    """Drops TensorFlow's start-up chatter from file descriptor 2; everything else is passed on."""
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (AttributeError, OSError, ValueError):  # no stderr at all (pythonw, a closed daemon)
        yield
        return
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            captured.seek(0)
            for line in captured:
                if not _CHATTER.match(line):
                    os.write(2, line)
